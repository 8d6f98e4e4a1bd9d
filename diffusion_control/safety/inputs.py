# SPDX-License-Identifier: Apache-2.0
"""What comes in is checked like a stranger's: the last good value is kept, and it ages.

NaN, Inf, a wrong shape, a wrong type or wrong names make an input *missing* in that tick: the
last good one stands in for it, and its age grows until the state machine stops the robot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.protocol import Robot
from diffusion_control.robots.scan import Scan
from diffusion_control.robots.state import RobotState
from diffusion_control.safety.health import NEVER, Health
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]

FUTURE_S = 0.1


@dataclass(frozen=True)
class Inputs:
    """The inputs of one tick after the check.

    Attributes:
        state: The last good state; None if there never was one.
        motion: This tick's motion of the tracker; None if it is missing or malformed.
        obstacles: The last good obstacles.
        health: Health with ages that count malformed inputs as missing.
        dt_s: Steady time since the last tick [s].
        malformed: Names of the inputs that were refused in this tick.
    """

    state: RobotState | None
    motion: Trajectory | None
    obstacles: ObstacleArrays
    health: Health
    dt_s: float
    malformed: tuple[str, ...]


class InputFilter:
    """Check inputs and keep the last good ones.

    Args:
        robot: Names of its joints, and how its surroundings are packed.
    """

    def __init__(self, robot: Robot) -> None:
        """Begin with nothing received."""
        self._names, self._robot = tuple(robot.joint_names), robot
        self._state: RobotState | None = None
        self._motion: Trajectory | None = None
        self._packed = robot.pack(())
        self._packed_from: tuple[object, ...] = (None, None, None)
        self._map: OccupancyMap | None = None
        self._scan: Scan | None = None
        self._converted_from: object = None
        self._converted: Trajectory | None = None
        self._missing_s = {'state': NEVER, 'motion': NEVER, 'obstacles': NEVER}
        self._last_s: float | None = None

    def read(
        self, state: object, motion: object, obstacles: object, now_s: float,
        health: Health | None, map: object = None, scan: object = None,
    ) -> Inputs:
        """Return the checked inputs of one tick.

        Args:
            state: RobotState, or None.
            motion: Trajectory of the tracker, or None.
            obstacles: Tuple of Obstacle (empty: none there), or None (missing).
            now_s: ROS time [s].
            health: Ages on steady time; None derives them from stamps and from what is new.
            map: OccupancyMap of a base, or None.
            scan: Scan of a base, or None.
        """
        dt_s = self._step_s(now_s, health)
        good_state = check_state(state, len(self._names), now_s)
        good_motion = self._plain(check_motion(motion, self._names))
        good_scan = self._surroundings(map, scan, now_s)
        good_obstacles = self._pack(obstacles)
        given: dict[str, tuple[object, object]] = {
            'state': (state, good_state), 'motion': (motion, good_motion),
            'obstacles': (obstacles, good_obstacles)}
        new_motion = good_motion is not None and good_motion is not self._motion
        for name, (_, good) in given.items():
            repeated = name == 'motion' and health is None and not new_motion
            fresh = good is not None and not repeated
            self._missing_s[name] = 0.0 if fresh else self._missing_s[name] + dt_s
        self._state = good_state or self._state
        self._motion = good_motion or self._motion
        self._packed = good_obstacles or self._packed
        given['scan'] = (scan, good_scan)
        malformed = tuple(name for name, (raw, good) in given.items()
                          if raw is not None and good is None)
        return Inputs(self._state, good_motion, self._packed,
                      self._aged(health, now_s, dt_s), dt_s, malformed)

    def _plain(self, motion: Trajectory | None) -> Trajectory | None:
        """Return the motion with arrays as the kernels were compiled for; the same one once."""
        if motion is None or is_plain(
                motion.times_s, motion.position, motion.velocity, motion.acceleration):
            return motion
        if motion is not self._converted_from:
            self._converted_from = motion
            self._converted = replace(
                motion, times_s=plain(motion.times_s), position=plain(motion.position),
                velocity=plain(motion.velocity), acceleration=plain(motion.acceleration))
        return self._converted

    def _step_s(self, now_s: float, health: Health | None) -> float:
        last_s, self._last_s = self._last_s, now_s
        gap_s = health.own_gap_s if health is not None else now_s - (
            last_s if last_s is not None else now_s)
        return gap_s if math.isfinite(gap_s) and gap_s > 0.0 else 0.0

    def _aged(self, health: Health | None, now_s: float, dt_s: float) -> Health:
        missing = self._missing_s
        if health is None:
            stamp_s = self._state.stamp_s if self._state is not None else -math.inf
            return Health(
                state_age_s=max(now_s - stamp_s, missing['state']),
                motion_age_s=missing['motion'], obstacles_age_s=missing['obstacles'],
                goal_active=False, planner_alive=True, fallback_alive=True, own_gap_s=dt_s,
                scan_age_s=None if self._scan is None else now_s - self._scan.stamp_s)
        none_used = health.obstacles_age_s is None
        if max(missing.values()) == 0.0:
            return health
        return replace(
            health, state_age_s=worst(health.state_age_s, missing['state']),
            motion_age_s=worst(health.motion_age_s, missing['motion']),
            obstacles_age_s=None if none_used else worst(
                health.obstacles_age_s, missing['obstacles']))

    def _surroundings(self, map: object, scan: object, now_s: float) -> Scan | None:
        """Keep the last good map and scan; return this tick's scan, None if it is no good."""
        if isinstance(map, OccupancyMap):
            self._map = map
        good = scan if isinstance(scan, Scan) and scan.finite and (
            scan.stamp_s <= now_s + FUTURE_S) else None
        self._scan = good or self._scan
        return good

    def _pack(self, obstacles: object) -> ObstacleArrays | None:
        """Return the arrays of the surroundings; the same ones are packed once."""
        if not isinstance(obstacles, tuple) or not all(
                isinstance(item, Obstacle) for item in obstacles):
            return None
        given = (obstacles, self._map, self._scan)
        if all(new is old for new, old in zip(given, self._packed_from, strict=True)):
            return self._packed
        packed = self._robot.pack(obstacles, self._map, self._scan)
        numbers = (packed.centre_m, packed.rotation, packed.half_m, packed.velocity_m_s)
        if not all(np.isfinite(array).all() for array in numbers):
            return None
        self._packed_from = given
        return packed


def is_plain(*arrays: Array) -> bool:
    """Tell whether arrays are float64, contiguous and writeable.

    For any others a kernel would be compiled anew, inside the control loop.
    """
    return all(array.dtype == np.float64 and array.flags.c_contiguous and array.flags.writeable
               for array in arrays)


def plain(array: Array) -> Array:
    """Return an array as float64, contiguous and writeable, without a copy where it is."""
    return np.require(array, np.float64, ['C', 'W'])


def worst(age_s: float | None, missing_s: float) -> float:
    """Return the larger age [s]; what is not a number counts as never received."""
    if age_s is None or math.isnan(age_s):
        return NEVER
    return max(age_s, missing_s)


def check_state(state: object, count: int, now_s: float) -> RobotState | None:
    """Return a state of `count` finite positions and velocities, not from the future, or None."""
    if not isinstance(state, RobotState):
        return None
    for values in (state.position, state.velocity):
        if not isinstance(values, np.ndarray) or values.shape != (count,) or (
                values.dtype.kind not in 'fi' or not np.isfinite(values).all()):
            return None
    if not math.isfinite(state.stamp_s) or state.stamp_s > now_s + FUTURE_S:
        return None
    if is_plain(state.position, state.velocity):
        return state
    return replace(state, position=plain(state.position), velocity=plain(state.velocity))


def check_motion(motion: object, names: tuple[str, ...]) -> Trajectory | None:
    """Return a trajectory of these joints with finite numbers only, or None."""
    if not isinstance(motion, Trajectory) or motion.names != names:
        return None
    arrays = (motion.times_s, motion.position, motion.velocity, motion.acceleration)
    if not math.isfinite(motion.stamp_s) or not all(np.isfinite(a).all() for a in arrays):
        return None
    return motion
