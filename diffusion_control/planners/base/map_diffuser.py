# SPDX-License-Identifier: Apache-2.0
"""The trained planners of mazes for a base: ways out of the network, pursued by the base.

The network of the point mass draws motions over the map and what stands, seen in large cells
(`coarse_map`); their places are ways for the base. A few reverse steps on the cost of the base's
own roll-outs (`way_diffusion`) refine them: cells are coarse, and the network does not know the
base. Movers are judged as for every planner of a base; the network does not see them.
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
from diffusion_control.planners.base.coarse_map import coarse, nearer, outside
from diffusion_control.planners.base.way_diffusion import TEMPERATURE, Reverse, denoised
from diffusion_control.planners.base.way_samples import WaySamples
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
EVERY, RESERVE_S = 4, 0.04
POLISH_M = 0.4
EXERCISE = PlanningProblem(
    RobotState(np.array([1.5, 1.5, 0.0]), np.zeros(3)), Goal(position_m=np.array([3.5, 3.5, 0.0])),
    map=OccupancyMap.from_layout(('#####', '#...#', '#.#.#', '#...#', '#####'), 1.0))


@dataclass(frozen=True)
class BaseDiffuserParameters(BaseParameters):
    """Settings of the trained planners of a base."""

    num_samples: int = parameter(8, 1, 4096, 'motions drawn from the network at once')
    num_inference_steps: int = parameter(6, 1, 500, 'network evaluations from noise')
    guidance_scale: float = parameter(
        1.0, 0.0, 100.0, 'step along the slope of the value of clean estimates [cells]')
    polish_steps: int = parameter(3, 0, 50, 'reverse steps on the cost of roll-outs, afterwards')
    polish_samples: int = parameter(160, 2, 65536, 'roll-outs of each of them')
    cell_m: float = parameter(
        1.0, 0.1, 10.0, 'largest edge of the cells that the network sees [m]')
    keep_m: float = parameter(0.3, 0.1, 0.4, 'distance to walls that ways are pushed to [m]')


class BaseDiffuser(BasePlanner):
    """Proposes ways that the network of the point mass draws; `seen` is the map it was shown last.

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
    seen: OccupancyMap | None = None

    def __init__(
        self, robot: Any, *, model: Any = None, seed: int = 0, clock: Clock = time.perf_counter,
        backend: str = 'onnx', backend_require_gpu: bool = False, **params: Any,
    ) -> None:
        super().__init__(robot, clock=clock, **params)
        point = PointMass()
        self.planner = self.inner(
            point, model=model, clock=clock, backend=backend,
            backend_require_gpu=backend_require_gpu, **self._told(point))
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
        models = self.planner.info()
        return {**super().info(), **{
            name: models[name] for name in ('inference', 'sub_goals') if name in models}}

    def propose(self, request: BaseRequest, kept: Array | None, until: float) -> list[Array]:
        """Return ways out of the network, and these and the kept one refined."""
        ways, values = self.drawn(request, until - RESERVE_S), self.values
        if values.polish_steps == 0:
            return ways
        samples = WaySamples(request)
        mean = np.stack([
            samples.from_way(way) for way in (*ways, *([] if kept is None else [kept]))])
        free = denoised(samples, mean, np.full(len(mean), POLISH_M), self.generator, Reverse(
            values.polish_steps, values.polish_samples, TEMPERATURE, self.clock, until))
        return [*ways, *samples.ways(free, values.num_candidates)]

    def drawn(self, request: BaseRequest, until: float) -> list[Array]:
        """Return one way for each motion of the network; late ones end in a line to the goal."""
        place, cell_m = request.place, self.values.cell_m
        if request.problem.map is None:
            place = nearer(request.start[:2], place, cell_m)
        known = coarse(
            request.problem.map, request.start[:2], place, cell_m, request.world.standing)
        yaw = float(known.origin[2])
        flat = dataclasses.replace(known, origin=np.zeros(3))

        def local(place: Array) -> Array:
            return turned(np.array([0.0, 0.0, -yaw]), place - known.origin[:2])

        problem = PlanningProblem(
            RobotState(local(request.start[:2]), np.zeros(2)),
            Goal(position_m=np.append(local(place), 0.0)), map=flat,
            condition=request.problem.condition)
        self._tell(known)
        self.planner.until_s = until
        ground = self.planner.network.ground(flat, local(place))
        whole, _, evaluations = self.planner.windows(problem, ground)
        request.evaluations += evaluations
        ways = []
        for motion in whole:
            places = outside(known, motion[::EVERY, :2])
            ways.append(np.concatenate([request.start[None, :2], places[1:], request.place[None]]))
        return ways

    def _told(self, point: PointMass) -> dict[str, Any]:
        """Return the parameters of the network's planner that follow from those of this one."""
        values = self.values
        return {
            'num_candidates': values.num_samples, 'guidance_scale': values.guidance_scale,
            'num_inference_steps': values.num_inference_steps,
            'margin_m': values.keep_m - point.radius_m}

    def _tell(self, known: OccupancyMap) -> None:
        """Hand on parameters, and the observer, who wants places of the world."""
        self.seen, inner, observer = known, self.planner, self.observer
        inner.values = dataclasses.replace(inner.values, **self._told(inner.robot))
        inner.observer = None if observer is None else lambda step: observer(dataclasses.replace(
            step, noised=outside(known, step.noised), clean=outside(known, step.clean)))


class BaseSafeDiffuser(BaseDiffuser):
    """The same with SafeDiffuser's correction of clean motions."""

    name = 'safediffuser'
    inner = PointSafeDiffuser


class BaseHierarchical(BaseDiffuser):
    """The same from sub-goals that a network of their own draws."""

    name = 'hierarchical'
    inner = PointHierarchical
