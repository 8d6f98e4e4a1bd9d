# SPDX-License-Identifier: Apache-2.0
"""What the classical planners of a point mass share: parameters, the answer, its judgement."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.planners.deadline import Clock
from diffusion_control.planners.parameters import parameter, read_parameters, refuse_model
from diffusion_control.planners.path_timing import time_path
from diffusion_control.planners.problem import PlanningProblem, PlanSet
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.point_mass import PointMass
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
COLLIDING = -1e3
SLOWER = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)


@dataclass(frozen=True)
class PointParameters:
    """What classical planners of a point mass can be told."""

    margin_m: float = parameter(0.05, 0.0, 0.3, 'least clearance to walls [m]')


class PointPlanner:
    """Base of the classical planners of a point mass; plans have a knot every 5 ms.

    Args:
        robot: The point mass.
        model: Not used: these planners have no trained model.
        seed: Not used: nothing is random.
        clock: Monotonic clock [s].
        **params: Fields of `parameters_type`.
    """

    name = ''
    source = 'classical'
    parameters_type: type[PointParameters] = PointParameters

    def __init__(
        self, robot: PointMass, *, model: Any = None, seed: int = 0,
        clock: Clock = time.perf_counter, **params: Any,
    ) -> None:
        refuse_model(self.name, model)
        self.robot, self.clock, self.seed = robot, clock, seed
        self.values: Any = read_parameters(self.parameters_type, self.name, params)

    def reset(self, seed: int) -> None:
        """Remember the seed: nothing is kept."""
        self.seed = seed

    def info(self) -> dict[str, Any]:
        """Return name and parameters."""
        return {'name': self.name, 'seed': self.seed, **dataclasses.asdict(self.values)}

    def plan(self, problem: PlanningProblem, deadline_s: float | None = None) -> PlanSet:
        """Return one motion; it is the best one if it is free; see `Planner.plan`."""
        del deadline_s
        begin = self.clock()
        motion = self.motion(problem, map_in(problem))
        free = bool((self.robot.clearance(motion.position, problem.map) >= 0.0).all())
        score = -float(motion.times_s[-1]) + (0.0 if free else COLLIDING)
        return PlanSet(
            (motion,), np.array([score]), 0 if free else None, evaluations=1,
            latency_s=self.clock() - begin, source=self.source, seed=self.seed)

    def motion(self, problem: PlanningProblem, known: OccupancyMap) -> Trajectory:
        """Return the motion to the goal, to rest there.

        Raises:
            PlanningError: There is none.
        """
        raise NotImplementedError(f'{type(self).__name__}.motion')


def map_in(problem: PlanningProblem) -> OccupancyMap:
    """Return the map of a problem; a point mass cannot do without."""
    if not isinstance(problem.map, OccupancyMap):
        raise ConfigurationError(
            'a point mass needs a map', where='PlanningProblem.map', value=problem.map,
            allowed='an OccupancyMap')
    return problem.map


def place_in(problem: PlanningProblem) -> Array:
    """Return the place of the goal, shape [2] [m]."""
    goal = problem.goal
    found = goal.joints_rad if goal.position_m is None else goal.position_m
    assert found is not None
    return np.asarray(found[:2], dtype=float)


def timed(
    robot: PointMass, points: Array, stamp_s: float, velocity: Array | None = None
) -> Trajectory | None:
    """Return the fastest motion along points [N, 2], to rest; None where the start is too fast.

    The speed at the start is the part of `velocity` along the points, or as much of it as a motion
    along them allows.
    """
    limits = robot.limits
    first = points[min(1, len(points) - 1)] - points[0]
    length = float(np.linalg.norm(first))
    along = 0.0 if velocity is None or length < 1e-6 else float(velocity @ first) / length
    speed = min(max(along, 0.0), 0.9 * robot.speed_max_m_s)
    for share in SLOWER if speed > 0.0 else (0.0,):
        motion = time_path(
            points, limits, stamp_s=stamp_s, names=robot.joint_names,
            frame_id=robot.base_frame, speed=share * speed)
        if motion is not None:
            return motion
    return None
