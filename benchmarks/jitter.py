# SPDX-License-Identifier: Apache-2.0
"""How evenly the tracker's loop ticks, beside an empty loop, while a planner keeps a core busy.

    OMP_NUM_THREADS=1 python benchmarks/jitter.py --minutes 10 [--stress-minutes 1] [--fifo 50]

One process does what the tracker node does: the executor spins in the main thread, and a
`nodes/loop.py` loop at 100 Hz in a thread of its own polls subscriptions, solves a tick of `mpc`
on hard plans, encodes the motion and publishes it. In turn with it, five seconds each, the same
loop with the same executor and priority does nothing, so that both meet the same machine. All the
while another process plans without a pause. Then (`stress`) two busy processes a core come on top,
half of which copy memory and half of which count.

Jitter is |period - 10 ms|, the period being the time from the beginning of a tick to that of the
next. A missed tick is a deadline that passed while the tick before still ran or was not run
(`LoopStatistics.missed`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from diffusion_control import planners, robots
from diffusion_control.doctor.host import fifo_permitted
from diffusion_control.evaluation.bench_tracking_ticks import SHARES, percentiles
from diffusion_control.evaluation.bench_tracking_world import (
    Follower,
    quintic_plan,
    random_goal,
)
from diffusion_control.evaluation.host import commit_of_code, host_information
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.middleware import local_environment
from diffusion_control.nodes.loop import PeriodicLoop
from diffusion_control.nodes.real_time import (
    RealTimeOptions,
    apply_to_process,
    apply_to_thread,
)
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.robots.state import RobotState
from diffusion_control.tracking.parameters import TrackerParameters
from diffusion_control.tracking.prediction import Prediction
from diffusion_control.tracking.registry import tracker_with
from diffusion_control.trajectory.trajectory import Trajectory

PERIOD_S, BLOCK_S, SETTLE_TICKS = 0.01, 5.0, 20
OURS, EMPTY = 'tracker', 'empty'
LIMITS_S = (0.001, 0.002, 0.005, 0.010)
MOST_RATIO = 1.2
PAUSE_S, NOTICE_S = 0.1, 0.05
SLACK, SPARE_S = 1.5, 20.0
COPIED = 1 << 23


class TrackerWork:
    """What a tick of the tracker node does, with plans that ask for twice the limits.

    Args:
        node: Publishes and subscribes.
    """

    def __init__(self, node: Any) -> None:
        from diffusion_control.nodes.motions import JointMotions
        from diffusion_control.nodes.qos import SENSOR, STANDARD
        from diffusion_control.nodes.robot_io import robot_io
        from diffusion_control.nodes.taps import Taps
        self._robot = robots.load('panda')
        parameters = TrackerParameters()
        self._follower = Follower(tracker_with('mpc', self._robot, Prediction(
            parameters.horizon_steps, parameters.dt_s), parameters), self._robot)
        self._motions = JointMotions(self._robot.joint_names)
        self._taps = Taps(node)
        self._inputs = robot_io(node, self._taps, self._robot, SENSOR)
        self._out = node.create_publisher(self._motions.message, 'tracker/motion', STANDARD)
        self._rng, self._plan = np.random.default_rng(0), None

    def __call__(self) -> None:
        """Do one tick."""
        follower = self._follower
        self._taps.poll()
        if self._plan is None or follower.now_s > self._plan.end_s + PAUSE_S:
            self._plan: Trajectory | None = quintic_plan(
                self._robot, follower.ahead(NOTICE_S), follower.now_s + NOTICE_S,
                random_goal(self._robot, self._rng), SHARES['hard'])
        self._out.publish(self._motions.encode(follower.tick(self._plan).motion))
        del follower.sent[:-1]


@dataclass
class Collected:
    """Jitter of a loop over all its blocks [s], and what its statistics say."""

    jitter_s: list[float] = field(default_factory=list)
    ticks: int = 0
    missed: int = 0
    execution_max_s: float = 0.0

    def row(self, load: str, loop: str) -> dict[str, Any]:
        """Return percentiles and counts."""
        jitter = np.array(self.jitter_s)
        return {
            'load': load, 'loop': loop, 'ticks': self.ticks, 'missed': self.missed,
            **percentiles('jitter', jitter), 'execution_max_s': self.execution_max_s,
            **{f'over_{1e3 * limit:g}_ms': int((jitter > limit).sum()) for limit in LIMITS_S}}


def block(
    work: Callable[[], None], seconds: float, options: RealTimeOptions, into: Collected
) -> None:
    """Run a loop for some seconds and collect its periods; its first ticks are left out."""
    stamps: list[float] = []
    errors: list[Exception] = []

    def tick() -> None:
        stamps.append(time.monotonic())
        work()

    loop = PeriodicLoop(
        PERIOD_S, tick, errors.append, on_start=lambda: apply_to_thread(options, print))
    loop.start()
    time.sleep(seconds)
    loop.stop()
    if errors:
        raise errors[0]
    statistics = loop.statistics()
    into.jitter_s += np.abs(np.diff(stamps[SETTLE_TICKS:]) - PERIOD_S).tolist()
    into.ticks += statistics.ticks
    into.missed += statistics.missed
    into.execution_max_s = max(into.execution_max_s, statistics.execution_max_s)


def measure(
    node_work: Callable[[], None], minutes: float, load: str, options: RealTimeOptions
) -> list[dict[str, Any]]:
    """Return the rows of both loops after `minutes` of each, in turn."""
    found = {OURS: Collected(), EMPTY: Collected()}
    works: dict[str, Callable[[], None]] = {OURS: node_work, EMPTY: lambda: None}
    left_s = 60.0 * minutes
    while left_s > 0.0:
        for name, work in works.items():
            block(work, min(BLOCK_S, left_s), options, found[name])
        left_s -= BLOCK_S
    return [found[name].row(load, name) for name in works]


def busy(role: str, seconds: float) -> None:
    """Keep a core busy until the time is up or the parent is gone: plan, copy memory, or count.

    At the normal priority, whatever the parent has: a child inherits SCHED_FIFO, and one that
    never sleeps at such a priority takes its core away from everybody.
    """
    parent, end_s = os.getppid(), time.monotonic() + seconds
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, 0)

    def wanted() -> bool:
        return os.getppid() == parent and time.monotonic() < end_s

    if role == 'planner':
        plan_on(wanted)
    source = np.zeros(COPIED)
    while wanted():
        if role == 'copy':
            source[:] = source[::-1].copy()
        else:
            sum(range(100_000))


def plan_on(wanted: Callable[[], bool]) -> None:
    """Plan on hard scenes, one after the other, without a pause."""
    robot = robots.load('panda')
    planner = planners.make('training_free', robot=robot, seed=0)
    scenes = [generate_scene(robot, seed, 'hard') for seed in range(9000, 9005)]
    while wanted():
        for scene in scenes:
            if not wanted():
                return
            try:
                planner.plan(PlanningProblem(
                    RobotState(scene.start_rad, np.zeros(robot.dof)), scene.goals[0],
                    scene.obstacles), 0.2)
            except PlanningError:
                continue


def started(roles: Sequence[str], seconds: float) -> list[subprocess.Popen[bytes]]:
    """Start busy processes that end by themselves after `seconds`."""
    return [subprocess.Popen([
        sys.executable, __file__, '--role', role, '--seconds', str(seconds)]) for role in roles]


def run(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure beside a planner, then under stress."""
    os.environ.update(local_environment())
    import rclpy
    from rclpy.experimental.events_executor import EventsExecutor
    rclpy.init()
    node = rclpy.create_node('jitter')
    work = TrackerWork(node)
    for _ in range(50):
        work()
    executor, over = EventsExecutor(), threading.Event()
    executor.add_node(node)
    rows: list[dict[str, Any]] = []
    permitted = asked.fifo > 0 and fifo_permitted(asked.fifo)
    options = RealTimeOptions(
        fifo_priority=asked.fifo if permitted else 0, nice=-10 if permitted else 0)

    def measured() -> None:
        stress = ('copy', 'count') * len(os.sched_getaffinity(0))
        try:
            time.sleep(asked.settle_s)
            rows.extend(measure(work, asked.minutes, 'planner', options))
            if asked.stress_minutes > 0.0:
                helpers.extend(started(stress, limit_s))
                time.sleep(1.0)
                rows.extend(measure(work, asked.stress_minutes, 'stress', options))
        finally:
            over.set()

    limit_s = SLACK * (asked.settle_s + 120.0 * (asked.minutes + asked.stress_minutes)) + SPARE_S
    end_s = time.monotonic() + limit_s
    helpers = started(['planner'], limit_s)
    # started before this process is raised: threads and children inherit its priority
    thread = threading.Thread(target=measured, daemon=True)
    thread.start()
    apply_to_process(options, print)
    try:
        while not over.is_set() and time.monotonic() < end_s:
            executor.spin_once(timeout_sec=0.1)
    finally:
        for process in helpers:
            process.kill()
    if not over.is_set():
        raise SystemExit(f'not done after {limit_s:.0f} s: the machine is too busy')
    thread.join()
    node.destroy_node()
    rclpy.try_shutdown()
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """Return the rows as a table."""
    shown = Table(title='jitter |period - 10 ms|, us', title_justify='left')
    limits = [f'over_{1e3 * limit:g}_ms' for limit in LIMITS_S]
    for name in ('load', 'loop', 'ticks', 'p50', 'p99', 'p99.9', 'max', 'missed',
                 'longest tick ms', *(name.replace('_', ' ') for name in limits)):
        shown.add_column(name)
    for row in rows:
        shown.add_row(
            row['load'], row['loop'], str(row['ticks']),
            *(f'{1e6 * row[f"jitter_p{p}_s"]:.0f}' for p in ('50', '99', '99.9', '100')),
            str(row['missed']), f'{1e3 * row["execution_max_s"]:.2f}',
            *(str(row[name]) for name in limits))
    return shown


def checks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return p99 of ours over the empty loop's (at most 1.2), and missed ticks (no more)."""
    ours, empty = (next(row for row in rows if row['load'] == 'planner' and row['loop'] == loop)
                   for loop in (OURS, EMPTY))
    ratio = ours['jitter_p99_s'] / max(empty['jitter_p99_s'], 1e-9)
    return [
        {'name': 'jitter_p99_ratio', 'value': ratio, 'bound': MOST_RATIO,
         'ok': ratio <= MOST_RATIO, 'n': ours['ticks']},
        {'name': 'missed_ticks', 'value': ours['missed'], 'bound': empty['missed'],
         'ok': ours['missed'] <= empty['missed'], 'n': ours['ticks']}]


def main() -> int:
    """Measure and print; exit code 1 if a check fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=10.0, help='of each loop, in turn')
    parser.add_argument('--stress-minutes', type=float, default=1.0, help='the same under stress')
    parser.add_argument('--fifo', type=int, default=50, help='priority of both loops; 0: normal')
    parser.add_argument('--settle-s', type=float, default=8.0, help='for the planner to load')
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--role', choices=('planner', 'copy', 'count'), help=argparse.SUPPRESS)
    parser.add_argument('--seconds', type=float, default=60.0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.role:
        busy(asked.role, asked.seconds)
        return 0
    rows = run(asked)
    found = checks(rows)
    if asked.json:
        print(json.dumps({'commit': commit_of_code(), 'host': host_information(),
                          'rows': rows, 'checks': found}))
    else:
        console = Console(width=150)
        console.print(table(rows))
        for check in found:
            console.print(f'{check["name"]}: {check["value"]:.3g}, bound {check["bound"]:.3g}: '
                          f'{"holds" if check["ok"] else "fails"}')
    return 0 if all(check['ok'] for check in found) else 1


if __name__ == '__main__':
    sys.exit(main())
