# SPDX-License-Identifier: Apache-2.0
"""A JointTrajectoryController in Gazebo: a low proportional gain between command and joint."""

from __future__ import annotations

import numpy as np

from diffusion_control.simulation.receivers.jtc import JointTrajectoryReceiver
from diffusion_control.trajectory.trajectory import Array


class GazeboTrajectoryReceiver(JointTrajectoryReceiver):
    """Follow the JointTrajectoryController's position as gz_ros2_control does.

    gz_ros2_control (Jazzy, position interface) turns the position error into a velocity of the
    joint, v = gain * rate * (q_command - q), which Gazebo's joint then has. With the default gain
    0.1 and rate 100 Hz this is a first-order lag of 0.1 s, limited to the joint's velocity:

        q' = clip(gain * rate * (q_command(t) - q), -v_max, v_max),

    integrated exactly over each control period (q_command held, the clip then applied).

    Args:
        names: Joint names in the controller's order.
        velocity_limit: Highest velocity of each joint [rad/s], shape [n].
        period_s: Control period [s].
        gain: `position_proportional_gain`.
        rate_hz: `update_rate` of the controller manager in Gazebo [Hz].
    """

    profile = 'gz'

    def __init__(
        self,
        names: tuple[str, ...],
        velocity_limit: Array,
        *,
        period_s: float = 0.001,
        gain: float = 0.1,
        rate_hz: float = 100.0,
    ) -> None:
        super().__init__(names, period_s=period_s)
        self._decay = -float(np.expm1(-gain * rate_hz * period_s))
        self._step_limit = velocity_limit * period_s
        self._joint = np.zeros(len(names))
        self._step = np.zeros(len(names))
        self._joint_velocity = np.zeros(len(names))

    def reset(self, position: Array, now_s: float) -> None:
        """Activate anew and hold `position`."""
        super().reset(position, now_s)
        self._joint[:] = position

    def set_point(self, now_s: float) -> tuple[Array, Array]:
        """Return the lagging position and its velocity; call it once per control period."""
        command, _ = super().set_point(now_s)
        np.subtract(command, self._joint, out=self._step)
        self._step *= self._decay
        np.clip(self._step, -self._step_limit, self._step_limit, out=self._step)
        self._joint += self._step
        np.divide(self._step, self.period_s, out=self._joint_velocity)
        return self._joint, self._joint_velocity
