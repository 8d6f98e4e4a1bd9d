# SPDX-License-Identifier: Apache-2.0
"""The two clocks of a node: ROS time for stamps, steady time for watchdogs."""

from __future__ import annotations

import time

from rclpy.node import Node

PAUSE_AFTER_S = 0.05
RATE_FLOOR, RATE_CEILING = 0.1, 100.0


class Clocks:
    """Read ROS and steady time, the measured real-time factor, and whether ROS time stands.

    Without `use_sim_time` the factor is 1 and the clock never stands. With it, the factor is
    an exponential average of the rate of ROS time against steady time, never below 0.1.
    """

    def __init__(self, node: Node) -> None:
        """Follow the clock of `node`."""
        self._clock = node.get_clock()
        self._simulated = bool(node.get_parameter('use_sim_time').value)
        self._last_ros_s = 0.0
        self._moved_steady_s = time.monotonic()
        self._anchor: tuple[float, float] | None = None
        self._factor = 1.0

    @property
    def simulated(self) -> bool:
        """Tell whether ROS time comes from /clock."""
        return self._simulated

    def ros_s(self) -> float:
        """Return ROS time [s]."""
        return float(self._clock.now().nanoseconds) * 1e-9

    @staticmethod
    def steady_s() -> float:
        """Return steady time [s]."""
        return time.monotonic()

    def observe(self) -> None:
        """Update the real-time factor and the pause detector; call once per control tick."""
        if not self._simulated:
            return
        ros, steady = self.ros_s(), time.monotonic()
        if ros != self._last_ros_s:
            self._last_ros_s, self._moved_steady_s = ros, steady
        if self._anchor is None or self._anchor[0] <= 0.0 or ros < self._anchor[0]:
            self._anchor = (ros, steady)
        elapsed = steady - self._anchor[1]
        if elapsed >= 0.1:
            advance = ros - self._anchor[0]
            if 0.0 < advance < RATE_CEILING * elapsed:
                self._factor += 0.3 * (advance / elapsed - self._factor)
            self._anchor = (ros, steady)

    @property
    def real_time_factor(self) -> float:
        """Return the measured rate of ROS time against steady time, at least 0.1."""
        return max(RATE_FLOOR, self._factor)

    @property
    def paused(self) -> bool:
        """Tell whether /clock has stood for 50 ms (divided by the real-time factor)."""
        if not self._simulated:
            return False
        stood = time.monotonic() - self._moved_steady_s
        return stood > PAUSE_AFTER_S / min(1.0, self.real_time_factor)
