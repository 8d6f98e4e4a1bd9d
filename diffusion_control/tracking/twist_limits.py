# SPDX-License-Identifier: Apache-2.0
"""What a base's twist may be: rows on (u, omega), or (u, w, omega) of an omnidirectional base.

Two driven wheels, w the distance of their tracks (all limits times `scale`):

    -reverse <= u <= speed,   |omega| <= yaw rate,   |u -+ w omega / 2| <= wheel speed.

Omnidirectional (four Mecanum wheels): |(u, w)| <= speed as an octagon inside that circle with
corners straight ahead and to the sides, and |u +- w +- w_track omega / 2| <= wheel speed.

Accelerations: speed up within `acceleration`, slow down within `braking` (granted where the
prediction moves that way already), each axis of an omnidirectional base within 1 / sqrt 2 of it;
|omega'| <= yaw acceleration; |a_k - a_{k-1}| <= jerk dt.

A start outside (safety brakes harder than the tracker plans) may come back as fast as the limits
allow, as in `bounds.py`: the bound of a row is at least its largest value over the twists on the
fastest way back to rest. So no slack is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.tracking.twist_kernels import (
    box_bounds,
    most_over,
    row_bounds,
    runs_away,
)

Array = NDArray[np.float64]
MARGIN = 1e-6
MOVING_M_S = 0.02
SIDES = 4


class TwistLimits:
    """Limits of twist, acceleration and jerk of one base, scaled.

    Args:
        robot: Needs `drive` and `limits`.
        scale: Share of all limits that is used.

    Attributes:
        scale: As given.
        inputs: m, 2 or 3.
        omni: Whether the base moves sideways.
        rows: G, shape [K, m]; the first m are the twist's own components where there is one.
        lower: Least G twist, shape [K].
        upper: Largest G twist, shape [K].
        faster: Largest acceleration that increases a component's size, shape [m].
        slower: Largest one that reduces it, shape [m].
        jerk: shape [m].
        names: Of the rows, shape [K].
    """

    def __init__(self, robot: Any, scale: float = 0.9) -> None:
        drive = robot.drive
        self.omni, self.scale = drive.kind == 'omni', scale
        self.inputs = 3 if self.omni else 2
        make = self._mecanum if self.omni else self._two_wheels
        self.rows, low, high = make(drive)
        self.lower, self.upper = scale * low, scale * high
        self.names: tuple[str, ...] = (
            *(['speed'] * SIDES if self.omni else ['speed']), 'yaw rate',
            *['wheel'] * (4 if self.omni else 2))
        share = np.array([0.5**0.5] * 2 + [1.0] if self.omni else [1.0, 1.0])
        ahead, turn = drive.acceleration_max_m_s2, drive.yaw_acceleration_max_rad_s2
        brake = drive.braking_max_m_s2
        axes = self.inputs - 1
        self.faster: Array = scale * share * np.array([ahead] * axes + [turn])
        self.slower: Array = scale * share * np.array([brake] * axes + [turn])
        jerk = robot.limits.jerk_rad_s3
        self.jerk: Array = scale * share * np.array([jerk[0]] * axes + [jerk[2]])

    @staticmethod
    def _two_wheels(drive: Any) -> tuple[Array, Array, Array]:
        half, travel = drive.wheel_separation_m / 2, _travel(drive)
        rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, half], [1.0, -half]])
        high = np.array([drive.speed_max_m_s, drive.yaw_rate_max_rad_s, travel, travel])
        low = -high
        low[0] = -drive.reverse_max_m_s
        return rows, low, high

    @staticmethod
    def _mecanum(drive: Any) -> tuple[Array, Array, Array]:
        half, travel = drive.wheel_separation_m / 2, _travel(drive)
        angles = np.pi / (2 * SIDES) * (1 + 2 * np.arange(SIDES))
        rows = np.concatenate((
            np.stack((np.cos(angles), np.sin(angles), 0 * angles), axis=1), [[0.0, 0.0, 1.0]],
            [[1.0, 1.0, half], [1.0, 1.0, -half], [1.0, -1.0, half], [1.0, -1.0, -half]]))
        side = drive.speed_max_m_s * np.cos(np.pi / (2 * SIDES))
        high = np.array([side] * SIDES + [drive.yaw_rate_max_rad_s] + [travel] * 4)
        return rows, -high, high

    def joint_limits(self) -> JointLimits:
        """Return limits of (way, yaw), or (forward, left, yaw), for stops along the body's axes.

        The speeds are wide: a stop only reduces them.
        """
        far = np.full(self.inputs, 1e6)
        speed = 2.0 * np.abs(self.upper).max() * np.ones(self.inputs)
        return JointLimits(-far, far, speed, self.slower, self.jerk, np.full(self.inputs, 1e6))

    def over(self, twist: Array) -> Array:
        """Return how far twists [T, m] lie beyond each row's bound at most, shape [K]."""
        excess: Array = most_over(twist, self.rows, self.lower, self.upper)
        return excess

    def bounds(self, twist: Array, acceleration: Array, steps: int, dt_s: float) -> Array:
        """Return bounds [2, K N + m N] of the rows, then of a_k - a_{k-1}, at each step.

        The rows at the control points of the twist (`prediction.py`), less what the start adds.

        Args:
            twist: At knot 0, shape [m].
            acceleration: At knot 0, shape [m].
            steps: N.
            dt_s: Step [s].
        """
        out: Array = row_bounds(
            twist, acceleration, self.rows, self.lower, self.upper, self.slower, self.faster,
            self.jerk * dt_s, dt_s, steps, MARGIN)
        return out

    def box(self, twist: Array, start: Array, dt_s: float) -> Array:
        """Return bounds [2, m (N-1)] of the accelerations at knots 1..N-1, axis by axis.

        Args:
            twist: Predicted at knots 0..N, shape [N+1, m]; braking is granted at a knot where
                this and the next one move the way that is braked.
            start: Acceleration at knot 0, shape [m]; from beyond the limits it may come back.
            dt_s: Step [s].
        """
        out: Array = box_bounds(
            twist, start, self.slower, self.faster, self.jerk * dt_s, MOVING_M_S)
        return out

    def runs_away(self, twist: Array, inputs: Array, start: Array, dt_s: float) -> bool:
        """Return whether a component speeds up with what is only granted to braking.

        Args:
            twist: At knots 0..N, shape [N+1, m].
            inputs: Accelerations at knots 1..N-1, shape [N-1, m].
            start: Acceleration at knot 0, shape [m].
            dt_s: Step [s].
        """
        return bool(runs_away(
            twist, inputs, self.box(twist, start, dt_s), MOVING_M_S, MARGIN))


def _travel(drive: Any) -> float:
    return float(drive.wheel_speed_max_rad_s * drive.wheel_radius_m)
