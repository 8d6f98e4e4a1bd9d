# SPDX-License-Identifier: Apache-2.0
"""What the safety monitor hears of the others, turned into one Health per tick."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from typing import Any

from rclpy.node import Node
from std_msgs.msg import Bool, Float64, String

from diffusion_control.nodes.clocks import Clocks
from diffusion_control.nodes.mailbox import Mailbox
from diffusion_control.nodes.motion_input import MotionInput
from diffusion_control.nodes.qos import STANDARD
from diffusion_control.nodes.reports import read_object, read_verdict
from diffusion_control.nodes.robot_io import robot_io
from diffusion_control.nodes.taps import Arrival, Taps
from diffusion_control.robots.protocol import Robot
from diffusion_control.safety.health import Health

REMEMBERED = 64
FALLBACK_ALIVE_S = 1.0


class PlanWatch:
    """Match the tracker's verdicts with the plans that `planner/report` announced.

    Only announced plans count as the planner's: what a stranger publishes on `planner/plan` and
    the tracker rejects changes nothing but counters.
    """

    def __init__(self) -> None:
        """Begin with nothing announced."""
        self.accepted: Mailbox[float] = Mailbox()
        self.fallback_accepted: Mailbox[float] = Mailbox()
        self.rejected_in_row = 0
        self.strangers = 0
        self._announced: OrderedDict[int, None] = OrderedDict()
        self._waiting: OrderedDict[int, bool] = OrderedDict()

    def announce(self, stamp_s: float) -> None:
        """Take the stamp of a plan that the planner says it published [s]."""
        key = _key(stamp_s)
        self._announced[key] = None
        if key in self._waiting:
            self._count(stamp_s, self._waiting.pop(key))
        while len(self._announced) > REMEMBERED:
            self._announced.popitem(last=False)

    def judge(self, source: str, stamp_s: float, accepted: bool) -> None:
        """Take the tracker's verdict on a plan."""
        if source == 'fallback':
            if accepted:
                self.fallback_accepted.put(stamp_s)
            return
        if _key(stamp_s) in self._announced:
            self._count(stamp_s, accepted)
            return
        self._waiting[_key(stamp_s)] = accepted
        while len(self._waiting) > REMEMBERED:
            self._waiting.popitem(last=False)
            self.strangers += 1

    def _count(self, stamp_s: float, accepted: bool) -> None:
        if accepted:
            self.rejected_in_row = 0
            self.accepted.put(stamp_s)
        else:
            self.rejected_in_row += 1


class SafetyInputs:
    """Subscribe to everything the monitor judges and summarise it once per tick."""

    def __init__(
        self, node: Node, taps: Taps, robot: Robot, clocks: Clocks, *, planner_rate_hz: float,
        settings: dict[str, Any],
    ) -> None:
        """Subscribe."""
        io = robot_io(node, taps, robot)
        self.states, self.motions = io.states, io.motions
        self.motion = MotionInput(node, taps, 'tracker/motion', io.motions)
        self.world = io.world(settings, settings['obstacles.max_speed_m_s'])
        self.plans = PlanWatch()
        self.emergency_stop = False
        self.stop_requested = self.reset_requested = self.paused = False
        self._clocks, self._period_s = clocks, 1.0 / planner_rate_hz
        self._planner: Mailbox[dict[str, Any]] = Mailbox()
        self._fallback: Mailbox[bool] = Mailbox()
        self._confidence: Mailbox[float] = Mailbox()
        self._planned = False
        self._last_s = time.monotonic()
        taps.subscribe(String, 'planner/report', self._on_planner, STANDARD)
        taps.subscribe(String, 'tracker/report', self._on_tracker, STANDARD)
        taps.subscribe(String, 'fallback/report', self._on_fallback, STANDARD)
        taps.subscribe(Float64, 'planner/confidence', self._on_confidence, STANDARD)
        taps.subscribe(Bool, 'emergency_stop', self._on_emergency_stop, STANDARD)

    @property
    def fallback_alive(self) -> bool:
        """Tell whether the fallback's reports arrive."""
        slack = 1.0 / self._clocks.real_time_factor
        return self._fallback.age_s() < FALLBACK_ALIVE_S * max(1.0, slack)

    def health(self) -> Health:
        """Return what is known now; requests of services are taken once."""
        now = time.monotonic()
        gap, self._last_s = now - self._last_s, now
        seen = self._planner.look()
        report = seen or {}
        report_age = self._planner.age_s(now)
        alive = report_age < 2.0 * self._period_s + 0.5
        hangs_at_first = seen is not None and not alive
        confidence = self._confidence.look()
        if confidence is not None and not math.isfinite(confidence):
            confidence = None
        stop, self.stop_requested = self.stop_requested, False
        reset, self.reset_requested = self.reset_requested, False
        ages = self.world.ages(now)
        return Health(
            state_age_s=self.states.box.age_s(now), motion_age_s=self.motion.box.age_s(now),
            obstacles_age_s=ages.obstacles_s, scan_age_s=ages.scan_s, map_age_s=ages.map_s,
            accepted_plan_age_s=self.plans.accepted.age_s(now),
            planner_period_s=self._period_s, confidence=confidence,
            rejected_in_row=self.plans.rejected_in_row,
            goal_active=self._planned or hangs_at_first,
            planner_idle=alive and bool(report.get('idle', False)), planner_alive=alive,
            fallback_alive=self.fallback_alive,
            fallback_plan_age_s=self.plans.fallback_accepted.age_s(now),
            emergency_stop=self.emergency_stop, stop_requested=stop, reset_requested=reset,
            pause_requested=self.paused, own_gap_s=gap, clock_paused=self._clocks.paused,
            real_time_factor=self._clocks.real_time_factor)

    def restart(self) -> None:
        """Begin counting the own gap anew (at activation)."""
        self._last_s = time.monotonic()

    def _on_planner(self, message: String, arrival: Arrival) -> None:
        report = read_object(message.data)
        if report is None:
            return
        self._planner.put(report, arrival.age_s)
        stamp = report.get('plan_stamp')
        if isinstance(stamp, int | float):
            self._planned = True
            self.plans.announce(float(stamp))

    def _on_tracker(self, message: String, arrival: Arrival) -> None:
        verdict = read_verdict(message.data)
        if verdict is not None:
            self.plans.judge(verdict.source, verdict.stamp_s, verdict.accepted)

    def _on_fallback(self, message: String, arrival: Arrival) -> None:
        self._fallback.put(True, arrival.age_s)

    def _on_confidence(self, message: Float64, arrival: Arrival) -> None:
        self._confidence.put(message.data, arrival.age_s)

    def _on_emergency_stop(self, message: Bool, arrival: Arrival) -> None:
        self.emergency_stop = bool(message.data)


def _key(stamp_s: float) -> int:
    return round(stamp_s * 1e6)
