# SPDX-License-Identifier: Apache-2.0
"""The straight line of a point mass, whatever stands in between."""

from __future__ import annotations

import numpy as np

from diffusion_control.planners.point_mass.planner import PointPlanner, place_in, timed
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.trajectory.trajectory import Trajectory


class PointStraightLine(PointPlanner):
    """As fast as the limits allow, straight to the goal."""

    name = 'straight_line'

    def motion(self, problem: PlanningProblem, known: OccupancyMap) -> Trajectory:
        """Return the line as a motion."""
        begin = problem.start
        line = np.stack([begin.position, place_in(problem)])
        found = timed(self.robot, line, begin.stamp_s, begin.velocity)
        assert found is not None
        return found
