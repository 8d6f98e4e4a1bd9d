# SPDX-License-Identifier: Apache-2.0
"""Start the processes, watch them move, inject what was asked for, end them, judge the run."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live

from diffusion_control.demo.closing import close_run
from diffusion_control.demo.fault_table import (
    OBSTACLE_PERIOD_S,
    FaultSpecification,
    specifications,
)
from diffusion_control.demo.injector import Fired, Injector
from diffusion_control.demo.live import live_values
from diffusion_control.demo.obstacle_jump import jump_position
from diffusion_control.demo.options import DemoOptions
from diffusion_control.demo.processes import ProcessGroup, node_environment
from diffusion_control.demo.setup import NODES, PLANS_UNALTERED, Setup, prepare
from diffusion_control.evaluation.tables import live_panel
from diffusion_control.middleware import local_environment
from diffusion_control.nodes.demo_monitor import DemoMonitor
from diffusion_control.nodes.neighbours import held_domain

POLL_S = 0.02
LIVE_S = 0.25
START_PATIENCE_S = 60.0
LOADING_S = 8.0
END_PATIENCE_S = 15.0
SETTLE_S = 3.0
SPARE_RADIUS_M = 0.06
TICK_S = 0.01


@dataclass
class RunRecord:
    """What the demo itself knows of a run when its processes have ended."""

    started_steady_s: float = 0.0
    ended_steady_s: float = 0.0
    first_motion_steady_s: float | None = None
    moved_s: float = 0.0
    final_state: str = ''
    deaths: list[tuple[str, bool]] = field(default_factory=list)
    memory_mb: dict[str, float] = field(default_factory=dict)
    fired: list[Fired] = field(default_factory=list)
    pending: tuple[str, ...] = ()
    interrupted: bool = False
    load: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class DemoResult:
    """How the demo ended.

    Attributes:
        exit_code: Of the contract.
        summary: `summary.json`; None if nothing moved or nothing was recorded.
        reasons: What made it fail.
    """

    exit_code: int
    summary: dict[str, Any] | None
    reasons: tuple[str, ...] = ()


def run_demo(options: DemoOptions, console: Console | None = None) -> DemoResult:
    """Run the demonstration.

    Returns:
        The exit code of the contract and the summary.

    Raises:
        DiffusionControlError: The options, scene or plant are wrong; nothing was started.
    """
    console = console or Console()
    setup = prepare(options)
    console.print(f'run folder {setup.folder.path}')
    with held_domain():
        demo = _Demo(setup, console)
        record = demo.run()
    return DemoResult(*close_run(setup, record, demo.table, demo.seen, console))


class _Demo:
    """One run of the demo."""

    def __init__(self, setup: Setup, console: Console) -> None:
        self.setup, self.console = setup, console
        self.record = RunRecord()
        options, safety = setup.options, setup.settings['safety']
        self.table: dict[str, FaultSpecification] = specifications(
            planner_rate_hz=setup.settings['planner']['rate_hz'],
            state_stale_s=safety['state.stale_s'], obstacles_stale_s=safety['obstacles.stale_s'],
            fallback_holds=options.fallback == 'hold')
        self._relay = any(i.name.startswith('plan_nan') for i in options.inject)
        domain = int(os.environ.get('ROS_DOMAIN_ID') or '0')
        environment = node_environment(domain)
        os.environ.update(local_environment())
        self.processes = ProcessGroup(self._log, environment)
        self.monitor = DemoMonitor(
            setup.robot, relay=self._relay, use_sim_time=options.use_sim_time)
        self.seen = self.monitor.seen
        self._rng = np.random.default_rng(options.seed)
        self.injector = Injector(
            options.inject, self.table, self.processes, self.monitor, self._place_obstacle)

    def run(self) -> RunRecord:
        """Run from start to end; processes are gone afterwards whatever happens."""
        restore = signal.signal(signal.SIGTERM, _interrupt)
        try:
            self._start()
            self._watch()
        except KeyboardInterrupt:
            self.record.interrupted = True
        finally:
            signal.signal(signal.SIGTERM, restore)
            self._end()
        return self.record

    def _log(self, name: str, line: str) -> None:
        self.setup.folder.append_log(f'[{name}] {line}')

    def _start(self) -> None:
        """Start the planners, and what moves the robot once they have loaded their libraries.

        Loading takes both cores of a small machine for seconds; a control loop beside it would be
        late, and safety would stop the robot before it has begun.
        """
        self.record.started_steady_s = time.monotonic()
        if self.setup.options.record:
            self._start_node('recorder')
        for name in ('fallback', 'planner'):
            self._start_node(name)
        end = self.record.started_steady_s + LOADING_S
        while time.monotonic() < end and not (
                self.record.deaths or (self.seen.planner and self.seen.fallback)):
            time.sleep(POLL_S)
            self._note_deaths()
        for name in ('simulator', 'safety', 'tracker'):
            self._start_node(name)
        self.processes.start('empty_loop', [
            'diffusion_control.demo.empty_loop', str(self.setup.folder.path / 'empty_loop.json'),
            str(self.setup.settings['safety']['real_time.fifo_priority'])])

    def _start_node(self, name: str) -> None:
        relayed = self._relay and name == 'planner'
        extra = ['-r', f'planner/plan:={PLANS_UNALTERED}'] if relayed else []
        self.processes.start_node(name, *extra, params_file=self.setup.params_file)

    def _watch(self) -> None:
        """Poll until the motion has lasted long enough and every fault has played out."""
        shown = 0.0
        with Live(console=self.console, auto_refresh=False, transient=True) as live:
            while not self._over():
                time.sleep(POLL_S)
                self._note_deaths()
                if self.monitor.moving() or self.record.first_motion_steady_s is not None:
                    self._moving()
                now = time.monotonic()
                if now - shown >= LIVE_S:
                    shown = now
                    self.record.load.append(os.getloadavg()[0])
                    if not self.setup.options.headless:
                        live.update(live_panel(live_values(
                            self.seen, self.record.moved_s, self.setup.options.duration_s,
                            self.monitor.speed_share(), self.injector.fired)), refresh=True)

    def _moving(self) -> None:
        self.record.first_motion_steady_s = self.seen.first_motion_steady_s
        assert self.record.first_motion_steady_s is not None
        self.record.moved_s = time.monotonic() - self.record.first_motion_steady_s
        self.injector.poll(self.record.moved_s)

    def _over(self) -> bool:
        now = time.monotonic()
        first = self.record.first_motion_steady_s
        if any(not expected for _, expected in self.record.deaths):
            return True
        if first is None:
            return now - self.record.started_steady_s > START_PATIENCE_S
        if now - first < self.setup.options.duration_s:
            return False
        if not self.injector.fired and self.injector.done:
            return True
        settled = now - self.injector.end_steady_s() >= SETTLE_S
        if self.injector.done and settled and self._at_end_state():
            return True
        latest = max(self.injector.end_steady_s(), first + self.setup.options.duration_s)
        return now - latest > END_PATIENCE_S

    def _at_end_state(self) -> bool:
        """Tell whether the last fault's end state has lasted for 3 s."""
        wanted = self.table[self.injector.fired[-1].name].end
        if wanted not in ('AT_REST', self.monitor.state):
            return False
        since = self.seen.states[-1][0] if self.seen.states else 0.0
        return time.monotonic() - since >= SETTLE_S or wanted == 'AT_REST'

    def _place_obstacle(self, duration_s: float) -> bool:
        plan, motion = self.monitor.plan, self.monitor.motion
        if plan is None or motion is None:
            return False
        safety = self.setup.settings['safety']
        position = jump_position(
            self.setup.robot, plan, motion, self.monitor.ros_s(), SPARE_RADIUS_M, self._rng,
            reaction_s=OBSTACLE_PERIOD_S + TICK_S + safety['command_delay_s'],
            braking_fraction=safety['braking_fraction'], margin_m=safety['margin_m'])
        if position is None:
            return False
        self.monitor.send_fault(
            'obstacle_jump', duration_s=duration_s, position_m=position.tolist(),
            frame=self.setup.robot.base_frame)
        return True

    def _note_deaths(self) -> None:
        for name, expected, code in self.processes.deaths():
            self.record.deaths.append((name, expected))
            self.setup.folder.append_event(
                name, 'died', cause=f'exit code {code}', action='expected' if expected else '')

    def _end(self) -> None:
        """Stop the recording first, so that what follows is not part of the run."""
        self.record.final_state = self.monitor.state
        self.record.ended_steady_s = time.monotonic()
        self.record.memory_mb = {
            name: size for name, size in self.processes.memory_mb().items()
            if name in (*NODES, 'recorder')}
        self.record.fired = self.injector.fired
        self.record.pending = self.injector.pending
        self.injector.close()
        try:
            self.processes.stop(['recorder'])
            self.processes.stop(['safety', 'planner', 'fallback', 'tracker', 'empty_loop'])
            self.processes.stop(['simulator'], grace_s=30.0)
        finally:
            self.processes.stop_all()
            self.monitor.close()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt

