# SPDX-License-Identifier: Apache-2.0
"""SafeDiffuser of a point mass: the trained planner kept out of a specified region.

`method` says how: by a barrier in each denoising step (`robust`, `relaxed`, `time_varying`; see
`barrier`), or by correcting the clean motions (`corrected`; see `detour`), which also shows the
region to the network as walls, so that it takes another way where the region closes one.
The region is the entry `specification` of a problem's condition, a name of `SPECIFICATIONS`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import require_known
from diffusion_control.planners.parameters import choice, parameter
from diffusion_control.planners.point_mass.barrier import (
    RELAXED,
    ROBUST,
    TIME_VARYING,
    BarrierMoves,
)
from diffusion_control.planners.point_mass.detour import led_round
from diffusion_control.planners.point_mass.diffuser import (
    PointDiffuser,
    PointDiffuserParameters,
)
from diffusion_control.planners.point_mass.map_sampler import Ground
from diffusion_control.planners.point_mass.specification import SPECIFICATIONS, Specification
from diffusion_control.planners.point_mass.steadying import cubic
from diffusion_control.planners.point_mass.way_out import unavoidable
from diffusion_control.planners.point_mass.window_planner import CLEAR_M
from diffusion_control.planners.problem import PlanningProblem, PlanSet
from diffusion_control.robots.occupancy_map import OccupancyMap

Array = NDArray[np.float64]
CORRECTED = 'corrected'
METHODS = (CORRECTED, ROBUST, RELAXED, TIME_VARYING)
BETWEEN = 10
FITTINGS = 8
KEEP_H = 0.04
"""What corrected motions keep of h: the command filter's reserve, and as much for the tracker."""
BORDER = np.linspace(-0.4, 0.4, 9)
"""Where a border is looked at, from its middle, in edges of a cell."""


@dataclass(frozen=True)
class PointSafeParameters(PointDiffuserParameters):
    """Settings of SafeDiffuser."""

    method: str = choice(CORRECTED, METHODS, 'how the region is kept out of')
    region_margin: float = parameter(
        0.1, KEEP_H, 1.0, 'least h that corrected motions are given; the tracker needs some')


class PointSafeDiffuser(PointDiffuser):
    """Plans with a trained network, outside of a region; arguments as for `PointDiffuser`."""

    name = 'safediffuser'
    method = CORRECTED
    parameters_type: type[PointDiffuserParameters] = PointSafeParameters

    def __init__(self, robot: Any, **params: Any) -> None:
        super().__init__(robot, **{'method': self.method, **params})
        self.refuses = self.values.method == CORRECTED
        if self.refuses:
            warm_up()

    def plan(self, problem: PlanningProblem, deadline_s: float | None = None) -> PlanSet:
        """Return the candidates, best first; see `Planner.plan`."""
        region = region_in(problem)
        if region is not None and self.values.method == CORRECTED and isinstance(
                problem.map, OccupancyMap):
            problem = replace(problem, map=closed(
                problem.map, region, problem.start.position))
        return super().plan(problem, deadline_s)

    def moved(self, problem: PlanningProblem, ground: Ground) -> Any:
        """Return the barrier of a run, where the method is one."""
        region = region_in(problem)
        if region is None or self.values.method == CORRECTED:
            return None
        return BarrierMoves(region, self.values.method)

    def corrected(self, problem: PlanningProblem, ground: Ground) -> Any:
        """Return what improves clean estimates: off the walls, then out of the region."""
        improve, region = super().corrected(problem, ground), region_in(problem)
        if region is None or self.values.method != CORRECTED:
            return improve
        margin, step = self.values.region_margin, self.network.knot_s
        return lambda knots: led_round(improve(knots), region, margin, step)

    def finished(
        self, drawn: Array, problem: PlanningProblem, ground: Ground
    ) -> tuple[Array, float]:
        """Return what `PointDiffuser` does; the barriers' own knots stay as they came out."""
        if region_in(problem) is None or self.values.method == CORRECTED:
            return super().finished(drawn, problem, ground)
        return drawn, self.network.knot_s

    def fittings(self, problem: PlanningProblem) -> int:
        """Return how often motions are fitted: walls and region want more than walls alone."""
        return super().fittings(problem) if region_in(problem) is None else FITTINGS

    def fitted(
        self, knots: Array, share: float, step: float, problem: PlanningProblem, ground: Ground
    ) -> Array:
        """Return motions pushed off the walls by a share of the margin, and led round the region.

        Slower trials keep the whole margin of the region: with less of it they are refused.
        """
        region, knots = region_in(problem), super().fitted(knots, share, step, problem, ground)
        return knots if region is None else led_round(
            knots, region, self.values.region_margin, step)

    def lack(
        self, knots: Array, knot_s: float, problem: PlanningProblem, ground: Ground
    ) -> Array:
        """Return overlaps with walls, and for corrected motions what they lack to `KEEP_H`.

        What lacks at the start is forgiven. What must lack after the end counts, too: led round,
        a motion may be fast where the network, which saw no region, had slowed down.
        """
        found, region = super().lack(knots, knot_s, problem, ground), region_in(problem)
        if region is None or self.values.method != CORRECTED:
            return found
        h = region.h(between(knots, knot_s)).reshape(len(knots), -1)
        least = np.clip(h[:, :1], 0.0, KEEP_H)
        return np.asarray(found + np.maximum(least - h, 0.0).sum(axis=1) + unavoidable(
            knots[:, -1], ground.known, self.robot, CLEAR_M, region, KEEP_H))


class PointRobust(PointSafeDiffuser):
    """SafeDiffuser with robust barriers (RoS)."""

    name, method = 'safediffuser_ros', ROBUST


class PointRelaxed(PointSafeDiffuser):
    """SafeDiffuser with relaxed barriers (ReS)."""

    name, method = 'safediffuser_res', RELAXED


class PointTimeVarying(PointSafeDiffuser):
    """SafeDiffuser with time-varying barriers (TVS)."""

    name, method = 'safediffuser_tvs', TIME_VARYING


def warm_up() -> None:
    """Compile what leads motions round a region, so that no plan waits for it."""
    across = np.linspace([3.0, 5.25, 1.0, 0.0], [6.0, 5.25, 1.0, 0.0], 4)
    led_round(across[None], SPECIFICATIONS['circle'], KEEP_H, 1.0)


def region_in(problem: PlanningProblem) -> Specification | None:
    """Return the region of a problem; None without one.

    Raises:
        ConfigurationError: An unknown name.
    """
    name = (problem.condition or {}).get('specification', '')
    if not name:
        return None
    require_known('unknown specification', 'PlanningProblem.condition', name, SPECIFICATIONS)
    return SPECIFICATIONS[name]


def closed(known: OccupancyMap, region: Specification, start: Array) -> OccupancyMap:
    """Return the map with walls where the region closes the border of two free cells.

    A border is closed if h < 0 on all of it but a tenth at either end; then those of both cells
    whose middle is in the region become walls, unless the start is in it.
    """
    cells, free, here = known.cells.copy(), ~known.occupied, known.cell_of(start[None])[0]
    for step in ((1, 0), (0, 1)):
        rows, columns = np.nonzero(free[:free.shape[0] - step[0], :free.shape[1] - step[1]]
                                   & free[step[0]:, step[1]:])
        first = np.stack([rows, columns], axis=1)
        pair = np.stack([first, first + step], axis=1)
        middle = known.centre_of(pair.reshape(-1, 2)).reshape(-1, 2, 2)
        across = middle[:, 1] - middle[:, 0]
        along = np.stack([-across[:, 1], across[:, 0]], axis=1)
        border = middle.mean(axis=1)[:, None] + BORDER[:, None] * along[:, None]
        shut = region.h(border.reshape(-1, 2)).reshape(len(first), -1).max(axis=1) < 0.0
        inside = region.h(middle.reshape(-1, 2)).reshape(-1, 2) < 0.0
        for row, column in pair[shut][inside[shut]]:
            if (row, column) != (here[0], here[1]):
                cells[row, column] = 100
    return replace(known, cells=cells)


def between(knots: Array, knot_s: float) -> Array:
    """Return the places of motions [B, H, 4] at 10 instants from each knot on, [K, 2]."""
    s = (np.arange(BETWEEN) / BETWEEN)[None, None, :, None]
    p0, p1 = knots[:, :-1, None, :2], knots[:, 1:, None, :2]
    v0, v1 = knot_s * knots[:, :-1, None, 2:], knot_s * knots[:, 1:, None, 2:]
    return cubic(p0, v0, p1, v1, s).reshape(-1, 2)
