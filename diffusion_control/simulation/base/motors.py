# SPDX-License-Identifier: Apache-2.0
"""From a twist to what moves the base: wheels with a lag, or for an omnidirectional one a push."""

from __future__ import annotations

from collections.abc import Sequence
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
STILL = (0.0, 0.0, 0.0)


class Motors(Protocol):
    """What drives a base.

    Attributes:
        demand_nm: What the drives ask for, before the clamp: torques of the wheels, or force
            [N] and torque on the body.
        travel_m: What they believe to have moved in the last period: left and right wheel on the
            floor, or forward, sideways and the turn [rad] of the body.
    """

    demand_nm: Array
    travel_m: Sequence[float]

    def attach(self, data: Any) -> None:
        """Work on a state of the physics, mujoco.MjData, from now on."""

    def reset(self) -> None:
        """Stand still."""

    def drive(self, twist: Sequence[float]) -> None:
        """Write what acts during the next period for a wanted twist [3] into the physics."""

    def read(self, body_velocity: Sequence[float]) -> None:
        """Take what moved in the last period; the true twist of the body is [3]."""


class DelayedLag:
    """A set-point that arrives `delay_s` later and is followed with a time constant.

    x' = (u(t - delay) - x) / lag, exactly for a held u.
    """

    def __init__(self, width: int, delay_s: float, lag_s: float) -> None:
        self._still = [0.0] * width
        self._ring: list[Sequence[float]] = [self._still] * (round(delay_s / PERIOD_S) + 1)
        self._slot = 0
        self._share = 1.0 if lag_s <= 0.0 else -float(np.expm1(-PERIOD_S / lag_s))
        self.value = self._still

    def reset(self) -> None:
        """Stand at 0."""
        self._ring[:] = [self._still] * len(self._ring)
        self.value = self._still

    def update(self, wanted: Sequence[float]) -> list[float]:
        """Take a set-point, which is kept; return what is followed now."""
        self._ring[self._slot] = wanted
        self._slot = (self._slot + 1) % len(self._ring)
        late, share = self._ring[self._slot], self._share
        self.value = [now + share * (u - now) for now, u in zip(self.value, late, strict=True)]
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
        self._angle = [int(model.jnt_qposadr[j]) for j in joints]
        self._rate = [int(model.jnt_dofadr[j]) for j in joints]
        self._lag = DelayedLag(2, plant.delay_s, robot.plant.motor_lag_s * plant.base.lag_scale)
        self._before = self.travel_m = (0.0, 0.0)
        self.demand_nm = np.zeros(2)

    def attach(self, data: Any) -> None:
        """Work on a state of the physics from now on."""
        self._angles, self._rates, self._ctrl = data.qpos, data.qvel, data.ctrl

    def reset(self) -> None:
        """Stand still."""
        self._lag.reset()
        self.demand_nm[:] = 0.0
        self.travel_m = (0.0, 0.0)

    def drive(self, twist: Sequence[float]) -> None:
        """Write the wanted speeds of the wheels."""
        most, turn = self._most, twist[2] * self._half_m
        left = (twist[0] - turn) / self._radius_m
        right = (twist[0] + turn) / self._radius_m
        left, right = self._lag.update(
            (min(max(left, -most), most), min(max(right, -most), most)))
        (i, j), demand, ctrl = self._rate, self.demand_nm, self._ctrl
        demand[0] = (left - self._rates.item(i)) * SERVO_GAIN
        demand[1] = (right - self._rates.item(j)) * SERVO_GAIN
        ctrl[0], ctrl[1] = left, right
        self._before = self._counted()

    def read(self, body_velocity: Sequence[float]) -> None:
        """Take what the encoders counted."""
        del body_velocity
        (left, right), before = self._counted(), self._before
        self.travel_m = (left - before[0]) * self._radius_m, (right - before[1]) * self._radius_m

    def _counted(self) -> tuple[float, float]:
        i, j = self._angle
        return self._angles.item(i), self._angles.item(j)


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
        self._gain = mass / PUSH_S, inertia / PUSH_S
        self._most_n, self._most_nm = grip, grip * reach
        self._lag = DelayedLag(3, plant.delay_s, robot.plant.motor_lag_s * plant.base.lag_scale)
        self._velocity: Sequence[float] = STILL
        self.travel_m: Sequence[float] = STILL
        self.demand_nm = np.zeros(3)

    def attach(self, data: Any) -> None:
        """Work on a state of the physics from now on."""
        self._turn, self._push = data.xmat[self._body], data.xfrc_applied[self._body]

    def reset(self) -> None:
        """Stand still."""
        self._lag.reset()
        self._velocity = self.travel_m = STILL
        self.demand_nm[:] = 0.0

    def drive(self, twist: Sequence[float]) -> None:
        """Write the push."""
        (mass, inertia), (x, y, yaw) = self._gain, self._velocity
        wanted = self._lag.update(twist)
        ahead, aside = (wanted[0] - x) * mass, (wanted[1] - y) * mass
        spin = (wanted[2] - yaw) * inertia
        share = min(1.0, self._most_n / max(float(np.hypot(ahead, aside)), 1e-9))
        turn, push, demand = self._turn.tolist(), self._push, self.demand_nm
        push[0] = share * (turn[0] * ahead + turn[1] * aside)
        push[1] = share * (turn[3] * ahead + turn[4] * aside)
        push[5] = min(max(spin, -self._most_nm), self._most_nm)
        demand[0], demand[1], demand[2] = ahead, aside, spin

    def read(self, body_velocity: Sequence[float]) -> None:
        """Take what the body moved."""
        self._velocity = body_velocity
        self.travel_m = [value * PERIOD_S for value in body_velocity]


def make_motors(robot: Base, plant: Plant, model: mujoco.MjModel) -> WheelMotors | PlanarMotors:
    """Return what drives a base of its kind."""
    kind = WheelMotors if robot.drive.kind == 'diff_drive' else PlanarMotors
    return kind(robot, plant, model)
