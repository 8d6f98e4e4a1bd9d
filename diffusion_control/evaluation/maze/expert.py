# SPDX-License-Identifier: Apache-2.0
"""The near-time-optimal expert of the mazes: a round line, as fast as the limits allow.

The way that A* finds is drawn to a line of little bending (`ways.drawn`) that keeps off the walls,
and timed by TOPP-RA under the limits of each axis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.point_mass.planner import PointPlanner, place_in, timed
from diffusion_control.planners.point_mass.ways import corners_between, drawn
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
PULL, SPACING_M, ROUNDS = 0.02, 0.15, 400
BESIDE_M = 0.02
"""What a spline may come nearer to a corner between the points that were drawn."""


class MazeExpert(PointPlanner):
    """Draws a round line and drives it in the least time."""

    name = 'expert'

    def motion(self, problem: PlanningProblem, known: OccupancyMap) -> Trajectory:
        """Return the drive along the round line; with the tight one where the start is fast."""
        begin, least = problem.start, self.robot.radius_m + self.values.margin_m + BESIDE_M
        corners = corners_between(
            self.robot, known, begin.position, place_in(problem), self.values.margin_m)
        for velocity in (begin.velocity, np.zeros(2)):
            points = drawn(
                corners, known, least_m=least, pull=PULL, spacing_m=SPACING_M, rounds=ROUNDS,
                velocity=velocity)
            found = timed(self.robot, points, begin.stamp_s, begin.velocity)
            if found is not None and (self.robot.clearance(found.position, known) >= 0.0).all():
                return found
        if found is None:
            raise PlanningError('no_path', 'the line cannot be driven', where='expert')
        return found
