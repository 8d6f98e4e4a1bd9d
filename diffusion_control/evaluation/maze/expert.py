# SPDX-License-Identifier: Apache-2.0
"""The near-time-optimal expert of the mazes: a round line, as fast as the limits allow.

The way that A* finds is drawn to a line of little bending (`ways.drawn`) that keeps off the walls,
and timed by TOPP-RA under the limits of each axis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.path_timing import MARGIN
from diffusion_control.planners.point_mass.planner import PointPlanner, place_in, timed
from diffusion_control.planners.point_mass.ways import corners_between, drawn
from diffusion_control.planners.problem import PlanningError, PlanningProblem, Start
from diffusion_control.planners.stop_first import stop_first, then
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
        """Return the drive along a round line; if it starts fast, perhaps after a turn or a stop.

        Raises:
            PlanningError: No line can be driven.
        """
        begin, found = problem.start, None
        for attempt in (self._moving, self._turning, self._stopping):
            found = attempt(begin, place_in(problem), known) or found
            if found is not None and (self.robot.clearance(found.position, known) >= 0.0).all():
                return found
        if found is None:
            raise PlanningError('no_path', 'no line can be driven', where='expert')
        return found

    def _moving(self, begin: Start, goal: Array, known: OccupancyMap) -> Trajectory | None:
        """Return the drive along the line that goes on as the mass moves."""
        return self._along(begin, goal, known, begin.velocity)

    def _turning(self, begin: Start, goal: Array, known: OccupancyMap) -> Trajectory | None:
        """Return the drive along the line of a mass at rest: the tracker makes the turn."""
        return self._along(begin, goal, known, np.zeros(2))

    def _stopping(self, begin: Start, goal: Array, known: OccupancyMap) -> Trajectory | None:
        """Return the drive that stops first."""
        stop = stop_first(self.robot, begin, MARGIN)
        rest = Start(stop.end_s, stop.position[-1], np.zeros(2), np.zeros(2))
        drive = self._along(rest, goal, known, np.zeros(2))
        return None if drive is None else then(stop, drive)

    def _along(
        self, begin: Start, goal: Array, known: OccupancyMap, velocity: Array
    ) -> Trajectory | None:
        """Return the drive along the drawn line; None where it cannot be timed."""
        points = drawn(
            corners_between(self.robot, known, begin.position, goal, self.values.margin_m), known,
            least_m=self.robot.radius_m + self.values.margin_m + BESIDE_M, pull=PULL,
            spacing_m=SPACING_M, rounds=ROUNDS, velocity=velocity)
        return timed(self.robot, points, begin.stamp_s, begin.velocity)
