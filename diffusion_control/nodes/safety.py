# SPDX-License-Identifier: Apache-2.0
"""The safety node: the only one that commands the robot; timer-driven, small, without torch."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

from rclpy.publisher import Publisher
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from diffusion_control import safety
from diffusion_control.nodes.control_node import (
    ControlNode,
    leave,
    loop_values,
    publish_json,
    run,
)
from diffusion_control.nodes.outputs import MESSAGE_TYPES, sample_message
from diffusion_control.nodes.qos import LATCHED, STANDARD
from diffusion_control.nodes.robot_input import load_robot
from diffusion_control.nodes.safety_inputs import SafetyInputs
from diffusion_control.safety.decision import BRAKE, SafetyDecision
from diffusion_control.safety.health import Health
from diffusion_control.safety.warm_up import exercise

STATUS_TICKS = 10
SEND_AFTER_S = 0.003  # after the deadline of the tick; a decision takes 1 to 3 ms
DISARM_S = 3.0
DEAF_S = 0.1
MONITOR_PARAMETERS = frozenset(field.name for field in fields(safety.SafetyParameters))


class SafetyNode(ControlNode):
    """Run the safety monitor in its own thread on steady time; activation arms it."""

    def __init__(self) -> None:
        """Declare parameters, the latched outputs and the services."""
        super().__init__('safety')
        self._state = self.create_publisher(String, 'safety/state', LATCHED)
        self._mode = self.create_publisher(String, 'safety/mode', LATCHED)
        self._status = self.create_publisher(String, 'safety/status', STANDARD)
        self._command: Publisher | None = None
        self._decision: SafetyDecision | None = None
        self._said = ('', '', '')
        self._ticks = 0
        self._cpu: list[float] = []
        self._resting = threading.Event()
        self._others = self._late = 0
        self._decided_s = 0.0
        self._disarming = False

    def configure(self) -> None:
        """Load the robot, make the monitor (compiled and warm), refuse unsafe receivers."""
        settings = self.settings
        self.robot = load_robot(self, settings)
        controller = self.robot.controller
        self._kind = settings['command_out_type'] or controller.command_type
        self._topic = settings['command_out_topic'] or controller.command_topic
        known = {name: value for name, value in settings.items()
                 if name.replace('.', '_') in MONITOR_PARAMETERS
                 and name not in ('rate_hz', 'command_out_type')}
        made = partial(
            safety.make, self.robot, rate_hz=settings['rate_hz'], command_out_type=self._kind,
            **known)
        exercise(made(), self.robot)
        self.monitor = made()
        self.taps = self.make_taps()
        self.inputs = SafetyInputs(
            self, self.taps, self.robot, self.clocks,
            planner_rate_hz=settings['planner_rate_hz'], settings=settings)
        self._motions = self.inputs.motions
        self._committed = self.create_publisher(
            self._motions.message, 'safety/committed', STANDARD)
        self._command = self.create_publisher(MESSAGE_TYPES[self._kind], self._topic, STANDARD)
        self.create_service(Trigger, 'safety/stop', self._on_stop)
        self.create_service(Trigger, 'safety/reset', self._on_reset)
        self.create_service(SetBool, 'safety/pause', self._on_pause)
        self.create_timer(1.0, self._count_writers, clock=self.steady_clock)

    def retune(self, changed: dict[str, Any]) -> None:
        """Tighten limits; refuse to loosen them."""
        self.monitor.tighten(changed)

    def activate(self) -> None:
        """Arm: from now on commands are sent, the first one is the measured position."""
        self.monitor.disarm()
        self._disarming = self.inputs.paused = False
        self.inputs.restart()
        self._loop = self.make_loop(
            1.0 / self.settings['rate_hz'], self._tick, self._on_error)
        self._loop.start()

    def deactivate(self) -> None:
        """Brake first; stop publishing when the robot stands (or after 3 s)."""
        self._resting.clear()
        self._disarming = self.inputs.paused = True
        if not self._resting.wait(DISARM_S):
            self.get_logger().error(
                f'the robot did not come to rest within {DISARM_S} s; publishing stops anyway')
        self._loop.stop()
        self.monitor.disarm()

    def diagnose(self) -> tuple[int, str, dict[str, object]]:
        """Report state, loop, counters and foreign writers of the command."""
        decision = self._decision
        if not self.active or decision is None:
            return 0, 'not armed', {}
        level, message = 0, decision.state
        if decision.state in ('DEGRADED', 'FALLBACK'):
            level = 1
        elif decision.state in ('STOPPING', 'HOLD'):
            level, message = 1, f'{decision.state}: {decision.text()}'
        if decision.state == 'EMERGENCY':
            level, message = 2, decision.text()
        if not self.inputs.fallback_alive:
            level, message = 2, f'{decision.state}; the fallback is not there'
        if self._others:
            level, message = 2, f'{self._others} other publishers on {self._topic}'
        counters = decision.counters
        return level, message, {
            **loop_values(self._loop.statistics()), 'interventions': counters.interventions,
            'filtered': counters.filtered, 'slack': round(decision.slack, 4),
            'fallback_ticks': counters.fallback_ticks, 'malformed': counters.malformed,
            'tail_invalidated': counters.tail_invalidated, 'errors': counters.errors,
            'late': self._late, 'stranger_plans': self.inputs.plans.strangers,
            'obstacles_rejected': self.inputs.world.obstacles.rejected}

    def _on_error(self, error: Exception) -> None:
        self.report_error(error)

    def _tick(self) -> None:
        cpu = time.thread_time()
        decision = self._decide()
        if decision is None or decision.action != BRAKE:  # a brake leaves at once
            self._loop.wait_until(SEND_AFTER_S)
        while decision is not None and self._too_late():  # never twice in a row
            self._late += 1
            decision = self._decide()
        if decision is None:
            return
        self._send(decision, self._decided_s)
        self._decision = decision
        if decision.tail_s == 0.0 and decision.state in ('HOLD', 'EMERGENCY'):
            self._resting.set()
        self._cpu.append(time.thread_time() - cpu)
        self._tell(decision)

    def _too_late(self) -> bool:
        """Take the decision back where its command would make a receiver's set-point jump."""
        return self._kind == 'joint_trajectory' and self.monitor.recall(self.clocks.ros_s())

    def _decide(self) -> SafetyDecision | None:
        """Return the monitor's decision on what has arrived by now; None before time begins."""
        self.clocks.observe()
        self.taps.poll()
        now_s = self._decided_s = self.clocks.ros_s()
        if now_s <= 0.0:
            return None
        health = self.inputs.health()
        if self._disarming:
            health = without_losses(health)
        elif self.monitor.committed is None:
            health = replace(health, own_gap_s=min(health.own_gap_s, DEAF_S))
        world = self.inputs.world.look()
        return self.monitor.step(
            self.inputs.states.box.look(), self.inputs.motion.box.look(),
            world.obstacles if world is not None else None, now_s,
            map=world.map if world is not None else None,
            scan=world.scan if world is not None else None, health=health)

    def _send(self, decision: SafetyDecision, now_s: float) -> None:
        """Publish the command, and then what was committed: only the first one may not wait."""
        if decision.command is None or self._command is None:
            return
        committed = self._motions.encode(decision.command)
        if decision.send and self._kind == 'joint_trajectory':
            self._command.publish(committed)
        elif decision.send and decision.sample is not None:
            self._command.publish(sample_message(
                self._kind, decision.sample, self.robot, now_s,
                velocity=self.settings['command_interface'] == 'velocity'))
        self._committed.publish(committed)

    def _tell(self, decision: SafetyDecision) -> None:
        """Publish state and mode when they change, the status then and at 10 Hz."""
        self._ticks += 1
        state, mode, action = self._said
        changed = (decision.state, decision.mode) != (state, mode)
        if decision.state != state:
            self._state.publish(String(data=decision.state))
            self.say('info', f'{state or "start"} -> {decision.state}: {decision.text()}')
        if decision.mode != mode:
            self._mode.publish(String(data=decision.mode))
        changed = changed or decision.action != action
        self._said = (decision.state, decision.mode, decision.action)
        if changed or self._ticks % STATUS_TICKS == 0:
            publish_json(self._status, self._status_of(decision))
            self._cpu = []

    def _status_of(self, decision: SafetyDecision) -> dict[str, Any]:
        counters = decision.counters
        return {
            'state': decision.state, 'cause': decision.cause, 'reason_code': decision.reason_code,
            'response': decision.response, 'action': decision.action, 'mode': decision.mode,
            'time_scale': decision.time_scale, 'h_min': decision.h_min,
            'clearance_m': decision.clearance_m, 'slack': decision.slack,
            'input_age_s': dict(decision.input_age_s), 'verified': decision.verified,
            'tail_s': decision.tail_s, 'refusal': decision.refusal,
            'reset_refusal': decision.reset_refusal, 'ticks': counters.ticks,
            'interventions': counters.interventions, 'filtered': counters.filtered,
            'slowed': counters.slowed,
            'fallback_ticks': counters.fallback_ticks,
            'tail_invalidated': counters.tail_invalidated,
            'stood_in_contact': counters.stood_in_contact, 'malformed': counters.malformed,
            'errors': counters.errors, 'refused': dict(counters.refused),
            'cpu_s': [round(value, 7) for value in self._cpu],
            'missed_ticks': self._loop.statistics().missed}

    def _count_writers(self) -> None:
        self._others = max(0, self.count_publishers(self._topic) - 1)
        if self._others:
            self.warn_once(f'another publisher commands the robot on {self._topic}')

    def _on_stop(self, request: Any, response: Any) -> Any:
        self.inputs.stop_requested = True
        response.success, response.message = True, 'stopping'
        return response

    def _on_reset(self, request: Any, response: Any) -> Any:
        decision = self._decision
        if decision is None or decision.state != 'EMERGENCY':
            response.success, response.message = False, 'not in EMERGENCY'
            return response
        self.inputs.reset_requested = True
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            time.sleep(0.01)
            latest = self._decision
            if latest is not None and (latest.state != 'EMERGENCY' or latest.reset_refusal):
                break
        latest = self._decision
        assert latest is not None
        response.success = latest.state != 'EMERGENCY'
        response.message = latest.reset_refusal or latest.state
        return response

    def _on_pause(self, request: Any, response: Any) -> Any:
        self.inputs.paused = bool(request.data)
        response.success = True
        response.message = 'paused' if request.data else 'going on'
        return response


def without_losses(health: Health) -> Health:
    """Return the health of a monitor that brakes to end, and so may not hear the others.

    What is lost then stops the robot, which it does anyway, and latches nothing.
    """
    return replace(
        health, state_age_s=min(health.state_age_s, DEAF_S),
        motion_age_s=min(health.motion_age_s, DEAF_S))


def main(args: Sequence[str] | None = None) -> int:
    """Run the safety node."""
    return run('safety', SafetyNode, args)


if __name__ == '__main__':
    leave(main())
