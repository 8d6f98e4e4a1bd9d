# SPDX-License-Identifier: Apache-2.0
"""The plane as a base's planners see it: what stands, what moves, and motions judged densely."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.planners.world import MOVER_HORIZON_S, Judgement, required
from diffusion_control.robots.distance_field import DistanceField
from diffusion_control.robots.surround import Surround, has_shadow
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
MOVER_GROWTH_M = 0.08
CHECK_S = 0.04
SEARCH_POINTS = 60


class BaseWorld:
    """Robot and surroundings at the start of a plan.

    A mover travels on for `MOVER_HORIZON_S` and stands from then on, grown by `MOVER_GROWTH_M`.

    Attributes:
        standing: What stands, map and scan included.
        moving: What moves, as it was seen.
        seen_moving: The same things, in the same order.
        movers: The same, grown.
        search: What stands, with the scan thinned and without what the map explains.
    """

    def __init__(self, robot: Any, problem: PlanningProblem, margin_m: float) -> None:
        self.robot, self.margin_m = robot, margin_m
        around = robot.pack(problem.obstacles, map=problem.map, scan=problem.scan)
        moves = around.may_move | (np.abs(around.velocity_m_s).max(axis=1, initial=0.0) > 1e-3)
        self.standing = _chosen(around, ~moves)
        self.seen_moving = tuple(
            o for o in problem.obstacles if (o.may_move or np.abs(o.velocity_m_s[:2]).max() > 1e-3)
            and has_shadow(o, robot.collision.height_m))
        movers = replace(
            _chosen(around, moves), field=DistanceField.empty(), points=np.zeros((0, 2)),
            points_may_move=np.zeros(0, dtype=np.bool_))
        self.moving = movers
        grow = np.where((movers.code == 2)[:, None], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0])
        self.movers = replace(movers, half_m=movers.half_m + MOVER_GROWTH_M * grow)
        points = around.points[around.points_may_move] if around.field.distance_m.size else (
            around.points)
        points = np.ascontiguousarray(points[::max(1, math.ceil(len(points) / SEARCH_POINTS))])
        self.search = replace(
            self.standing, points=points, points_may_move=np.ones(len(points), dtype=np.bool_),
            velocity_m_s=np.zeros_like(self.standing.velocity_m_s))

    def clearance(self, poses: Array) -> Array:
        """Return the distance of poses [L, 3] to what stands, shape [L] [m]."""
        near, wall = self.robot.collision.path_clearance(
            poses, np.zeros(len(poses)), self.standing)
        return np.asarray(np.minimum(near, wall))

    def cost(
        self, poses: Array, extra_m: float, *, gradient: bool = False
    ) -> tuple[Array, Array, Array]:
        """Return squared hinges below margin + `extra_m`, distances [L], slopes [L, 3] of poses.

        Of what stands: beside movers the roll-outs themselves are slow (`mover_room`).
        """
        wanted = self.margin_m + extra_m
        found: tuple[Array, Array, Array] = self.robot.collision.cost(
            poses, np.zeros(len(poses)), self.search, wanted, wanted, gradient)
        return found

    def late_s(self, motion: Trajectory) -> float:
        """Return when a motion meets a mover that stands after `MOVER_HORIZON_S`; inf: never."""
        if not len(self.movers.code):
            return math.inf
        times = np.arange(MOVER_HORIZON_S, float(motion.times_s[-1]) + CHECK_S, CHECK_S)
        position, _, _ = motion.sample_many(times + motion.start_s)
        away, _ = self.robot.collision.path_clearance(
            position, np.full(len(times), MOVER_HORIZON_S), self.movers)
        return float(times[np.argmax(away < 0.0)]) if (away < 0.0).any() else math.inf

    def judge(self, motion: Trajectory) -> Judgement:
        """Check a motion every 40 ms; what is asked of it: see `planners.world.required`."""
        times = np.arange(0.0, float(motion.times_s[-1]) + CHECK_S, CHECK_S)
        position, velocity, _ = motion.sample_many(times + motion.start_s)
        collision = self.robot.collision
        near, wall = collision.path_clearance(position, times, self.standing)
        late = False
        if len(self.movers.code):
            to_movers, _ = collision.path_clearance(
                position, np.minimum(times, MOVER_HORIZON_S), self.movers)
            soon = times <= MOVER_HORIZON_S
            late = bool((to_movers[~soon] < 0).any())
            near = np.where(soon, np.minimum(near, to_movers), near)
        short = np.maximum(required(near, times, self.margin_m) - near,
                           required(wall, times, self.margin_m) - wall)
        drive = self.robot.drive
        ratio = max(float(np.hypot(velocity[:, 0], velocity[:, 1]).max()) / drive.speed_max_m_s,
                    float(np.abs(velocity[:, 2]).max()) / drive.yaw_rate_max_rad_s)
        violation = float(short.max())
        return Judgement(
            violation <= 0, float(near.min()), float(wall.min()), violation, late, ratio)


def _chosen(around: Surround, mask: NDArray[np.bool_]) -> Surround:
    """Return the surroundings with some of the obstacles."""
    parts: dict[str, Any] = {
        name: np.ascontiguousarray(getattr(around, name)[mask])
        for name in ('code', 'centre_m', 'rotation', 'half_m', 'velocity_m_s', 'may_move')}
    return replace(around, **parts)
