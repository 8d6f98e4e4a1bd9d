# SPDX-License-Identifier: Apache-2.0
"""The scene as planners see it: movers advanced and grown, motions judged densely."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
MOVER_GROWTH_M = 0.03
MOVER_HORIZON_S = 1.5
JUDGED_POINTS = 241
EXIT_SPEED_M_S, EXIT_AFTER_S = 0.1, 0.3
OWN_EXTRA_M = 0.005
SIDE_S = 1e-6


@dataclass(frozen=True)
class Judgement:
    """What a dense check says about a motion.

    Attributes:
        free: Clearance and limits hold everywhere.
        clearance_m: Smallest distance to obstacles (movers only while they can be foretold) [m].
        own_clearance_m: Smallest distance to own links and floor [m].
        violation_m: Largest shortfall of clearance below what is required; <= 0 if free [m].
        late_conflict: A mover crosses the motion later than it can be foretold.
        limit_ratio: Largest speed or acceleration over its limit.
    """

    free: bool
    clearance_m: float
    own_clearance_m: float
    violation_m: float
    late_conflict: bool
    limit_ratio: float


class World:
    """Robot and obstacles at the start of a plan.

    A mover is advanced along its velocity for `MOVER_HORIZON_S` and stands there from then on:
    it may turn at any time, and the next plan will know. It is grown by `MOVER_GROWTH_M`.
    """

    def __init__(
        self, robot: Any, obstacles: tuple[Obstacle, ...], *, margin_m: float,
        own_margin_m: float = 0.005, limit_factor: float = 0.95,
    ) -> None:
        self.robot = robot
        self.margin_m, self.own_margin_m = margin_m, own_margin_m
        self.limits = robot.limits.scaled(limit_factor)
        moving = [o for o in obstacles if _moves(o)]
        self.standing = ObstacleArrays.pack(tuple(o for o in obstacles if not _moves(o)))
        self.movers = _grown(ObstacleArrays.pack(tuple(moving)), MOVER_GROWTH_M)
        self.all = _joined(self.standing, self.movers)
        self.has_movers = bool(moving)

    def cost(
        self, positions: Array, times_s: Array, *, extra_m: float, gradient: bool
    ) -> tuple[Array, Array, Array | None]:
        """Return squared hinges below margin + `extra_m`, clearances and gradients of positions.

        Args:
            positions: Shape [L, n].
            times_s: Time of each row after the start, shape [L].
            extra_m: Added to both margins [m].
            gradient: Whether to compute the gradient.

        Returns:
            Cost [L], clearance [L], gradient [L, n] or None.
        """
        result: tuple[Array, Array, Array | None] = self.robot.collision.cost(
            positions, np.minimum(times_s, MOVER_HORIZON_S), self.all,
            *self.cost_margins_m(extra_m), gradient)
        return result

    def cost_margins_m(self, extra_m: float) -> tuple[float, float]:
        """Return from which distance to obstacles, and to own links and floor, cost is taken."""
        return self.margin_m + extra_m, self.own_margin_m + OWN_EXTRA_M + 0.5 * extra_m

    def standing_clearance(self, position: Array) -> tuple[float, float]:
        """Return the distance to standing obstacles, and to own links and floor [m]."""
        near, own = self.robot.collision.clearance(position, self.standing)
        return float(near), float(own)

    def judge(self, trajectory: Trajectory, *, tolerance: float = 1.0) -> Judgement:
        """Check a motion at `JUDGED_POINTS` instants.

        Required is min(margin, clearance at the start, clearance at the goal), but never less
        than 0; a start that is inside the shape of something is allowed to leave it: with c0 < 0
        the bound is c0 + `EXIT_SPEED_M_S` * (t - `EXIT_AFTER_S`)+ until that reaches 0.

        Args:
            trajectory: The motion.
            tolerance: Share of the margins that is asked for (the plan that is followed may come
                nearer than a new one).
        """
        times = np.linspace(float(trajectory.times_s[0]), float(trajectory.times_s[-1]),
                            JUDGED_POINTS)
        position, _, _ = trajectory.sample_many(times + trajectory.stamp_s)
        times = times - times[0]
        near, own, late = self._distances(position, times)
        short = np.maximum(
            required(near, times, self.margin_m * tolerance) - near,
            required(own, times, self.own_margin_m * tolerance) - own)
        ratio = self.limit_ratio(trajectory, times)
        violation = float(short.max())
        return Judgement(
            violation <= 0 and ratio <= 1.0, float(near.min()), float(own.min()), violation, late,
            ratio)

    def _distances(self, position: Array, times: Array) -> tuple[Array, Array, bool]:
        """Return distances to obstacles and to itself [L], and whether a mover comes later."""
        near, own = self.robot.collision.path_clearance(position, times, self.standing)
        if not self.has_movers:
            return near, own, False
        to_movers, _ = self.robot.collision.path_clearance(
            position, np.minimum(times, MOVER_HORIZON_S), self.movers)
        soon = times <= MOVER_HORIZON_S
        late = bool((to_movers[~soon] < 0).any())
        return np.where(soon, np.minimum(near, to_movers), near), own, late

    def limit_ratio(self, trajectory: Trajectory, times: Array) -> float:
        """Return the largest |v| and |a| over their limits; inf outside the position limits.

        What the start has already is allowed. Acceleration is linear between knots: it is taken
        on both sides of each of them.
        """
        knots = trajectory.times_s
        inside = np.concatenate([knots[:-1] + SIDE_S, knots[1:] - SIDE_S, knots[0] + times])
        position, velocity, acceleration = trajectory.sample_many(inside + trajectory.stamp_s)
        limits, first = self.limits, trajectory
        speed = np.maximum(limits.velocity_rad_s, 1.02 * np.abs(first.velocity[0]))
        force = np.maximum(limits.acceleration_rad_s2, 1.02 * np.abs(first.acceleration[0]))
        outside = np.maximum(limits.lower_rad - position, position - limits.upper_rad)
        beyond = np.maximum(limits.lower_rad - first.position[0],
                            first.position[0] - limits.upper_rad)
        if (outside > np.maximum(beyond, 0.0) + 1e-4).any():
            return float('inf')
        return float(max((np.abs(velocity) / speed).max(), (np.abs(acceleration) / force).max()))


def required(distance: Array, times: Array, margin: float) -> Array:
    """Return the clearance that is required at each instant, shape [L]."""
    slack = 0.002
    reachable = min(margin, float(distance[0]) - slack, float(distance[-1]) - slack)
    leaving = float(distance[0]) - slack + EXIT_SPEED_M_S * np.maximum(times - EXIT_AFTER_S, 0.0)
    return np.minimum(max(reachable, 0.0), leaving)


def _moves(obstacle: Obstacle) -> bool:
    """Say whether an obstacle moves or may begin to."""
    return obstacle.may_move or bool(np.any(np.abs(obstacle.velocity_m_s) > 1e-3))


def _grown(arrays: ObstacleArrays, by_m: float) -> ObstacleArrays:
    """Return obstacles whose surface is moved outwards by `by_m`."""
    grow = np.where(
        (arrays.code == 1)[:, None], [1.0, 0.0, 0.0],
        np.where((arrays.code == 3)[:, None], [1.0, 0.0, 1.0], 1.0)) * by_m
    return replace(arrays, half_m=arrays.half_m + grow)


def _joined(first: ObstacleArrays, second: ObstacleArrays) -> ObstacleArrays:
    """Return the obstacles of both."""
    return ObstacleArrays(*(
        np.concatenate([getattr(first, name), getattr(second, name)])
        for name in ('code', 'centre_m', 'rotation', 'half_m', 'velocity_m_s', 'may_move')))
