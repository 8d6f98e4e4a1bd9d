# SPDX-License-Identifier: Apache-2.0
"""Where the mass is driven: the physics of maze2d, or a place where it is where the plan says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.maze.drive import follow, push
from diffusion_control.planners.point_mass.specification import Specification
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.point_mass import PointMass, frame_of
from diffusion_control.safety.point_mass import LEAST_H, Barrier, PointFilter
from diffusion_control.tracking.point_mass import point_control

Array = NDArray[np.float64]
MOST_GAP_M = 0.002


@dataclass(frozen=True)
class Steps:
    """What K steps did.

    Attributes:
        states: x, y, vx, vy after each step, shape [K, 4].
        gaps: To the nearest wall at the beginning of each step, at most 2 mm, shape [K] [m].
    """

    states: Array
    gaps: Array


class World(Protocol):
    """A point mass among walls.

    Attributes:
        state: x, y, vx, vy now, shape [4].
    """

    state: Array

    def follow(self, wanted: Array) -> Steps:
        """Track a reference for K steps.

        Args:
            wanted: Position, velocity, acceleration at the beginnings of the steps and at the end
                of the last one, shape [K + 1, 6].
        """
        ...

    def push(self, controls: Array) -> Steps:
        """Apply controls in [-1, 1], shape [K, 2]."""
        ...

    def block(self, known: OccupancyMap) -> None:
        """Put up walls: from now on the map is this one."""
        ...


class PhysicalWorld:
    """The physics of maze2d, with the tracker of `tracking.point_mass`.

    Args:
        robot: The mass.
        known: The walls.
        start: x, y, vx, vy.
    """

    def __init__(self, robot: PointMass, known: OccupancyMap, start: Array) -> None:
        self.robot, self.state = robot, np.array(start, dtype=float)
        self.block(known)

    def follow(self, wanted: Array) -> Steps:
        """Track a reference, see `World.follow`."""
        states, _, gaps = follow(
            self.state, wanted[:-1], self._occupied, self._frame, self.robot.constants)
        return Steps(states, gaps)

    def push(self, controls: Array) -> Steps:
        """Apply controls, see `World.push`."""
        states, gaps = push(
            self.state, controls, self._occupied, self._frame, self.robot.constants)
        return Steps(states, gaps)

    def block(self, known: OccupancyMap) -> None:
        """Put up walls."""
        self._occupied, self._frame = known.occupied, frame_of(known)


class IdealWorld(PhysicalWorld):
    """The mass is where its reference says, walls or not: a planner without tracker and plant."""

    def block(self, known: OccupancyMap) -> None:
        """Put up walls, which are only noticed."""
        super().block(known)
        self._known = known

    def follow(self, wanted: Array) -> Steps:
        """Be where the reference is after each step."""
        before = np.concatenate([self.state[None, :2], wanted[1:-1, :2]])
        states = wanted[1:, :4].copy()
        self.state = states[-1].copy()
        near = self.robot.clearance(before, self._known)
        return Steps(states, np.minimum(near, MOST_GAP_M))


class FilteredWorld(PhysicalWorld):
    """The physics of maze2d behind a command filter that keeps a specification.

    Args:
        robot: The mass.
        known: The walls.
        start: x, y, vx, vy.
        specification: What is kept.
    """

    def __init__(
        self, robot: PointMass, known: OccupancyMap, start: Array, specification: Specification
    ) -> None:
        super().__init__(robot, known, start)
        self._specification = specification

    def follow(self, wanted: Array) -> Steps:
        """Track a reference through the filter."""
        control, found = np.empty(2), []
        for row in wanted[:-1]:
            point_control(self.state, row, self.robot.constants, control)
            found.append(self.push(control[None]))
        return joined(found)

    def push(self, controls: Array) -> Steps:
        """Apply controls through the filter."""
        return joined([super(FilteredWorld, self).push(self._admitted(control)[None])
                       for control in controls])

    def block(self, known: OccupancyMap) -> None:
        """Put up walls."""
        super().block(known)
        self._filter = PointFilter(self.robot, known)

    def _admitted(self, control: Array) -> Array:
        """Return the control that the filter lets through."""
        keep, place = self._specification, self.state[None, :2]
        return self._filter.admitted(control, self.state, Barrier(
            float(keep.h(place)[0]) - LEAST_H, keep.gradient(place)[0], keep.hessian(place)[0]))


def joined(parts: list[Steps]) -> Steps:
    """Return steps in a row."""
    return Steps(np.concatenate([item.states for item in parts]),
                 np.concatenate([item.gaps for item in parts]))
