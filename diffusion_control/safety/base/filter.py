# SPDX-License-Identifier: Apache-2.0
"""Barriers of a base on its twist (u, w, omega), and which of their rows go into the programme.

With d the distance of a disc to an obstacle, the walls or a point of the scan, n' J(yaw) its
slope in the twist, and v_o the obstacle's velocity, the base approaches at W = n' v_o - n' J u.
If the monitor dies now, the twist is held for T = lead + `receiver_timeout_s` + the motors' lag
before anything brakes, then with a_d = share sum_k |(n' J)_k| a_k, so the barrier
h = d - margin - growth - (what a stop needs) >= 0 asks for

    T W + W^2 / (2 a_d) <= D,    n' J u >= n' v_o + a_d T - sqrt(a_d^2 T^2 + 2 a_d D),

and besides W <= gamma D; D < 0 asks for a retreat of 2 D a second. If it dies at the end of its
own stop, the base has gone on for the lead and the stop alone (T = lead, v_o = 0), but the mover
for T more. `growth` is how much nearer than at its velocity a mover can be by then: it turns until
the monitor dies (`verify`). Hard: 0.95 of the speeds (a base
overshoots, and a retreat may ask for all), what the accelerations reach in the step, and the
wheels, |u -+ omega w / 2| <= wheel speed; the twist of the stored motion is always admitted.

Original: A. D. Ames, X. Xu, J. W. Grizzle, P. Tabuada, "Control Barrier Function Based Quadratic
Programs for Safety Critical Systems", IEEE Transactions on Automatic Control 62(8), 2017.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.robots.base_silence import Silence
from diffusion_control.robots.jit import kernel
from diffusion_control.robots.nearest import OWN
from diffusion_control.safety.barrier_set import EARLIER_M, MOVING, STANDING
from diffusion_control.safety.barriers.step import RECOVERY_HZ, Bounds, Rows, Step
from diffusion_control.safety.base.arc import twist_at
from diffusion_control.safety.base.candidates import rates_of, reach
from diffusion_control.safety.base.verify import SPARE_M
from diffusion_control.safety.filter import BarrierFilter, Filtered
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.verify import Surroundings
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
NEAREST_ROWS = 24
WITHIN = 0.95
LEAST_M_S2 = 0.1
(SILENT, DELAY, BRAKE, YAW_BRAKE, MARGIN, OWN_MARGIN, SPEED, ERROR, TURN, TURNING, HALF,
 WHEEL) = range(12)
"""What the kernel's `numbers` hold: how long the last twist is held [s], the command's delay [s],
decelerations [m/s^2, rad/s^2], margins [m], bounds of the movers (speed, its error, acceleration,
for how long they turn on), and of the wheels half the distance [m] and the speed [m/s]."""


class BaseBarriers:
    """Evaluate the barriers of one base; the same methods as `BarrierSet`.

    Args:
        robot: Drive and footprint.
        parameters: Margins, gains and bounds.
    """

    def __init__(self, robot: Base, parameters: SafetyParameters) -> None:
        """Take over what is needed."""
        self._robot = robot
        drive, share = robot.drive, parameters.braking_fraction
        self._rates = rates_of(drive)
        self._numbers = np.array([
            Silence.of(drive, parameters.receiver_timeout_s).hold_s,
            parameters.command_delay_s + robot.plant.motor_lag_s,
            share * drive.braking_max_m_s2, share * drive.yaw_acceleration_max_rad_s2,
            parameters.margin_m, parameters.own_margin_m, parameters.obstacles_max_speed_m_s,
            parameters.obstacles_velocity_error_m_s, parameters.obstacles_max_acceleration_m_s2,
            parameters.silence_turning_s, drive.wheel_separation_m / 2,
            drive.wheel_travel_max_m_s])
        omni = drive.kind == 'omni'
        scale = WITHIN * parameters.speed_scale
        backward = drive.speed_max_m_s if omni else drive.reverse_max_m_s
        side = drive.speed_max_m_s if omni else 0.0
        self._high = scale * np.array([drive.speed_max_m_s, side, drive.yaw_rate_max_rad_s])
        self._low = -scale * np.array([backward, side, drive.yaw_rate_max_rad_s])

    def bounds(self, step: Step) -> Bounds:
        """Return the bounds of the twist: limits, in reach; `step.stopping` is inside."""
        low, high = reach(step.velocity, step.duration_s, self._rates)
        lower = np.minimum(np.maximum(self._low, low), high)
        upper = np.maximum(np.minimum(self._high, high), low)
        return Bounds(np.minimum(lower, step.stopping), np.maximum(upper, step.stopping))

    def rows(self, step: Step, nominal: Array) -> Rows:
        """Return the rows of distances and wheels."""
        near = self._robot.collision.nearest(
            step.position, step.obstacles,
            step.late_s * step.obstacles.may_move.astype(np.float64), limit=NEAREST_ROWS)
        return Rows(*_rows(
            near.distance_m, near.slope, near.normal, near.obstacle, step.obstacles.may_move,
            step.obstacles.velocity_m_s, step.position[2], step.velocity, step.stopping,
            self._numbers, np.array([
                step.duration_s, step.late_s, step.deviation_m, step.class_k_gain])))


@kernel(inline=True)
def _growth(towards: float, dead_s: float, rest_s: float, late_s: float, numbers: Any) -> float:
    """Return how much nearer than at its velocity a mover can be when the base rests [m].

    Args:
        towards: Its approach at its velocity [m/s].
        dead_s: The monitor dies so long after the tick.
        rest_s: The base rests so long after it.
        late_s: How long after it was seen the tick is felt.
        numbers: See `_rows`.
    """
    turning_s = late_s - numbers[DELAY] + dead_s + numbers[TURNING]
    unknown = numbers[ERROR] + numbers[TURN] * turning_s
    nearer: float = (late_s + rest_s) * min(unknown, max(numbers[SPEED] - towards, 0.0))
    return nearer


@kernel(inline=True)
def _approach(room: float, decelerates: float, hold_s: float, gain: float) -> float:
    """Return the largest admitted approach W [m/s]."""
    if room < 0.0:
        return RECOVERY_HZ * room
    held = decelerates * hold_s
    return min(-held + math.sqrt(held * held + 2.0 * decelerates * room), gain * room)


@kernel()
def _rows(
    distance: Any, pose_slope: Any, normal: Any, obstacle: Any, may_move: Any, speed: Any,
    yaw: float, velocity: Any, stopping: Any, numbers: Any, now: Any,
) -> Any:
    """Return slope [M + 4, 3], floor, class and room [M + 4] of M distances and the wheels.

    Args:
        distance: Of the pairs [M] [m].
        pose_slope: Their slopes in x, y, yaw [M, 3].
        normal: From the obstacle to the base [M, 3].
        obstacle: Index, or `OWN` [M].
        may_move: Of the obstacles [k].
        speed: Of the obstacles [k, 3].
        yaw: Of the base [rad].
        velocity: Its twist [3].
        stopping: The twist of the stored motion after the step [3].
        numbers: See `SILENT` and what follows.
        now: Duration, lateness [s], deviation [m] and gain of the step.
    """
    count, gain = len(distance), now[3]
    slope, floor = np.zeros((count + 4, 3)), np.empty(count + 4)
    softness, room = np.full(count + 4, -1), np.empty(count + 4)
    c, s = math.cos(yaw), math.sin(yaw)
    hold_s = now[0] + numbers[SILENT]
    brake_s = math.hypot(velocity[0], velocity[1]) / numbers[BRAKE]
    last_s = now[0] + brake_s
    for k in range(count):
        a, b = pose_slope[k, 0], pose_slope[k, 1]
        slope[k, 0], slope[k, 1], slope[k, 2] = a * c + b * s, b * c - a * s, pose_slope[k, 2]
        decelerates = max((abs(slope[k, 0]) + abs(slope[k, 1])) * numbers[BRAKE]
                          + abs(slope[k, 2]) * numbers[YAW_BRAKE], LEAST_M_S2)
        which = obstacle[k]
        margin = numbers[OWN_MARGIN] if which == OWN else numbers[MARGIN]
        free = distance[k] - margin - EARLIER_M - SPARE_M - now[2]
        softness[k], room[k], towards = STANDING, free, 0.0
        if which == OWN or not may_move[which]:
            floor[k] = towards - _approach(free, decelerates, hold_s, gain)
            continue
        softness[k] = MOVING
        for j in range(3):
            towards += normal[k, j] * speed[which, j]
        soon = free - _growth(towards, now[0], hold_s + brake_s, now[1], numbers)
        rest_s = last_s + numbers[SILENT]
        later = free - towards * rest_s - _growth(towards, last_s, rest_s, now[1], numbers)
        floor[k] = max(towards - _approach(soon, decelerates, hold_s, gain),
                       -_approach(later, decelerates, now[0], gain))
        room[k] = min(soon, later)
    for k in range(4):
        ahead, turn = (1.0, -1.0)[k // 2], (1.0, -1.0)[k % 2]
        row = slope[count + k]
        row[0], row[2] = ahead, ahead * turn * numbers[HALF]
        floor[count + k] = min(-numbers[WHEEL], row[0] * stopping[0] + row[2] * stopping[2])
        room[count + k] = row[0] * velocity[0] + row[2] * velocity[2] - floor[count + k]
    return slope, floor, softness, room


class BaseStepFilter:
    """Filter the twist that a motion asks for, seen from C.

    Args:
        robot: The base.
        parameters: Margins, gains and bounds.
    """

    def __init__(self, robot: Base, parameters: SafetyParameters) -> None:
        """Prepare the programme."""
        self.programme = BarrierFilter(robot, parameters, BaseBarriers(robot, parameters))
        self._parameters, self._limits = parameters, robot.limits
        self._omni = robot.drive.kind == 'omni'
        self._delay_s = parameters.command_delay_s + robot.plant.motor_lag_s

    def filter(
        self, committed: Trajectory, now_s: float, ahead_s: float, asked: Array,
        around: Surroundings,
    ) -> Filtered:
        """Return the twist at now + ahead that is nearest to the asked one [3]."""
        return self.programme.filter(self.step(committed, now_s, ahead_s, around), asked)

    def step(
        self, committed: Trajectory, now_s: float, ahead_s: float, around: Surroundings
    ) -> Step:
        """Return the step that the barriers see; arguments as for `filter`."""
        pose, twist = twist_at(committed, now_s, self._omni)
        stopping = twist_at(committed, now_s + ahead_s, self._omni)[1]
        return Step(
            pose, twist, np.zeros(3), stopping, ahead_s, self._limits,
            self._parameters.class_k_gain, around.obstacles, around.age_s + self._delay_s,
            around.deviation_m)
