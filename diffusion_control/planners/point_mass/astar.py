# SPDX-License-Identifier: Apache-2.0
"""A* on a grid, shortened to corners; the mass goes straight from corner to corner and stops.

Each leg is as fast as the limits allow. P. Hart, N. Nilsson, B. Raphael, "A Formal Basis for the
Heuristic Determination of Minimum Cost Paths", IEEE Trans. Systems Science and Cybernetics, 1968.
"""

from __future__ import annotations

import numpy as np

from diffusion_control.planners.path_timing import time_path
from diffusion_control.planners.point_mass.planner import (
    PointPlanner,
    place_in,
    timed,
)
from diffusion_control.planners.point_mass.ways import corners_between
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.planners.stop_first import then
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.trajectory.trajectory import Trajectory

SAME_M = 1e-4


class PointAstar(PointPlanner):
    """Stop and go along the corners of the cheapest way."""

    name = 'astar'

    def motion(self, problem: PlanningProblem, known: OccupancyMap) -> Trajectory:
        """Return the legs in a row, each from rest to rest; the first one takes up the speed."""
        begin = problem.start
        corners = corners_between(
            self.robot, known, begin.position, place_in(problem), self.values.margin_m)
        apart = np.linalg.norm(np.diff(corners, axis=0), axis=1) > SAME_M
        corners = corners[np.concatenate([[True], apart])]
        whole = timed(self.robot, corners[:2], begin.stamp_s, begin.velocity)
        assert whole is not None
        for first, last in zip(corners[1:-1], corners[2:], strict=True):
            leg = time_path(
                np.stack([first, last]), self.robot.limits, stamp_s=whole.end_s,
                names=self.robot.joint_names, frame_id=self.robot.base_frame)
            assert leg is not None
            whole = then(whole, leg)
        return whole
