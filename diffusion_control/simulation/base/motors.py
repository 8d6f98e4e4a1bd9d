# SPDX-License-Identifier: Apache-2.0
"""From a twist to what moves the base: wheels with a lag, or for an omnidirectional one a push."""

from __future__ import annotations

from typing import Any, Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.simulation.base.model import GRAVITY_M_S2, SERVO_GAIN, WHEELS
from diffusion_control.simulation.model import PERIOD_S
from diffusion_control.simulation.plant import Plant

Array = NDArray[np.float64]
PUSH_S = 0.005


class Motors(Protocol):
    """What drives a base.

    Attributes:
        demand_nm: What the drives ask for, before the clamp: torques of the wheels, or force
            [N] and torque on the body.
        travel_m: What they believe to have moved in the last period: left and right wheel on the
            floor, or forward, sideways and the turn [rad] of the body.
    """

    demand_nm: Array
    travel_m: Array

    def reset(self) -> None:
        """Stand still."""

    def drive(self, data: Any, twist: Array) -> None:
        """Write what acts during the next period for a wanted twist [3] into the physics."""

    def read(self, data: Any, body_velocity: Array) -> None:
        """Take what moved in the last period; the true twist of the body is [3]."""


class DelayedLag:
    """A set-point that arrives `delay_s` later and is followed with a time constant.

    x' = (u(t - delay) - x) / lag, exactly for a held u.
    """

    def __init__(self, width: int, delay_s: float, lag_s: float) -> None:
        self._ring = np.zeros((round(delay_s / PERIOD_S) + 1, width))
        self._slot = 0
        self._share = 1.0 if lag_s <= 0.0 else -float(np.expm1(-PERIOD_S / lag_s))
        self.value = np.zeros(width)

    def reset(self) -> None:
        """Stand at 0."""
        self._ring[:] = 0.0
        self.value[:] = 0.0

    def update(self, wanted: Array) -> Array:
        """Take a set-point; return what is followed now."""
        self._ring[self._slot] = wanted
        self._slot = (self._slot + 1) % len(self._ring)
        self.value += self._share * (self._ring[self._slot] - self.value)
        return self.value


class WheelMotors:
    """Two wheels: v_wheel = v -+ omega w / 2 in terms of the robot file, over delay and lag.

    The servo asks for the torque  k (wanted - true)  of the wheel's speed; the engine clamps it.

    Args:
        robot: The nominal robot.
        plant: Delay, and the factor on the lag.
        model: mujoco.MjModel.
    """

    def __init__(self, robot: Base, plant: Plant, model: Any) -> None:
        self._radius_m = robot.drive.wheel_radius_m
        self._half_m = robot.drive.wheel_separation_m / 2
        self._most = robot.drive.wheel_speed_max_rad_s
        joints = [model.joint(name).id for name in WHEELS]
        self._angle = np.array([model.jnt_qposadr[j] for j in joints])
        self._rate = np.array([model.jnt_dofadr[j] for j in joints])
        self._lag = DelayedLag(2, plant.delay_s, robot.plant.motor_lag_s * plant.base.lag_scale)
        self._before, self._wanted = np.zeros(2), np.zeros(2)
        self.demand_nm, self.travel_m = np.zeros(2), np.zeros(2)

    def reset(self) -> None:
        """Stand still."""
        self._lag.reset()
        self.demand_nm[:] = self.travel_m[:] = 0.0

    def drive(self, data: Any, twist: Array) -> None:
        """Write the wanted speeds of the wheels."""
        turn = twist[2] * self._half_m
        self._wanted[0], self._wanted[1] = twist[0] - turn, twist[0] + turn
        self._wanted /= self._radius_m
        np.clip(self._wanted, -self._most, self._most, out=self._wanted)
        speed = self._lag.update(self._wanted)
        np.subtract(speed, data.qvel[self._rate], out=self.demand_nm)
        self.demand_nm *= SERVO_GAIN
        data.ctrl[:] = speed
        self._before[:] = data.qpos[self._angle]

    def read(self, data: Any, body_velocity: Array) -> None:
        """Take what the encoders counted."""
        del body_velocity
        np.subtract(data.qpos[self._angle], self._before, out=self.travel_m)
        self.travel_m *= self._radius_m


class PlanarMotors:
    """A push on the body that holds its twist at the wanted one, at most as hard as the grip.

    f = m (wanted - true) / 5 ms, |f| <= mu m g; the torque likewise with the inertia.

    Args:
        robot: The nominal robot.
        plant: Delay, and the factors on lag and grip.
        model: mujoco.MjModel.
    """

    def __init__(self, robot: Base, plant: Plant, model: Any) -> None:
        self._body = int(model.body(robot.body_frame).id)
        mass = float(model.body_mass[self._body])
        inertia = float(model.body_inertia[self._body][2])
        grip = robot.plant.wheel_friction * plant.base.grip_scale * mass * GRAVITY_M_S2
        reach = float(np.hypot(*robot.config.outline.T).max())
        self._gain = np.array([mass, mass, inertia]) / PUSH_S
        self._most_n, self._most_nm = grip, grip * reach
        self._lag = DelayedLag(3, plant.delay_s, robot.plant.motor_lag_s * plant.base.lag_scale)
        self._velocity = np.zeros(3)
        self.demand_nm, self.travel_m = np.zeros(3), np.zeros(3)

    def reset(self) -> None:
        """Stand still."""
        self._lag.reset()
        self._velocity[:] = self.demand_nm[:] = self.travel_m[:] = 0.0

    def drive(self, data: Any, twist: Array) -> None:
        """Write the push."""
        demand = self.demand_nm
        np.subtract(self._lag.update(twist), self._velocity, out=demand)
        demand *= self._gain
        share = min(1.0, self._most_n / max(float(np.hypot(demand[0], demand[1])), 1e-9))
        turn = data.xmat[self._body]
        push = data.xfrc_applied[self._body]
        push[0] = share * (turn[0] * demand[0] + turn[1] * demand[1])
        push[1] = share * (turn[3] * demand[0] + turn[4] * demand[1])
        push[5] = min(max(demand[2], -self._most_nm), self._most_nm)

    def read(self, data: Any, body_velocity: Array) -> None:
        """Take what the body moved."""
        del data
        self._velocity[:] = body_velocity
        np.multiply(body_velocity, PERIOD_S, out=self.travel_m)


def make_motors(robot: Base, plant: Plant, model: mujoco.MjModel) -> WheelMotors | PlanarMotors:
    """Return what drives a base of its kind."""
    kind = WheelMotors if robot.drive.kind == 'diff_drive' else PlanarMotors
    return kind(robot, plant, model)
