# SPDX-License-Identifier: Apache-2.0
"""What all nodes share: life cycle, parameters, diagnostics, and an orderly end."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String

from diffusion_control.errors import (
    ConfigurationError,
    DiffusionControlError,
    MissingDependencyError,
)
from diffusion_control.evaluation.run_folder import finite
from diffusion_control.nodes.clocks import Clocks
from diffusion_control.nodes.declare import declare_parameters, read_parameters
from diffusion_control.nodes.loop import LoopStatistics, PeriodicLoop
from diffusion_control.nodes.qos import STANDARD
from diffusion_control.nodes.real_time import RealTimeOptions, apply_to_process, apply_to_thread
from diffusion_control.nodes.taps import Taps
from diffusion_control.parameters import check_arguments

PARENT_POLL_S = 0.1
SWITCH_INTERVAL_S = 5e-4
LOG_S = 0.05


class ControlNode(LifecycleNode):
    """A lifecycle node with parameters from the table, diagnostics at 1 Hz and `autostart`.

    Subclasses fill in `configure` (read parameters, load, compile, warm up), `activate`,
    `deactivate` (the robot comes to rest first) and `diagnose`.
    """

    def __init__(self, name: str) -> None:
        """Declare the parameters of node `name` and start its diagnostics."""
        super().__init__(name)
        self.failure: DiffusionControlError | None = None
        self.table_name = name
        self.steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        declare_parameters(self, name)
        self.settings: dict[str, Any] = {}
        self.clocks = Clocks(self)
        self.active = False
        self._taps_made: list[Taps] = []
        self._warned: set[str] = set()
        self._unsaid: deque[tuple[str, str]] = deque(maxlen=256)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', STANDARD)
        self.create_timer(1.0, self._publish_diagnostics, clock=self.steady_clock)
        self.create_timer(LOG_S, self.say_all, clock=self.steady_clock)
        self.add_on_set_parameters_callback(self._on_set_parameters)

    def configure(self) -> None:
        """Prepare everything; raise a DiffusionControlError to refuse."""

    def activate(self) -> None:
        """Begin to work."""

    def deactivate(self) -> None:
        """Bring what this node moves to rest, then stop working."""

    def diagnose(self) -> tuple[int, str, dict[str, object]]:
        """Return level (a DiagnosticStatus constant), message and key-values."""
        return 0, 'active' if self.active else 'inactive', {}

    def retune(self, changed: dict[str, Any]) -> None:
        """Take over changed dynamic parameters; raise a DiffusionControlError to refuse."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, configure, then ask for real time; a refusal is logged."""
        def configure() -> None:
            self.settings = read_parameters(self, self.table_name)
            self.configure()
            apply_to_process(self.real_time_options(), self.warn_once)

        self._unconfigured = self._entities()
        result = self._attempt('configure', configure)
        if result != TransitionCallbackReturn.SUCCESS:
            self._discard()
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give up what `configure` made: it makes everything anew."""
        self._discard()
        return TransitionCallbackReturn.SUCCESS

    def make_taps(self) -> Taps:
        """Return subscriptions for `configure`, closed at cleanup."""
        self._taps_made.append(Taps(self))
        return self._taps_made[-1]

    def _entities(self) -> list[Any]:
        """Return publishers, subscriptions, services and timers."""
        return [*self.publishers, *self.subscriptions, *self.services, *self.timers]

    def _discard(self) -> None:
        """Close and destroy what was made since the node was unconfigured."""
        for taps in self._taps_made:
            taps.close()
        self._taps_made.clear()
        kept = {id(entity) for entity in self._unconfigured}
        for kind, destroy in (
                (self.publishers, self.destroy_publisher),
                (self.subscriptions, self.destroy_subscription),
                (self.services, self.destroy_service), (self.timers, self.destroy_timer)):
            for entity in [entity for entity in kind if id(entity) not in kept]:
                destroy(entity)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start working."""
        result = self._attempt('activate', self.activate)
        self.active = result == TransitionCallbackReturn.SUCCESS
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Come to rest, then stop working."""
        if self.active:
            self.deactivate()
        self.active = False
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Come to rest, then stop working."""
        return self.on_deactivate(state)

    def _attempt(self, what: str, action: Callable[[], None]) -> TransitionCallbackReturn:
        """Do what a transition asks; a failure is logged with its reason and refuses it."""
        try:
            action()
            self.get_logger().debug(what)  # the first look-up of a caller is the slow one
        except DiffusionControlError as error:
            self.failure = error
        except ImportError as error:
            self.failure = MissingDependencyError(
                'a package is missing', where=self.get_name(), value=str(error),
                remedy='run diffusion_control doctor')
        except Exception as error:  # whatever it is, the node stays where it was
            self.failure = DiffusionControlError(
                f'internal error: {type(error).__name__}: {error}', where=self.get_name())
        else:
            self.failure = None
            return TransitionCallbackReturn.SUCCESS
        self.get_logger().error(f'refusing to {what}: {self.failure}')
        return TransitionCallbackReturn.FAILURE

    def warn_once(self, text: str) -> None:
        """Log a warning, the same text only once."""
        if text not in self._warned and len(self._warned) < 1000:
            self._warned.add(text)
            self.say('warning', text)

    def say(self, level: str, text: str) -> None:
        """Log from a control thread: rclpy's logger looks up its caller, which can take 0.3 s.

        Args:
            level: `info`, `warning` or `error`.
            text: What to say; the executor's thread says it within 50 ms.
        """
        self._unsaid.append((level, text))

    def say_all(self) -> None:
        """Log what control threads have said since."""
        while self._unsaid:
            level, text = self._unsaid.popleft()
            logger = self.get_logger()
            if level == 'info':
                logger.info(text)
            elif level == 'warning':
                logger.warning(text)
            else:
                logger.error(text)

    def report_error(self, error: Exception) -> None:
        """Log what escaped from a loop; the loop goes on."""
        self.warn_once(f'{type(error).__name__}: {error}')

    def real_time_options(self) -> RealTimeOptions:
        """Return the real-time options from the parameters."""
        return RealTimeOptions(
            fifo_priority=self.settings['real_time.fifo_priority'],
            lock_memory=self.settings['real_time.lock_memory'],
            freeze_gc=self.settings['real_time.freeze_gc'],
            nice=self.settings['real_time.nice'])

    def make_loop(
        self, period_s: float, tick: Callable[[], None], on_error: Callable[[Exception], None],
    ) -> PeriodicLoop:
        """Return the node's loop, not started; its thread asks for `real_time.fifo_priority`."""
        options = self.real_time_options()
        return PeriodicLoop(
            period_s, tick, on_error, name=self.table_name,
            on_start=lambda: apply_to_thread(options, self.warn_once))

    def _on_set_parameters(self, parameters: Sequence[Any]) -> Any:
        from rcl_interfaces.msg import SetParametersResult
        if not self.settings:
            return SetParametersResult(successful=True)
        changed = {p.name: p.value for p in parameters if p.name in self.settings}
        try:
            self.retune(changed)
        except DiffusionControlError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for name, value in changed.items():
            self.get_logger().info(f'parameter {name}: {self.settings[name]} -> {value}')
        self.settings.update(changed)
        return SetParametersResult(successful=True)

    def _publish_diagnostics(self) -> None:
        level, message, values = self.diagnose()
        status = DiagnosticStatus(
            level=bytes([level]), name=f'{self.get_name()}: control', message=message,
            hardware_id=str(self.settings.get('robot', '')),
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()])
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def loop_values(statistics: LoopStatistics) -> dict[str, object]:
    """Return loop statistics as diagnostic key-values, in the schema of ros2_control."""
    return {
        'periodicity.average': round(1.0 / max(statistics.period_mean_s, 1e-9), 3),
        'periodicity.standard_deviation_s': round(statistics.period_std_s, 6),
        'periodicity.min_s': round(statistics.period_min_s, 6),
        'periodicity.max_s': round(statistics.period_max_s, 6),
        'execution_time.average_s': round(statistics.execution_mean_s, 6),
        'execution_time.max_s': round(statistics.execution_max_s, 6),
        'ticks': statistics.ticks,
        'missed_ticks': statistics.missed,
    }


def publish_json(publisher: Publisher, value: dict[str, Any]) -> None:
    """Publish a dictionary as one JSON object in a String."""
    publisher.publish(String(data=json.dumps(finite(value))))


class _Runner:
    """Run one node in the main thread until a signal, or until its parent is gone.

    Everything that creates or destroys entities happens before the spin or inside its callbacks:
    the events executor of rclpy 7.1 deadlocks when another thread wakes it while it takes the
    interpreter's lock. Publishing from other threads is safe as long as the node does not
    subscribe to the same topic. (Its `spin` delivers nothing with these wheels; `spin_once` does.)
    """

    def __init__(self, node: ControlNode) -> None:
        self._node = node
        self._parent = os.getppid()
        self._stop = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def spin(self) -> None:
        """Spin until the end; the robot comes to rest first."""
        executor = EventsExecutor()
        executor.add_node(self._node)
        polled = 0.0
        while not self._stop:
            executor.spin_once(timeout_sec=PARENT_POLL_S)
            if time.monotonic() - polled >= PARENT_POLL_S:
                polled = time.monotonic()
                self._watch_parent()
        ending = threading.Thread(target=self._end, name='ending', daemon=True)
        ending.start()
        while ending.is_alive():
            executor.spin_once(timeout_sec=0.01)
        self._node.say_all()

    def _on_signal(self, number: int, frame: object) -> None:
        self._stop = True

    def _watch_parent(self) -> None:
        if self._parent != 1 and os.getppid() != self._parent:
            self._node.get_logger().warning(
                'parent process is gone -> coming to rest, then ending')
            self._stop = True

    def _end(self) -> None:
        if self._node.active:
            self._node.trigger_deactivate()


def run(name: str, node_type: Callable[[], ControlNode], args: Sequence[str] | None = None) -> int:
    """Run one node until a signal, or until its parent is gone; the robot comes to rest first.

    Args:
        name: Name in the table of parameters.
        node_type: Makes it.
        args: Command line; None takes the process's.

    Returns:
        0 after an orderly end; the error's exit code when configuring was refused.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        check_arguments(name, sys.argv[1:] if args is None else args)
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = node_type()
    except DiffusionControlError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except rclpy_implementation.RCLError as error:
        print(f'the ROS arguments are refused\n  where:   {name}\n  value:   {error}',
              file=sys.stderr)
        return ConfigurationError.exit_code
    runner = _Runner(node)
    if node.get_parameter('autostart').value:
        node.trigger_configure()
        if node.failure is None:
            node.trigger_activate()
    if node.failure is None:
        runner.spin()
    return 0 if node.failure is None else node.failure.exit_code


def leave(code: int) -> None:
    """End the process at once: what the bindings print of themselves at exit helps nobody.

    The middleware is told by `rclpy.try_shutdown`; files were closed by `deactivate`.
    """
    rclpy.try_shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
