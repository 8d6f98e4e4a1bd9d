# SPDX-License-Identifier: Apache-2.0
"""The joint drives: a delayed set-point, PD, gravity of the nominal model, clamped torque."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

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
        self._low = -self._limit
        self._ring = np.zeros((round(delay_s / period_s) + 1, 2, joints))
        self._slot = 0
        self.demand_nm = np.zeros(joints)
        self.torque_nm = np.zeros(joints)
        self._error = np.zeros(joints)

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
        self._ring[self._slot, 0] = set_position
        self._ring[self._slot, 1] = set_velocity
        self._slot = (self._slot + 1) % len(self._ring)
        late_position, late_velocity = self._ring[self._slot]
        demand, error = self.demand_nm, self._error
        np.subtract(late_position, position, out=demand)
        demand *= self._stiffness
        np.subtract(late_velocity, velocity, out=error)
        error *= self._damping
        demand += error
        demand += self._gravity(position)
        inertia.flat[::len(demand) + 1] += self._added
        np.subtract(demand, bias, out=error)
        error *= self._period_s
        demand -= self._damping * np.linalg.solve(inertia, error)
        np.minimum(demand, self._limit, out=self.torque_nm)
        np.maximum(self.torque_nm, self._low, out=self.torque_nm)
        return self.torque_nm
