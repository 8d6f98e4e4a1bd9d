# SPDX-License-Identifier: Apache-2.0
"""A tracker over a long time: no memory grows, and its log says which stage was late."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from tracking_world import HOME, START_S, fake_robot, plan_between, standing

from diffusion_control import tracking
from diffusion_control.nodes.tracker_report import ALL_STAGES, BUDGET_SHARES, TickLog
from diffusion_control.robots.state import RobotState
from diffusion_control.tracking.protocol import Reference, TrackerReport

TICKS, SETTLED = 10_000, 500
GROWTH_BYTES = 16_384


def test_no_memory_grows_over_ten_thousand_ticks():
    """Plans to and fro, each tick a new committed motion; what the log keeps is included."""
    robot = fake_robot()
    tracker, log = tracking.make('mpc', robot=robot), TickLog(0.01)
    committed, plan, here, there = standing(HOME, START_S), None, HOME, HOME + 0.2
    held = 0
    for k in range(SETTLED + TICKS):
        now_s = START_S + 0.01 * k
        if plan is None or now_s > plan.end_s:
            plan = plan_between(here, there, 0.8, now_s + 0.05, points=20)
            here, there = there, here
        state = RobotState(committed.sample(now_s - 0.01).position, HOME * 0, now_s)
        output = tracker.step(state, Reference(plan, committed), now_s)
        committed = output.motion
        log.add(output.report, {'receive': 0.0, **output.report.stage_s}, 1e-3, 1e-3)
        if log.ready():
            log.take()
        if k == SETTLED:
            tracemalloc.start()
        if k == 2 * SETTLED:
            gc.collect()
            held = tracemalloc.get_traced_memory()[0]
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - held
    tracemalloc.stop()
    assert grown < GROWTH_BYTES, f'{grown} bytes'
    assert log.success_rate() == 1.0


def report(ok: bool = True) -> TrackerReport:
    return TrackerReport('daqp', ok, 'solved', 'solution', 3, 'shifted')


def test_budgets_are_one_period_and_name_every_stage():
    assert set(BUDGET_SHARES) == set(ALL_STAGES)
    assert sum(BUDGET_SHARES.values()) == pytest.approx(1.0)


def test_a_late_tick_is_missed_by_the_stage_that_exceeded_its_budget_most():
    """The solve took longest, but inside its budget: the check is to blame."""
    log = TickLog(0.01)
    log.add(report(), {'solve': 4.2e-3, 'check': 4.0e-3, 'state': 0.4e-3}, 9e-3, 10.5e-3)
    assert log.missed['check'] == 1 and sum(log.missed.values()) == 1
    assert log.over_budget == {**dict.fromkeys(ALL_STAGES, 0), 'check': 1}
    log.add(report(), {'solve': 5e-3}, 5e-3, 6e-3)
    assert log.over_budget['solve'] == 1 and log.missed['solve'] == 0, 'over, but in time'


def test_the_success_rate_is_of_the_last_hundred_ticks():
    log = TickLog(0.01)
    for k in range(150):
        log.add(report(ok=k >= 60), {'solve': 1e-4}, 1e-4, 1e-4)
        log.take()
    assert log.success_rate() == 0.9
    log.failed()
    assert log.success_rate() == 0.9, 'the oldest was a failure too'


def test_choice_iterations_and_time_are_published_for_every_tick():
    log = TickLog(0.01)
    for k in range(10):
        assert not log.ready()
        log.add(report(), {'solve': 1e-4 * k}, 1e-3, 2e-3)
    found = log.take()
    assert found['warm_start'] == ['shifted'] * 10 and found['iterations'] == [3] * 10
    assert found['solve_s'] == pytest.approx([1e-4 * k for k in range(10)])
    assert found['cpu_s'] == [1e-3] * 10 and found['wall_s'] == [2e-3] * 10
