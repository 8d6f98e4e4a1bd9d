# SPDX-License-Identifier: Apache-2.0
"""The plain peer of the base's MPC: Kanayama's tracking law, rolled out over the horizon.

With the reference's pose seen from the body, (e_x, e_y, e_yaw), and its twist (u_r, omega_r):

    u = u_r cos e_yaw + K_x e_x,
    omega = omega_r + u_r (K_y e_y + K_yaw sin e_yaw) + K_0 e_yaw

(w = K_x e_y + what u_r, w_r are seen from the body, if the base moves sideways). The last term is
ours: it turns a base that stands. The twist is clipped to its rows, reached within one step and
the accelerations' and jerk's limits. It foresees nothing.

Original: Y. Kanayama, Y. Kimura, F. Miyazaki, T. Noguchi, "A stable tracking control method for
an autonomous mobile robot", IEEE ICRA 1990.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.tracking.formulation import UNCONSTRAINED, HorizonSolution
from diffusion_control.tracking.reference import ReferenceWindow
from diffusion_control.tracking.twist_limits import TwistLimits
from diffusion_control.tracking.unicycle_kernels import roll
from diffusion_control.tracking.unicycle_problem import Horizon, UnicycleProblem

Array = NDArray[np.float64]


class UnicyclePd:
    """Roll the feedback law out over the horizon.

    Args:
        horizon: The maps.
        limits: Scaled limits.
        ahead: K_x [1/s].
        across: K_y [1/m^2].
        heading: K_yaw [1/m].
        standing: K_0 [1/s].
    """

    solver_name = 'pd'

    def __init__(
        self, horizon: Horizon, limits: TwistLimits, *, ahead: float = 2.0, across: float = 12.0,
        heading: float = 5.0, standing: float = 1.5,
    ) -> None:
        self._horizon, self._limits = horizon, limits
        self._ahead, self._across, self._heading = ahead, across, heading
        self._standing = standing

    def choose(
        self, problem: UnicycleProblem, window: ReferenceWindow, shifted: Array | None
    ) -> tuple[HorizonSolution, str]:
        """Return the rolled-out accelerations; there is no warm start (`cold`)."""
        limits, dt = self._limits, self._horizon.prediction.dt_s
        columns, times = self._horizon.columns, np.array([0.0, dt])
        full = self._horizon.full(problem, problem.anchor * 0.0)
        pose, twist = problem.pose, problem.twist
        active = np.zeros(limits.inputs, dtype=np.bool_)
        for k in range(1, len(full) - 1):
            before = full[k - 1, columns]
            target = self._wanted(pose, problem, k - 1)
            kept = self._clip(target)
            now = twist[columns]
            wanted = 2.0 * (kept - now) / dt - before
            low, high = limits.box(np.repeat(now[None], 3, axis=0), before, dt)
            step = limits.jerk * dt
            chosen = np.clip(np.clip(wanted, low, high), before - step, before + step)
            active |= (np.abs(chosen - wanted) > 1e-9) | (np.abs(kept - target) > 1e-9)
            full[k, columns] = chosen
            rolled = roll(times, pose, twist, full[k - 1:k + 1])
            pose, twist = rolled[0, 1], rolled[1, 1]
        return HorizonSolution(full[1:-1, columns].copy(), UNCONSTRAINED, 0, active), 'cold'

    def _wanted(self, pose: Array, problem: UnicycleProblem, k: int) -> Array:
        away, feed = problem.reference_pose[k] - pose, problem.reference_twist[k]
        c, s = np.cos(pose[2]), np.sin(pose[2])
        ahead, across = c * away[0] + s * away[1], -s * away[0] + c * away[1]
        turn = (away[2] + np.pi) % (2 * np.pi) - np.pi
        forward = feed[0] * np.cos(turn) - feed[1] * np.sin(turn) + self._ahead * ahead
        rate = feed[2] + self._standing * turn
        if self._limits.omni:
            left = feed[0] * np.sin(turn) + feed[1] * np.cos(turn) + self._ahead * across
            return np.array([forward, left, rate])
        rate += feed[0] * (self._across * across + self._heading * np.sin(turn))
        return np.array([forward, rate])

    def _clip(self, twist: Array) -> Array:
        """Return the twist shrunk into its rows; only turned where backwards is forbidden."""
        kept = twist.copy()
        if not self._limits.omni:
            kept[0] = max(kept[0], self._limits.lower[0])
        value = self._limits.rows @ kept
        bound = np.where(value > 0.0, self._limits.upper, -self._limits.lower)
        share = np.abs(value) / np.maximum(bound, 1e-9)
        shrunk: Array = kept / max(1.0, float(share.max()))
        return shrunk
