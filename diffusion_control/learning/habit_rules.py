# SPDX-License-Identifier: Apache-2.0
"""What a habit asks of single configurations, and a world in which an expert keeps it.

A rule says by how many metres a configuration keeps a habit: s(q) >= 0 is kept. The teacher's
world adds the squared hinge (extra - s)+^2 to the cost of collisions and calls no motion free that
breaks the rule; so everything that makes a motion of the teacher (screening, descent, ranking, the
dense check) keeps it. No planner and no network is given a rule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.world import JUDGED_POINTS, Judgement, World
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
STEP_RAD = 1e-6
LEVER_M = 0.25
MOST_TILT_RAD, TAUGHT_TILT_RAD = np.radians(15.0), np.radians(7.0)
TAUGHT_LEFT_M, HALF_SLAB_M = 0.05, 0.08
FAR_M = 9.0
UP = np.array([0.0, 0.0, 1.0])


class Rule(Protocol):
    """How well configurations keep a habit."""

    def slack(self, positions: Array) -> Array:
        """Return s of configurations [L, n], shape [L] [m]; negative where it is broken."""


@dataclass(frozen=True)
class UprightRule:
    """The tool's direction that points up at home does so: s = 0.25 m (taught tilt - tilt).

    Attributes:
        robot: The arm.
    """

    robot: Any

    def slack(self, positions: Array) -> Array:
        """See `Rule.slack`."""
        return np.asarray(LEVER_M * (TAUGHT_TILT_RAD - tilt(self.robot, positions)))


@dataclass(frozen=True)
class LeftRule:
    """The tool passes a point on its left: s = lateral distance - 5 cm beside it, large elsewhere.

    Attributes:
        robot: The arm.
        side: Where left is.
    """

    robot: Any
    side: Side

    def slack(self, positions: Array) -> Array:
        """See `Rule.slack`."""
        along, left = self.side.of(self.robot.tool_positions(positions))
        return np.where(np.abs(along) < HALF_SLAB_M, left - TAUGHT_LEFT_M, FAR_M)


@dataclass(frozen=True)
class Side:
    """Left and right of an obstacle, in the horizontal plane, for who goes from start to goal.

    Attributes:
        centre: Of the obstacle [m].
        ahead: Unit vector from the tool at the start to the tool at the goal, horizontal.
    """

    centre: Array
    ahead: Array

    @classmethod
    def between(cls, robot: Any, start: Array, goal: Array, obstacle: Obstacle) -> Side:
        """Return the sides of an obstacle on the way between two configurations."""
        first, last = robot.tool_positions(np.stack([start, goal]))
        way = (last - first)[:2]
        return cls(obstacle.position_m[:2], way / max(float(np.linalg.norm(way)), 1e-9))

    def of(self, points: Array) -> tuple[Array, Array]:
        """Return how far points [L, 3] are ahead of the centre, and how far left of it [m]."""
        away = points[:, :2] - self.centre
        return away @ self.ahead, away @ np.array([-self.ahead[1], self.ahead[0]])


def tilt(robot: Any, positions: Array) -> Array:
    """Return the angle of the tool from upright at configurations [L, n], shape [L] [rad].

    Upright is the attitude in which that direction of the tool points up which does so at home.
    """
    _, home = robot.tool_pose(robot.home_rad)
    turned = robot.chain.tool_poses(positions)[:, 3:].reshape(-1, 3, 3) @ (home.T @ UP)
    return np.asarray(np.arctan2(np.hypot(turned[:, 0], turned[:, 1]), turned[:, 2]))


class RuledWorld(World):
    """A world whose cost and dense check know a rule.

    Args:
        robot: The arm.
        obstacles: All of them.
        rule: What has to be kept.
        margin_m: As in `World`.
        own_margin_m: As in `World`.
    """

    def __init__(
        self, robot: Any, obstacles: tuple[Obstacle, ...], rule: Rule, *, margin_m: float,
        own_margin_m: float,
    ) -> None:
        super().__init__(robot, obstacles, margin_m=margin_m, own_margin_m=own_margin_m)
        self.rule = rule

    def cost(
        self, positions: Array, times_s: Array, *, extra_m: float, gradient: bool
    ) -> tuple[Array, Array, Array | None]:
        """See `World.cost`; the slope of the rule by forward differences, where it acts."""
        cost, near, slope = super().cost(
            positions, times_s, extra_m=extra_m, gradient=gradient)
        slack = self.rule.slack(positions)
        short = np.maximum(extra_m - slack, 0.0)
        acts = np.flatnonzero(short > 0.0)
        if slope is not None and len(acts):
            slope = slope.copy()
            slope[acts] -= 2.0 * short[acts, None] * self._slope(positions[acts], slack[acts])
        return cost + short**2, np.minimum(near, slack), slope

    def _slope(self, positions: Array, slack: Array) -> Array:
        """Return ds/dq at configurations [L, n], shape [L, n]."""
        count, dof = positions.shape
        moved = positions[:, None, :] + STEP_RAD * np.eye(dof)
        found = self.rule.slack(moved.reshape(-1, dof)).reshape(count, dof)
        return (found - slack[:, None]) / STEP_RAD

    def judge(self, trajectory: Trajectory, *, tolerance: float = 1.0) -> Judgement:
        """See `World.judge`; a motion that breaks the rule is not free."""
        judged = super().judge(trajectory, tolerance=tolerance)
        worst = float(self.rule.slack(at_even_times(trajectory)).min())
        if worst >= 0.0:
            return judged
        return replace(judged, free=False, violation_m=max(judged.violation_m, -worst))


def at_even_times(trajectory: Trajectory) -> Array:
    """Return the configurations of a motion at as many instants as are judged, shape [L, n]."""
    times = np.linspace(float(trajectory.times_s[0]), float(trajectory.times_s[-1]), JUDGED_POINTS)
    position, _, _ = trajectory.sample_many(times + trajectory.stamp_s)
    return position
