# SPDX-License-Identifier: Apache-2.0
"""The CBF-QP filter, and what the monitor does with its answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safety_world import ARM, GOOD, SPIN, drive, spinning, world
from test_safety_barriers import SCENE, UNITS, spread, step

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.mutants import MUTANTS
from diffusion_control.evaluation.mutate import run_mutant
from diffusion_control.robots import Obstacle, ObstacleArrays
from diffusion_control.safety import SafetyParameters
from diffusion_control.safety.barriers import link_link
from diffusion_control.safety.delay import DelayMeter
from diffusion_control.safety.filter import BarrierFilter, Filtered
from diffusion_control.safety.step_filter import StepFilter
from diffusion_control.safety.tighten import tightened
from diffusion_control.safety.tool_check import ToolCheck
from diffusion_control.solvers.daqp import DaqpSolver
from diffusion_control.solvers.protocol import INFEASIBLE

FILTER = BarrierFilter(ARM, SafetyParameters())
NOWHERE = ObstacleArrays.pack(())


# --- the programme ------------------------------------------------------------------------

def test_a_velocity_that_nothing_speaks_against_is_left_alone() -> None:
    asked = np.full(7, 0.05)
    found = FILTER.filter(step(obstacles=NOWHERE), asked)
    assert found.velocity is asked and not found.changed and found.slack == 0.0


@settings(max_examples=150, deadline=None)
@given(UNITS, UNITS, UNITS)
def test_the_hard_part_is_always_feasible_and_kept(
    place: list[float], moving: list[float], asked: list[float]
) -> None:
    velocity = 0.9 * np.array(moving) * ARM.limits.velocity_rad_s
    now = step(spread(place), velocity, stopping=0.8 * velocity)
    found = FILTER.filter(now, 2.0 * np.array(asked) * ARM.limits.velocity_rad_s)
    assert found.velocity is not None and found.status == 'solved'
    bounds = FILTER.barriers.bounds(now)
    assert (found.velocity <= bounds.upper + 1e-6).all()
    assert (found.velocity >= bounds.lower - 1e-6).all()
    rows = FILTER.barriers.rows(now, found.velocity)
    hard = rows.softness < 0
    assert (rows.slope[hard] @ found.velocity >= rows.floor[hard] - 1e-5).all()


def test_the_answer_is_the_nearest_one() -> None:
    q = np.asarray(ARM.home_rad, dtype=float)
    ball = Obstacle('sphere', (0.08,), ARM.tool_pose(q)[0] + np.array([0.0, 0.19, 0.0]), key='b')
    now = step(q, obstacles=ObstacleArrays.pack((ball,)))
    asked = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2])
    found = FILTER.filter(now, asked)
    assert found.changed and found.velocity is not None and found.active >= 1
    rows, bounds = FILTER.barriers.rows(now, asked), FILTER.barriers.bounds(now)
    best = float(np.linalg.norm(found.velocity - asked))
    rng = np.random.default_rng(0)
    for _ in range(4000):
        other = np.clip(found.velocity + 0.2 * rng.normal(size=7), bounds.lower, bounds.upper)
        if (rows.slope @ other >= rows.floor).all():
            assert np.linalg.norm(other - asked) >= best - 1e-3


def test_a_mover_does_not_soften_what_stands() -> None:
    q = np.asarray(ARM.home_rad, dtype=float)
    tool = ARM.tool_pose(q)[0]
    wall = Obstacle('sphere', (0.08,), tool + np.array([0.0, 0.2, 0.0]), key='w')
    mover = Obstacle('sphere', (0.08,), tool - np.array([0.0, 0.16, 0.0]), key='m', may_move=True,
                     velocity_m_s=np.array([0.0, 0.5, 0.0]))
    both = step(q, obstacles=ObstacleArrays.pack((wall, mover)))
    found = FILTER.filter(both, np.zeros(7))
    assert found.velocity is not None and found.slack > 0.05
    alone = step(q, obstacles=ObstacleArrays.pack((wall,)))
    rows = FILTER.barriers.rows(alone, np.zeros(7))
    assert (rows.slope @ found.velocity >= rows.floor - 0.02).all()


@pytest.mark.parametrize('status', [INFEASIBLE, 'failed', 'inaccurate', 'iteration_limit',
                                    'suboptimal'])
def test_an_answer_that_is_not_exact_is_not_used(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    solve = DaqpSolver.solve

    def worse(self: DaqpSolver, *args: Any, **kwargs: Any) -> Any:
        return replace(solve(self, *args, **kwargs), status=status)

    tool = ARM.tool_pose(np.asarray(ARM.home_rad, dtype=float))[0]
    ball = Obstacle('sphere', (0.08,), tool + np.array([0.0, 0.35, 0.0]), key='b')
    w = world(standing=(ball,))
    drive(w, 0.2, SPIN)
    monkeypatch.setattr(DaqpSolver, 'solve', worse)
    decisions = drive(w, 0.3, SPIN)  # nearer than the barrier admits, so that the solver is asked
    asked = [found for found in decisions if found.refusal == f'filter_{status}']
    assert asked and all(found.action == 'tail' and found.verified for found in asked[:2])


def test_a_velocity_outside_the_box_is_clipped_where_no_row_binds() -> None:
    """The programme's solution, which no solver is needed for."""
    now = step(obstacles=NOWHERE)
    bounds = FILTER.barriers.bounds(now)
    asked = np.array([2.0, 0.0, -2.0, 0.0, 0.0, 0.0, 2.0])
    found = FILTER.filter(now, asked)
    assert found.changed and found.slack == 0.0 and found.active == 0
    np.testing.assert_allclose(
        found.velocity, np.minimum(np.maximum(asked, bounds.lower), bounds.upper))
    rows = FILTER.barriers.rows(now, asked)
    solved = FILTER._solve(rows, bounds, asked)
    np.testing.assert_allclose(found.velocity, solved.velocity, atol=1e-7)


def test_rows_that_cannot_bind_change_nothing() -> None:
    random, binding = np.random.default_rng(5), 0
    for _ in range(60):
        velocity = 0.4 * random.uniform(-1, 1, 7) * ARM.limits.velocity_rad_s
        now = step(spread(list(random.uniform(-1, 1, 7))), velocity, stopping=0.8 * velocity)
        asked = velocity + random.uniform(-1, 1, 7)
        rows, bounds = FILTER.barriers.rows(now, asked), FILTER.barriers.bounds(now)
        found, every = FILTER.filter(now, asked), FILTER._solve(rows, bounds, asked)
        assert found.velocity is not None and every.velocity is not None
        np.testing.assert_allclose(found.velocity, every.velocity, atol=1e-5)
        binding += every.active > 0
    assert binding > 5


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('field', ['slope', 'floor'])
def test_a_barrier_that_is_not_finite_never_lets_anything_pass(
    bad: float, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier = link_link.barrier

    def broken(*args: Any) -> Any:
        rows = barrier(*args)
        getattr(rows, field)[0] = bad
        return rows

    monkeypatch.setattr(link_link, 'barrier', broken)
    found = FILTER.filter(step(obstacles=NOWHERE), np.full(7, 0.05))
    harmless = field == 'floor' and bad == -np.inf
    assert (found.velocity is not None) is harmless


def test_an_error_in_the_filter_ends_in_emergency_and_the_stored_tail(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any) -> Filtered:
        raise FloatingPointError('NaN in a barrier')

    w = spinning()
    monkeypatch.setattr(StepFilter, 'filter', fails)
    decisions = drive(w, 0.5)
    assert decisions[0].state == 'EMERGENCY' and decisions[0].command is not None
    assert np.abs(w.dq).max() == 0.0


def test_the_tool_slides_along_an_obstacle_instead_of_stopping() -> None:
    q = np.asarray(ARM.home_rad, dtype=float)
    ball = Obstacle('sphere', (0.08,), ARM.tool_pose(q)[0] + np.array([0.0, 0.25, 0.0]), key='b')
    moved = {}
    for on in (True, False):
        w = world(standing=(ball,), filter=on)
        decisions = drive(w, 2.0, 0.6 * SPIN)
        moved[on] = np.abs(w.q - q).sum()
        if on:
            counters = decisions[-1].counters
            assert counters.filtered > 50 and counters.fallback_ticks == 0 == counters.slowed
    assert moved[True] > 2.0 * moved[False]


def test_speed_scale_slows_everything() -> None:
    w = world(speed_scale=0.2)
    drive(w, 1.0)
    assert np.abs(w.dq).max() <= 0.2 * ARM.limits.velocity_rad_s.max() + 0.02


@pytest.mark.parametrize('params', [
    {'tool_speed_max_m_s': 0.15}, {'workspace.lower_m': (-100.0, -0.1, -100.0)},
    {'workspace.upper_m': (100.0, 0.1, 100.0)}])
def test_the_tool_keeps_its_speed_and_its_box(params: dict[str, Any]) -> None:
    w = world(**params)
    drive(w, 0.3, np.zeros(7))
    before, places = ARM.tool_pose(w.q)[0], []
    for _ in range(100):
        drive(w, 0.01, SPIN if 'workspace.lower_m' not in params else -SPIN)
        places.append(ARM.tool_pose(w.q)[0])
    speed = np.linalg.norm(np.diff(np.array([before, *places]), axis=0), axis=1) / 0.01
    if 'tool_speed_max_m_s' in params:
        assert 0.1 < speed.max() < 0.16
    else:
        assert 0.05 < max(abs(place[1]) for place in places) < 0.1


# --- live changes -------------------------------------------------------------------------

@pytest.mark.parametrize('changes', [
    {'margin_m': 0.005}, {'class_k_gain': 16.0}, {'speed_scale': 1.01},
    {'braking_fraction': 0.8}, {'obstacles.max_speed_m_s': 0.4}, {'state.stale_s': 0.04},
    {'margin_m': 0.02, 'class_k_gain': 19.0}, {'margin_m': 9.0}])
def test_limits_are_never_loosened(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        tightened(SafetyParameters(), changes)


def test_a_tool_speed_of_zero_means_none() -> None:
    limited = tightened(SafetyParameters(), {'tool_speed_max_m_s': 0.5})
    for looser in (0.0, 0.6):
        with pytest.raises(ConfigurationError):
            tightened(limited, {'tool_speed_max_m_s': looser})
    assert tightened(limited, {'tool_speed_max_m_s': 0.4}).tool_speed_max_m_s == 0.4


def test_a_tightened_limit_acts_at_once_and_a_refused_one_changes_nothing() -> None:
    w = spinning()
    with pytest.raises(ConfigurationError, match='loosened'):
        w.monitor.tighten({'speed_scale': 0.3, 'margin_m': 0.0})
    drive(w, 0.1)
    assert np.abs(w.dq).max() > 1.0
    w.monitor.tighten({'speed_scale': 0.3})
    drive(w, 0.5)
    assert np.abs(w.dq).max() <= 0.3 * ARM.limits.velocity_rad_s.max() + 0.02


@pytest.mark.parametrize('value', [(0.0, 0.0), (0.0, 0.0, np.nan), (200.0, 0.0, 0.0), 'x'])
def test_a_workspace_that_is_no_box_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match='workspace'):
        SafetyParameters(workspace_lower_m=value)


# --- delay --------------------------------------------------------------------------------

@settings(max_examples=50, deadline=None)
@given(st.floats(0.012, 0.08), st.floats(0.4, 2.0))
def test_the_measured_delay_is_the_true_one(delay_s: float, speed: float) -> None:
    meter = DelayMeter(0.01)
    times = np.arange(64) * 0.01
    rows = np.outer(times, np.full(7, speed))
    found = meter.range
    for tick in range(20, 60):
        now = times[tick]
        found = meter.measure(times[:tick + 1], rows[:tick + 1],
                              np.full(7, speed * (now - delay_s)), np.full(7, speed), now)
    assert found.least_s == 0.01 and found.most_s == pytest.approx(delay_s, abs=3e-3)


def test_a_robot_that_stands_or_turns_tells_nothing_of_its_delay() -> None:
    meter, times = DelayMeter(0.01), np.arange(64) * 0.01
    still = np.zeros((64, 7))
    assert meter.measure(times, still, np.zeros(7), np.zeros(7), times[-1]).spread_s == 0.0
    turned = np.concatenate([np.linspace(0, 1, 32), np.linspace(1, 0, 32)])
    rows = np.repeat(turned[:, None], 7, axis=1)
    back = meter.measure(times, rows, rows[58], np.full(7, 1.0), times[60])
    assert back.spread_s == 0.0


# --- the tool's check ---------------------------------------------------------------------

def test_the_tool_check_costs_nothing_without_limits() -> None:
    check = ToolCheck(ARM, SafetyParameters())
    assert check.refusal(np.zeros(3), np.full((3, 7), np.nan), 0.0) == ('', 0)


def test_a_tool_outside_of_its_box_may_return() -> None:
    q = np.asarray(ARM.home_rad, dtype=float)
    outside = float(ARM.tool_pose(q)[0][1]) - 0.05
    check = ToolCheck(ARM, SafetyParameters(workspace_upper_m=(100.0, outside, 100.0)))
    path = np.tile(q, (20, 1))
    path[:, 0] -= np.linspace(0.0, 0.1, 20)
    grid = 0.01 * np.arange(20)
    assert check.refusal(grid, path, 0.0)[0] == ''
    assert check.refusal(grid, path[::-1].copy(), 0.0)[0] == 'workspace'


# --- somebody notices ---------------------------------------------------------------------

@pytest.mark.parametrize('name', sorted(MUTANTS))
def test_a_part_that_is_taken_away_is_noticed(name: str) -> None:
    row = run_mutant((name, 0))
    assert row['sound'] == '' and row['mutated'] != ''


def test_a_scene_full_of_things_is_solved_alike_twice() -> None:
    now = step(velocity=0.3 * ARM.limits.velocity_rad_s, obstacles=ObstacleArrays.pack(SCENE))
    asked = ARM.limits.velocity_rad_s
    first, again = FILTER.filter(now, asked), FILTER.filter(now, asked)
    assert first.velocity is not None and again.velocity is not None
    np.testing.assert_array_equal(first.velocity, again.velocity)


def test_after_a_filtered_step_the_stop_is_no_longer_than_it_need_be() -> None:
    """The tracker's path goes on at full speed where the filter has slowed the arm."""
    w = world(speed_scale=0.3)
    drive(w, 1.0, SPIN)
    speed = float(np.abs(w.dq).max())
    decision = drive(w, 0.01, SPIN, health=replace(GOOD, emergency_stop=True))[-1]
    assert decision.state == 'EMERGENCY' and decision.action == 'brake'
    top, jerk = 0.75 * ARM.limits.acceleration_rad_s2[0], 0.75 * ARM.limits.jerk_rad_s3[0]
    assert decision.tail_s <= speed / top + top / jerk + 0.06
