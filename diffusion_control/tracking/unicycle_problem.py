# SPDX-License-Identifier: Apache-2.0
"""The horizon problem of a base: where it starts, what it shall follow, how far it errs.

    J(a) = sum_k s_k ( W_q |p_k - r_k|^2 + W_yaw (yaw_k - yaw_r,k)^2 )
           + sum_k W_v |twist_k - twist_r,k|^2 + W_u |a_k|^2 + W_s |a_k - anchor_k|^2

over knots 1..N, p = (x, y), twist the body's. The last knot counts `TERMINAL` times (s_N).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.tracking.prediction import Prediction
from diffusion_control.tracking.unicycle_kernels import NODES2, body_of, roll
from diffusion_control.trajectory.trajectory import Sample

Array = NDArray[np.float64]
TERMINAL = 4.0


@dataclass(frozen=True)
class UnicycleProblem:
    """What one tick's optimisation of a base is given; m inputs, N steps.

    Attributes:
        start: C(tau).
        pose: C(tau), x, y, yaw, shape [3].
        twist: Of the body there, u, w, omega, shape [3]; w = 0 with two driven wheels.
        acceleration: Its rate of change there, shape [3].
        reference_pose: At knots 1..N, shape [N, 3].
        reference_twist: At knots 1..N, in the reference's own frame, shape [N, 3].
        reference_acceleration: Of that twist, at knots 1..N-1, shape [N-1, 3].
        anchor: What the smoothness term pulls to, shape [N-1, 3].
    """

    start: Sample
    pose: Array
    twist: Array
    acceleration: Array
    reference_pose: Array
    reference_twist: Array
    reference_acceleration: Array
    anchor: Array


def begin(here: Sample, omni: bool) -> tuple[Array, Array]:
    """Return body twist and its rate of change at the start of a motion, shape [3] each."""
    body = body_of(
        here.position[None], here.velocity[None], here.acceleration[None], omni)
    return body[0, 0], body[1, 0]


class Horizon:
    """The maps from accelerations at knots 1..N-1 to motions of a base.

    Args:
        prediction: The maps of one axis.
        omni: Whether the base moves sideways.

    Attributes:
        columns: Of the twist that are inputs, all or the first and the last.
        times: Knots 0..N [s], shape [N+1].
        speed_at: d(speed)/d(acceleration) at two Gauss nodes of each step, shape [2N, N-1].
        yaw_at: The same of the integral of the speed, shape [2N, N-1].
    """

    def __init__(self, prediction: Prediction, omni: bool) -> None:
        self.prediction, self.omni = prediction, omni
        self._kept: tuple[UnicycleProblem, Array, Array] | None = None
        self.columns = slice(None) if omni else slice(None, None, 2)
        steps, dt = prediction.steps, prediction.dt_s
        self.times: Array = np.concatenate(([0.0], prediction.times_s))
        unit = np.eye(steps + 1, steps - 1, -1)
        speed = np.concatenate((np.zeros((1, steps - 1)), prediction.velocity_map))
        place = np.concatenate((np.zeros((1, steps - 1)), prediction.position_map))
        self.speed_at, self.yaw_at = np.empty((2 * steps, steps - 1)), np.empty(
            (2 * steps, steps - 1))
        for g in (0, 1):
            t = NODES2[g] * dt
            change = unit[1:] - unit[:-1]
            self.speed_at[g::2] = speed[:-1] + t * unit[:-1] + t**2 / (2 * dt) * change
            self.yaw_at[g::2] = (
                place[:-1] + t * speed[:-1] + t**2 / 2 * unit[:-1] + t**3 / (6 * dt) * change)

    def full(self, problem: UnicycleProblem, inputs: Array) -> Array:
        """Return the accelerations of the twist at knots 0..N, [N+1, 3], of inputs [N-1, m]."""
        rows = np.zeros((len(self.times), 3))
        rows[0] = problem.acceleration
        rows[1:-1, 0], rows[1:-1, 2] = inputs[:, 0], inputs[:, -1]
        if self.omni:
            rows[1:-1, 1] = inputs[:, 1]
        return rows

    def keep(self, problem: UnicycleProblem, full: Array, rolled: Array) -> None:
        """Remember the motion of accelerations [N+1, 3], for the next `roll` that asks for it."""
        self._kept = (problem, full[1:-1, self.columns], rolled)

    def roll(self, problem: UnicycleProblem, inputs: Array) -> Array:
        """Return pose, twist, velocity, acceleration at knots 0..N, [4, N+1, 3]."""
        if self._kept is not None:
            known, made, kept = self._kept
            if known is problem and np.array_equal(made, inputs):
                return kept
        rolled: Array = roll(
            self.times, problem.pose, problem.twist, self.full(problem, inputs))
        return rolled
