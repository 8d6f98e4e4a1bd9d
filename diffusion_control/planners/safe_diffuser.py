# SPDX-License-Identifier: Apache-2.0
"""SafeDiffuser of an arm: the trained planner kept inside a region of joint space.

`method` says how the motions out of the network are kept in `joint_region`: by a barrier in each
denoising step (`robust`, `relaxed`, `time_varying`; see `point_mass.barrier`), or by correcting
the clean motions (`corrected`): control points are projected on the range, which is exact and in
closed form because a spline lies in the hull of its control points. What comes after, refinement
and timing, keeps the region with every method. The network has never seen the region; where none
of its corrected motions is free, they are drawn again among random splines inside (`hybrid`).

Original: W. Xiao et al., "SafeDiffuser: Safe Planning with Diffusion Probabilistic Models", ICLR
2025 (RoS, ReS and TVS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.diffuser import DiffuserPlanner
from diffusion_control.planners.hybrid import HybridParameters, HybridPlanner
from diffusion_control.planners.joint_region import JointRegion, RegionProblem
from diffusion_control.planners.motion_sampler import Barrier
from diffusion_control.planners.parameters import choice, parameter
from diffusion_control.planners.point_mass.barrier import (
    RELAXED,
    ROBUST,
    TIME_VARYING,
    BarrierSchedule,
)
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.planners.selection import Pool
from diffusion_control.planners.spline_planner import Request

Array = NDArray[np.float64]
CORRECTED = 'corrected'
METHODS = (CORRECTED, ROBUST, RELAXED, TIME_VARYING)


@dataclass(frozen=True)
class SafeDiffuserParameters(HybridParameters):
    """Settings of SafeDiffuser."""

    method: str = choice(CORRECTED, METHODS, 'how motions are kept in the region')
    slack_rad: float = parameter(
        0.4, 0.05, 6.3, 'a joint may leave the range between start and goal by so much [rad]')
    reaction_s: float = parameter(
        0.0, 0.0, 1.0, 'a joint stays so many seconds away from the end of its range [s]')
    inset_rad: float = parameter(
        0.02, 0.0, 0.5, 'how far inside the region plans stay; the tracker needs some [rad]')


class JointMoves:
    """Makes the moves of noised control points keep a range, in closed form.

    With h = u - p and h = p - l of each coordinate p the least move is bounded on both sides; see
    `BarrierSchedule` for the bounds.

    Args:
        lower: l, shape [n] [rad].
        upper: u, shape [n] [rad].
        kind: `robust`, `relaxed` or `time_varying`.
    """

    def __init__(self, lower: Array, upper: Array, kind: str) -> None:
        self._lower, self._upper = lower, upper
        self._schedule = BarrierSchedule(kind)

    def __call__(self, before: Array, after: Array, done: float) -> Array:
        """Return safe control points [B, F, n] in place of `after`; `done`: share of the run."""
        room = np.stack([self._upper - before, before - self._lower])
        least, slack = self._schedule.least(room, done)
        move, held = after - before, 1.0 / (1.0 + slack**2)
        move = move - held * np.maximum(least[0] + move, 0.0)
        move = move + held * np.maximum(least[1] - move, 0.0)
        return np.asarray(before + move)


class SafeDiffuserPlanner(HybridPlanner):
    """Plans with a trained network inside a region; arguments as for `DiffuserPlanner`.

    The region is that of the first plan to a goal, and is kept until there is another goal.
    """

    name = 'safediffuser'
    method = CORRECTED
    parameters_type: type[HybridParameters] = SafeDiffuserParameters

    def __init__(self, robot: Any, **params: Any) -> None:
        super().__init__(robot, **{'method': self.method, **params})

    def reset(self, seed: int) -> None:
        """See `SplinePlanner.reset`; the region is forgotten."""
        super().reset(seed)
        self.region: JointRegion | None = None
        self._asked: bytes = b''

    def request(self, problem: PlanningProblem) -> Request:
        """See `SplinePlanner.request`: goals and splines inside the region."""
        request = super().request(problem)
        if self.region is None or problem.goal.key != self._asked:
            self.region = JointRegion.around(
                request.start.position, request.goals[0], self.values.slack_rad,
                self.values.reaction_s, self.robot.limits)
            self._asked = problem.goal.key
        inside = self.region.holds(request.goals)
        if not inside.any():
            raise PlanningError(
                'no_path', 'no configuration of the goal is inside the region', where='goal',
                value=request.goals[0].round(3).tolist(),
                allowed=f'{self.region.lower.round(3).tolist()} to '
                        f'{self.region.upper.round(3).tolist()} rad',
                remedy='a larger planner.slack_rad')
        request.goals = request.goals[inside]
        request.splines = RegionProblem(
            request.world, request.start, self.robot.limits.scaled(self.values.speed_scale),
            self.region, self.values.inset_rad, guidance=self.values.guidance_scale,
            weights=self.weights)
        return request

    def drawn(self, request: Request, until: float) -> Pool:
        """Return motions of the network; corrected ones, in a second round, among random ones."""
        if request.round > 1 and self.values.method == CORRECTED:
            return super().drawn(request, until)
        return DiffuserPlanner.drawn(self, request, until)

    def barrier(self, request: Request) -> Barrier | None:
        """Return what keeps the moves of a run, where the method is a barrier."""
        if self.values.method == CORRECTED:
            return None
        return JointMoves(request.splines.lower, request.splines.upper, self.values.method)


class ArmRobust(SafeDiffuserPlanner):
    """SafeDiffuser with robust barriers (RoS)."""

    name, method = 'safediffuser_ros', ROBUST


class ArmRelaxed(SafeDiffuserPlanner):
    """SafeDiffuser with relaxed barriers (ReS)."""

    name, method = 'safediffuser_res', RELAXED


class ArmTimeVarying(SafeDiffuserPlanner):
    """SafeDiffuser with time-varying barriers (TVS)."""

    name, method = 'safediffuser_tvs', TIME_VARYING
