# SPDX-License-Identifier: Apache-2.0
"""A ros2_control JointTrajectoryController on the position interface, as in Jazzy."""

from __future__ import annotations

from collections import Counter

import numpy as np

from diffusion_control.simulation.receivers.messages import Message
from diffusion_control.simulation.receivers.segments import segment, segment_point
from diffusion_control.simulation.receivers.validation import Points, checked_points
from diffusion_control.trajectory.trajectory import Array


class JointTrajectoryReceiver:
    """Replace and sample trajectories as joint_trajectory_controller (ros2_controllers 4.42) does.

    With `interpolate_from_desired_state` true, `allow_partial_joints_goal` and
    `allow_nonzero_velocity_at_trajectory_end` false, no tolerances, at the control period P:

    - An accepted message replaces the running trajectory whole, at the next update.
    - Stamp 0 means that its time starts at that update; otherwise the stamp is absolute.
    - Before its first point the segment starts at the last commanded state. That state was
      sampled P after its time and is stamped with the time itself, so this segment runs P ahead
      at its beginning, as upstream's does.
    - From its first point on the message alone counts: points in the past are passed over, and
      what the robot was doing before has no influence. (A sender that wants continuity sends a
      trajectory that agrees with the running one where it takes over.)
    - Segments are linear for positions alone, cubic with velocities, quintic with accelerations;
      after the last point it is held for ever.
    - Each update commands the sample one period ahead.

    Everything is refused that upstream refuses (see `validation`), and in addition numbers that
    are not finite, which upstream would pass on to the hardware.

    Args:
        names: Joint names in the controller's order.
        period_s: Control period P [s].
    """

    profile = 'jtc'

    def __init__(self, names: tuple[str, ...], *, period_s: float = 0.001) -> None:
        self.counters: Counter[str] = Counter()
        self.names, self.period_s = names, period_s
        joints = len(names)
        self._position, self._velocity = np.zeros(joints), np.zeros(joints)
        self._acceleration = np.zeros(joints)
        self._pending: Points | None = None
        self._running: Points | None = None
        self._start_s = 0.0
        self._index = -2
        self._coefficients = np.zeros((1, joints))
        segment_point(  # compiles it, which no update has time for
            self._coefficients, 0.0, self._position, self._velocity, self._acceleration)
        self._segment_start_s = 0.0
        self._last_s = 0.0

    def reset(self, position: Array, now_s: float) -> None:
        """Activate anew: forget all trajectories and hold `position`."""
        self._pending = self._running = None
        self._position[:] = position
        self._velocity[:] = 0.0
        self._acceleration[:] = 0.0
        self._last_s = now_s

    def receive(self, message: Message, now_s: float) -> bool:
        """Check a trajectory; an accepted one runs from the next update."""
        points = checked_points(message, self.names, now_s)
        if isinstance(points, str):
            self.counters[points] += 1
            return False
        self.counters['accepted'] += 1
        self._pending = points
        return True

    def froze(self, now_s: float) -> bool:
        """Return False: it never stops in the middle of a motion."""
        return False

    def set_point(self, now_s: float) -> tuple[Array, Array]:
        """Run one controller update at `now_s`; return the sample for `now_s` + P."""
        if self._pending is not None:
            self._replace(self._pending, now_s)
            self._pending = None
        if self._running is not None:
            self._sample(self._running, now_s + self.period_s)
        self._last_s = now_s
        return self._position, self._velocity

    def _replace(self, points: Points, now_s: float) -> None:
        """Install a trajectory, with the segment that leads from the last command into it."""
        self._running = points
        self._start_s = points.stamp_s if points.stamp_s != 0.0 else now_s
        self._index = -1
        self._segment_start_s = self._last_s
        lead_s = self._start_s + points.times_s[0] - self._last_s
        if lead_s > 0.0:
            state = (self._position.copy(), self._velocity.copy(), self._acceleration.copy())
            self._coefficients = segment(lead_s, state, points.row(0))

    def _sample(self, points: Points, at_s: float) -> None:
        """Advance to the segment of `at_s` and evaluate it."""
        since_start_s = at_s - self._start_s
        last = len(points.times_s) - 1
        index = self._index
        while index < last and since_start_s >= points.times_s[index + 1]:
            index += 1
        if index != self._index:
            self._index = index
            self._enter(points, index, last)
        if index < last:
            segment_point(self._coefficients, at_s - self._segment_start_s,
                          self._position, self._velocity, self._acceleration)

    def _enter(self, points: Points, index: int, last: int) -> None:
        """Prepare segment `index`; after the last point hold it."""
        if index == last:
            self._position[:] = points.position[last]
            self._velocity[:] = 0.0 if points.velocity is None else points.velocity[last]
            self._acceleration[:] = 0.0
            return
        self._segment_start_s = self._start_s + points.times_s[index]
        self._coefficients = segment(
            points.times_s[index + 1] - points.times_s[index],
            points.row(index), points.row(index + 1))
