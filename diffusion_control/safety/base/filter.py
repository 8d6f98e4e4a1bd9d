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

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.robots.base_silence import Silence
from diffusion_control.robots.nearest import OWN
from diffusion_control.safety.barrier_set import EARLIER_M, MOVING, STANDING
from diffusion_control.safety.barriers.step import RECOVERY_HZ, Bounds, Rows, Step
from diffusion_control.safety.base.arc import twist_at
from diffusion_control.safety.base.candidates import reach
from diffusion_control.safety.base.verify import SPARE_M
from diffusion_control.safety.filter import BarrierFilter, Filtered
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.verify import Surroundings
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
NEAREST_ROWS = 24
WITHIN = 0.95
LEAST_M_S2 = 0.1


class BaseBarriers:
    """Evaluate the barriers of one base; the same methods as `BarrierSet`.

    Args:
        robot: Drive and footprint.
        parameters: Margins, gains and bounds.
    """

    def __init__(self, robot: Base, parameters: SafetyParameters) -> None:
        """Take over what is needed."""
        self._robot, self._parameters, self._drive = robot, parameters, robot.drive
        drive, share = robot.drive, parameters.braking_fraction
        self._silent_s = Silence.of(drive, parameters.receiver_timeout_s).hold_s
        self._delay_s = parameters.command_delay_s + robot.plant.motor_lag_s
        self._braking = share * np.array([
            drive.braking_max_m_s2, drive.braking_max_m_s2, drive.yaw_acceleration_max_rad_s2])
        omni = drive.kind == 'omni'
        scale = WITHIN * parameters.speed_scale
        backward = drive.speed_max_m_s if omni else drive.reverse_max_m_s
        side = drive.speed_max_m_s if omni else 0.0
        self._high = scale * np.array([drive.speed_max_m_s, side, drive.yaw_rate_max_rad_s])
        self._low = -scale * np.array([backward, side, drive.yaw_rate_max_rad_s])

    def bounds(self, step: Step) -> Bounds:
        """Return the bounds of the twist: limits, in reach; `step.stopping` is inside."""
        low, high = reach(step.velocity, step.duration_s, self._drive)
        lower = np.minimum(np.maximum(self._low, low), high)
        upper = np.maximum(np.minimum(self._high, high), low)
        return Bounds(np.minimum(lower, step.stopping), np.maximum(upper, step.stopping))

    def rows(self, step: Step, nominal: Array) -> Rows:
        """Return the rows of distances and wheels."""
        near = self._robot.collision.nearest(
            step.position, step.obstacles,
            step.late_s * step.obstacles.may_move.astype(np.float64), limit=NEAREST_ROWS)
        yaw = float(step.position[2])
        cosine, sine = np.cos(yaw), np.sin(yaw)
        slope = near.slope @ np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0, 0, 1.0]])
        outer = near.obstacle != OWN
        softness = np.full(len(slope), STANDING, dtype=np.int64)
        towards = np.zeros(len(slope))
        bounds, hold_s = self._parameters, step.duration_s + self._silent_s
        index = np.flatnonzero(outer)
        which = near.obstacle[index]
        moves = step.obstacles.may_move[which]
        index, which = index[moves], which[moves]
        softness[index] = MOVING
        towards[index] = (near.normal[index] * step.obstacles.velocity_m_s[which]).sum(axis=1)
        brake_s = float(np.hypot(*step.velocity[:2])) / self._braking[0]
        margin = np.where(outer, bounds.margin_m, bounds.own_margin_m)
        free = near.distance_m - margin - EARLIER_M - SPARE_M - step.deviation_m
        room = free.copy()
        room[index] -= self._growth(step, step.duration_s, hold_s + brake_s, towards[index])
        floor = towards - self._approach(slope, room, hold_s, step.class_k_gain)
        last_s = step.duration_s + brake_s
        rest_s = last_s + self._silent_s
        later = free[index] - towards[index] * rest_s - self._growth(
            step, last_s, rest_s, towards[index])
        floor[index] = np.maximum(floor[index], -self._approach(
            slope[index], later, step.duration_s, step.class_k_gain))
        room[index] = np.minimum(room[index], later)
        wheels, least = self._wheels(step)
        return Rows(
            np.concatenate([slope, wheels]), np.concatenate([floor, least]),
            np.concatenate([softness, np.full(len(least), -1, dtype=np.int64)]),
            np.concatenate([room, wheels @ step.velocity - least]))

    def _growth(self, step: Step, dead_s: float, rest_s: float, towards: Array) -> Array:
        """Return how much nearer than at its velocity a mover can be when the base rests [K] [m].

        Args:
            step: The step.
            dead_s: The monitor dies so long after the tick.
            rest_s: The base rests so long after it.
            towards: The movers' approach at their velocity, shape [K] [m/s].
        """
        bounds, late_s = self._parameters, step.late_s
        turning_s = late_s - self._delay_s + dead_s + bounds.silence_turning_s
        unknown = (bounds.obstacles_velocity_error_m_s
                   + bounds.obstacles_max_acceleration_m_s2 * turning_s)
        fastest = np.maximum(bounds.obstacles_max_speed_m_s - towards, 0.0)
        return np.asarray((late_s + rest_s) * np.minimum(unknown, fastest))

    def _approach(self, slope: Array, room: Array, hold_s: float, gain: float) -> Array:
        """Return the largest admitted approach W [K] [m/s]."""
        decelerates = np.maximum(np.abs(slope) @ self._braking, LEAST_M_S2)
        held = decelerates * hold_s
        speed = -held + np.sqrt(held**2 + 2.0 * decelerates * np.maximum(room, 0.0))
        return np.where(room < 0.0, RECOVERY_HZ * room, np.minimum(speed, gain * room))

    def _wheels(self, step: Step) -> tuple[Array, Array]:
        """Return the rows of the wheels; they admit `step.stopping`."""
        half, most = self._drive.wheel_separation_m / 2, self._drive.wheel_travel_max_m_s
        rows = np.array([[s, 0.0, s * t * half] for s in (1.0, -1.0) for t in (1.0, -1.0)])
        return rows, np.minimum(-most, rows @ step.stopping)


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
