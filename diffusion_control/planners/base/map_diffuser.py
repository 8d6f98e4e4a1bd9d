# SPDX-License-Identifier: Apache-2.0
"""The trained planners of mazes for a base: ways out of the network, pursued by the base.

The map is seen in cells along its own axes, a cell being a wall where more than `WALL_SHARE` of it
is occupied. Their edge is the largest one up to `cell_m` in which the map comes out best: cells
that do not fit close ways and open walls. The network of the point mass draws motions over these
cells, whose places are ways for the base. Standing obstacles and movers are judged as for every
planner of a base; the network does not see them.
"""

from __future__ import annotations

import dataclasses
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.base.base_planner import (
    BaseParameters,
    BasePlanner,
    BaseRequest,
)
from diffusion_control.planners.deadline import Clock
from diffusion_control.planners.parameters import parameter
from diffusion_control.planners.point_mass.diffuser import DIFFUSION, PointDiffuser
from diffusion_control.planners.point_mass.hierarchical import PointHierarchical
from diffusion_control.planners.point_mass.safediffuser import PointSafeDiffuser
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.planar import turned
from diffusion_control.robots.point_mass import PointMass
from diffusion_control.robots.state import RobotState

Array = NDArray[np.float64]
WALL_SHARE, FRAME_CELLS, EVERY = 0.3, 8, 4
LEAST_CELL_M, AS_GOOD = 0.4, 0.005
EXERCISE = PlanningProblem(
    RobotState(np.array([1.5, 1.5, 0.0]), np.zeros(3)), Goal(position_m=np.array([3.5, 3.5, 0.0])),
    map=OccupancyMap.from_layout(('#####', '#...#', '#.#.#', '#...#', '#####'), 1.0))


@dataclass(frozen=True)
class BaseDiffuserParameters(BaseParameters):
    """Settings of the trained planners of a base."""

    num_samples: int = parameter(8, 1, 4096, 'motions drawn from the network at once')
    num_inference_steps: int = parameter(6, 1, 500, 'network evaluations from noise')
    cell_m: float = parameter(
        1.0, 0.1, 10.0, 'largest edge of the cells that the network sees [m]')
    keep_m: float = parameter(0.3, 0.1, 0.4, 'distance to walls that ways are pushed to [m]')


class BaseDiffuser(BasePlanner):
    """Proposes ways that the network of the point mass draws.

    Args:
        robot: The base.
        model: Folder, name in `models/`, or None: the shipped one of the point mass.
        seed: Seed of the random numbers.
        clock: Monotonic clock [s].
        backend: What runs the network, see `inference.available_backends()`.
        backend_require_gpu: Refuse a CPU.
        **params: Fields of `parameters_type`.
    """

    name, source = 'diffuser', DIFFUSION
    options = ('model', 'backend', 'backend_require_gpu')
    parameters_type: type[BaseParameters] = BaseDiffuserParameters
    inner: type[PointDiffuser] = PointDiffuser

    def __init__(
        self, robot: Any, *, model: Any = None, seed: int = 0, clock: Clock = time.perf_counter,
        backend: str = 'onnx', backend_require_gpu: bool = False, **params: Any,
    ) -> None:
        super().__init__(robot, clock=clock, **params)
        point = PointMass()
        self.planner = self.inner(
            point, model=model, clock=clock, backend=backend,
            backend_require_gpu=backend_require_gpu, num_candidates=self.values.num_samples,
            num_inference_steps=self.values.num_inference_steps,
            margin_m=self.values.keep_m - point.radius_m)
        with suppress(PlanningError):
            self.plan(EXERCISE)  # compiles: a node is configured before it is given work
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Forget the way and restart the random numbers."""
        super().reset(seed)
        if hasattr(self, 'planner'):
            self.planner.reset(seed)

    def info(self) -> dict[str, Any]:
        """Return name, parameters, and the model that is run."""
        return {**super().info(), 'inference': self.planner.info()['inference']}

    def propose(self, request: BaseRequest, kept: Array | None, until: float) -> list[Array]:
        """Return ways out of the network."""
        del kept, until
        return self.drawn(request)

    def drawn(self, request: BaseRequest) -> list[Array]:
        """Return one way for each motion of the network."""
        known = coarse(request.problem.map, request.start[:2], request.place, self.values.cell_m)
        yaw = float(known.origin[2])
        flat = dataclasses.replace(known, origin=np.zeros(3))

        def local(place: Array) -> Array:
            return turned(np.array([0.0, 0.0, -yaw]), place - known.origin[:2])

        problem = PlanningProblem(
            RobotState(local(request.start[:2]), np.zeros(2)),
            Goal(position_m=np.append(local(request.place), 0.0)), map=flat,
            condition=request.problem.condition)
        ground = self.planner.network.ground(flat, local(request.place))
        whole, _, evaluations = self.planner.windows(problem, ground)
        request.evaluations += evaluations
        ways = []
        for motion in whole:
            places = turned(known.origin, motion[::EVERY, :2]) + known.origin[:2]
            ways.append(np.concatenate([request.start[None, :2], places[1:], request.place[None]]))
        return ways


class BaseSafeDiffuser(BaseDiffuser):
    """The same with SafeDiffuser's correction of clean motions."""

    name = 'safediffuser'
    inner = PointSafeDiffuser


class BaseHierarchical(BaseDiffuser):
    """The same from sub-goals that a network of their own draws."""

    name = 'hierarchical'
    inner = PointHierarchical


def coarse(known: Any, start: Array, goal: Array, cell_m: float) -> OccupancyMap:
    """Return a map in cells of at most some edge along its axes; without one, open ground.

    The cells of start and goal are free.
    """
    if not isinstance(known, OccupancyMap):
        low = np.floor(np.minimum(start, goal) / cell_m) - FRAME_CELLS
        size = np.ceil(np.maximum(start, goal) / cell_m) + FRAME_CELLS - low
        return OccupancyMap(cell_m, np.append(low * cell_m, 0.0), np.zeros(
            (int(size[1]), int(size[0])), np.int8))
    largest = max(1, round(cell_m / known.resolution_m))
    least = max(1, min(round(LEAST_CELL_M / known.resolution_m), largest))
    tried = [_in_cells(known, fine) for fine in range(largest, least - 1, -1)]
    best = min(wrong for _, wrong in tried)
    found = next(cells for cells, wrong in tried if wrong <= best + AS_GOOD)
    rows, columns = found.cells.shape
    for row, column in found.cell_of(np.stack([start, goal])):
        if 0 <= row < rows and 0 <= column < columns:
            found.cells[row, column] = 0
    return found


def _in_cells(known: OccupancyMap, fine: int) -> tuple[OccupancyMap, float]:
    """Return a map in cells of `fine` of its own, and the share of these that come out wrong."""
    rows, columns = (-(-n // fine) for n in known.cells.shape)
    occupied = np.ones((rows * fine, columns * fine))
    occupied[:known.cells.shape[0], :known.cells.shape[1]] = known.occupied
    share = occupied.reshape(rows, fine, columns, fine).mean(axis=(1, 3))
    walls = share > WALL_SHARE
    wrong = float(np.where(walls, 1.0 - share, share).mean())
    return OccupancyMap(
        fine * known.resolution_m, known.origin, np.where(walls, np.int8(100), np.int8(0))), wrong
