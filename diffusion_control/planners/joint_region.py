# SPDX-License-Identifier: Apache-2.0
"""Where joints may be on the way to a goal, and how fast near the border: h(q, v) >= 0.

For joint j between l and u the barrier is

    h = min_j min(u_j - q_j - tau v_j, q_j - l_j + tau v_j)                         [rad]

with tau = 0 a limit of the position, with tau > 0 one that depends on the speed: what moves
towards its limit must still have tau seconds before it. The range is that between the start of the
way and its goal, `slack` wider, so that each question has a region of its own and an answer.

A spline lies in the hull of its control points; control points within the range keep the part of h
without speed between knots, too. The part with speed is kept by the duration T, in closed form:
with w = dq/ds at the phase s, u - q - tau w / (T r) >= 0 for r >= tau w / (T (u - q)).

W. Xiao, T.-H. Wang, C. Gan, R. Hasani, M. Lechner, D. Rus, "SafeDiffuser: Safe Planning with
Diffusion Probabilistic Models", ICLR 2025, has joint limits and limits that depend on the speed
as specifications of its arm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.problem import Start
from diffusion_control.planners.spline_problem import LIMIT_INSET_RAD, SplineProblem
from diffusion_control.planners.trace import USUAL, CostWeights
from diffusion_control.planners.world import Judgement, World
from diffusion_control.robots.limits import JointLimits
from diffusion_control.trajectory.spline import basis
from diffusion_control.trajectory.trajectory import Trajectory, between

Array = NDArray[np.float64]
LOOKED_AT, BETWEEN = 97, 10
LEAST_ROOM_RAD = 1e-3


@dataclass(frozen=True)
class JointRegion:
    """A region of configurations and velocities.

    Attributes:
        lower: l, shape [n] [rad].
        upper: u, shape [n] [rad].
        reaction_s: tau [s].
    """

    lower: Array
    upper: Array
    reaction_s: float = 0.0

    @classmethod
    def around(
        cls, start: Array, goal: Array, slack_rad: float, reaction_s: float, limits: JointLimits
    ) -> JointRegion:
        """Return the region of a way from a start to a goal, both [n] [rad]."""
        low = np.minimum(start, goal) - slack_rad
        high = np.maximum(start, goal) + slack_rad
        return cls(np.maximum(low, limits.lower_rad), np.minimum(high, limits.upper_rad),
                   reaction_s)

    def holds(self, position: Array) -> NDArray[np.bool_]:
        """Say which configurations [..., n] are in the range."""
        return np.asarray(((position >= self.lower) & (position <= self.upper)).all(-1))

    def h(self, position: Array, velocity: Array) -> Array:
        """Return h of states [..., n], shape [...] [rad]."""
        ahead = self.reaction_s * velocity
        return np.asarray(np.minimum(
            self.upper - position - ahead, position - self.lower + ahead).min(-1))


class RegionProblem(SplineProblem):
    """Spline motions that stay in a region.

    Args:
        world: As in `SplineProblem`.
        start: As there.
        limits: As there.
        region: The region.
        inset_rad: How far inside it the control points stay: the tracker needs some room.
        guidance: As there.
        weights: As there.
    """

    def __init__(
        self, world: World, start: Start, limits: JointLimits, region: JointRegion,
        inset_rad: float, *, guidance: float = 1.0, weights: CostWeights = USUAL,
    ) -> None:
        inside = LIMIT_INSET_RAD - inset_rad
        super().__init__(world, start, replace(
            limits, lower_rad=np.maximum(limits.lower_rad, region.lower - inside),
            upper_rad=np.minimum(limits.upper_rad, region.upper + inside)),
            guidance=guidance, weights=weights)
        self.region = region

    def judge(self, motion: Trajectory, *, tolerance: float = 1.0) -> Judgement:
        """See `SplineProblem.judge`; a motion that leaves the region is not free, either.

        Looked at are `BETWEEN` instants a segment. A start outside may be led back: h is never
        less than there.
        """
        judged = super().judge(motion, tolerance=tolerance)
        position, velocity, _ = motion.sample_many(
            between(motion.times_s, BETWEEN) + motion.stamp_s)
        h = self.region.h(position, velocity)
        return judged if h.min() >= min(h[0], 0.0) else replace(judged, free=False)

    def stretch(self, points: Array, duration: Array) -> Array:
        """See `SplineProblem.stretch`; T r keeps the part of h that depends on the speed, too."""
        ratio = super().stretch(points, duration)
        tau = self.region.reaction_s
        if tau == 0.0:
            return ratio
        at = basis(LOOKED_AT)
        position, slope = at.position @ points, at.velocity @ points
        room = np.where(slope > 0.0, self.region.upper - position, position - self.region.lower)
        needed = tau * np.abs(slope) / np.maximum(room, LEAST_ROOM_RAD)
        return np.asarray(np.maximum(ratio, needed.max((1, 2)) / duration))
