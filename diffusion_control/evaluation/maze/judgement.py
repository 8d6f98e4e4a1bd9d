# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a plan, between its knots, and with where the mass really went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.point_mass.specification import Specification
from diffusion_control.planners.point_mass.ways import corners_between
from diffusion_control.planners.problem import PlanningError
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.point_mass import PointMass
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
BETWEEN = 10
TOUCH_M = 0.002
"""What a plan may overlap with a wall: contacts are as soft as that."""
PROGRESS_M, LAST = 0.1, 0.25


@dataclass(frozen=True)
class PlanReport:
    """One plan.

    Attributes:
        clearance_m: Least distance to a wall at the knots [m].
        clearance_dense_m: With 10 points in each gap between knots [m].
        h: Least value of the specification at the knots; without one, the clearance [m].
        h_dense: With 10 points in each gap.
        trapped: It ends away from the goal, and its last quarter comes no nearer.
    """

    clearance_m: float
    clearance_dense_m: float
    h: float
    h_dense: float
    trapped: bool


def judge_plan(
    robot: PointMass, plan: Trajectory, known: OccupancyMap, goal: Array, radius_m: float,
    specification: Specification | None,
) -> PlanReport:
    """Return what is wrong with a plan."""
    times = plan.times_s
    parts = times[:-1, None] + np.diff(times)[:, None] * np.arange(BETWEEN) / BETWEEN
    dense, _, _ = plan.sample_many(plan.stamp_s + np.append(parts.ravel(), times[-1]))
    found = []
    for points in (plan.position, dense):
        near = float(robot.clearance(points, known).min())
        h = near if specification is None else float(specification.h(points).min())
        found.append((near, h))
    return PlanReport(
        found[0][0], found[1][0], found[0][1], found[1][1],
        trapped(robot, dense, known, goal, radius_m))


def trapped(
    robot: PointMass, points: Array, known: OccupancyMap, goal: Array, radius_m: float
) -> bool:
    """Say whether points [K, 2] end away from the goal and got stuck in their last quarter.

    Stuck is: the way that is left (A* on a grid) shrank by less than `PROGRESS_M`.
    """
    if float(np.linalg.norm(points[-1] - goal)) <= radius_m:
        return False
    before = points[int((1.0 - LAST) * (len(points) - 1))]
    return _left(robot, before, known, goal) - _left(robot, points[-1], known, goal) < PROGRESS_M


def _left(robot: PointMass, place: Array, known: OccupancyMap, goal: Array) -> float:
    """Return the length of the way from a place to the goal [m]; inf where there is none."""
    try:
        corners = corners_between(robot, known, place, goal, 0.0)
    except PlanningError:
        return np.inf
    return float(np.linalg.norm(np.diff(corners, axis=0), axis=1).sum())
