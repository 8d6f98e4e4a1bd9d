# SPDX-License-Identifier: Apache-2.0
"""The joint drives: a delayed set-point, PD, gravity of the nominal model, clamped torque."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgesv

from diffusion_control.robots.jit import kernel

if TYPE_CHECKING:
    from diffusion_control.robots.arm import Arm

Array = NDArray[np.float64]


class Drive:
    """Turn set-points into joint torques.

    With the set-point (q_s, v_s) of `delay_s` ago, stiffness k and damping d of the robot file
    times the plant's scales,

        demand = k (q_s - q) + d (v_s - v) + g_nominal(q),   torque = clip(demand, -max, max).

    A drive closes this loop many times faster than the simulation steps (h = 1 ms), and explicit
    damping would be unstable where d h exceeds twice the inertia of a light joint. So the damping
    acts on the velocity at the end of the step, v + a, where without the clamp

        (M + h d) a = h (k (q_s - q) + d (v_s - v) + g_nominal(q) - c),

    M being the plant's inertia and c its bias minus passive torques: linearly implicit, stable
    for every gain, and the clamp acts on the torque that is really applied.

    The drive's own encoder is taken as exact; noise is what the network sees of it.

    Args:
        robot: Nominal robot: drive constants, torque limits, gravity.
        delay_s: Time from set-point to drive [s].
        period_s: Period h of the calls [s].
        scales: On stiffness and damping, shape [2, n]; None: 1.
    """

    def __init__(
        self, robot: Arm, delay_s: float, period_s: float,
        scales: tuple[Array, Array] | None = None,
    ) -> None:
        joints = robot.dof
        self._gravity = robot.gravity
        softer, slacker = scales or np.ones((2, joints))
        self._stiffness = softer * robot.drive.stiffness
        self._damping = slacker * robot.drive.damping
        self._period_s, self._added = period_s, period_s * self._damping
        self._limit = robot.limits.torque_nm
        self._ring = np.zeros((round(delay_s / period_s) + 1, 2, joints))
        self._slot = 0
        self.demand_nm = np.zeros(joints)
        self.torque_nm = np.zeros(joints)
        self._error = np.zeros(joints)
        still = self.demand_nm  # compiles the kernels, which no update has time for
        self.update(still, still, self.torque_nm, self.torque_nm, np.eye(joints), still)

    def reset(self, position: Array) -> None:
        """Fill the delay line with a standing set-point."""
        self._ring[:, 0] = position
        self._ring[:, 1] = 0.0
        self.demand_nm[:] = 0.0

    def update(
        self, set_position: Array, set_velocity: Array, position: Array, velocity: Array,
        inertia: Array, bias: Array,
    ) -> Array:
        """Return the torque [Nm] of this period, shape [n]; `demand_nm` is it before the clamp.

        Args:
            set_position: From the receiver now [rad], shape [n].
            set_velocity: [rad/s], shape [n].
            position: True positions [rad], shape [n].
            velocity: True velocities [rad/s], shape [n].
            inertia: M of the plant [kg m^2], shape [n, n]; overwritten.
            bias: c of the plant [Nm], shape [n].
        """
        now, self._slot = self._slot, (self._slot + 1) % len(self._ring)
        self._ring[now, 0] = set_position
        self._ring[now, 1] = set_velocity
        _ask(self._ring[self._slot], position, velocity, self._stiffness, self._damping,
             self._gravity(position), bias, self._added, self._period_s,
             inertia, self.demand_nm, self._error)
        change = dgesv(inertia.T, self._error, overwrite_a=True)[2]  # as numpy, without its checks
        _damp(change, self._damping, self._limit, self.demand_nm, self.torque_nm)
        return self.torque_nm


@kernel()
def _ask(
    late: Array, position: Array, velocity: Array, stiffness: Array, damping: Array,
    gravity: Array, bias: Array, added: Array, period_s: float, inertia: Array, demand: Array,
    push: Array,
) -> None:
    """Write the demand without the damping's share of a, and both sides of a's equation."""
    for k in range(demand.shape[0]):
        asked = (late[0, k] - position[k]) * stiffness[k]
        asked += (late[1, k] - velocity[k]) * damping[k]
        asked += gravity[k]
        demand[k], push[k] = asked, (asked - bias[k]) * period_s
        inertia[k, k] += added[k]


@kernel()
def _damp(change: Array, damping: Array, limit: Array, demand: Array, torque: Array) -> None:
    """Take the damping of the change of velocity [n] off the demand, and clamp the torque."""
    for k in range(demand.shape[0]):
        demand[k] -= damping[k] * change[k]
        asked = demand[k]
        if asked > limit[k]:
            asked = limit[k]
        if asked < -limit[k]:
            asked = -limit[k]
        torque[k] = asked
