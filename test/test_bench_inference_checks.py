# SPDX-License-Identifier: Apache-2.0
"""What the checks of `bench inference` make of rows."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml
from bench_inference_world import checks, deadline_row, loop_rows, plan_row, row

from diffusion_control.evaluation import bench_inference_deadlines as deadlines
from diffusion_control.evaluation import bench_inference_plans as plans
from diffusion_control.evaluation.bench_inference_checks import (
    LOOPS_ASKED,
    PLANS_ASKED,
    REQUIRED,
    judged,
    result_of,
)
from diffusion_control.evaluation.bench_inference_setup import Setup

SETUP = Setup('panda', '', '', 'no onnx here')
CONTRACT = ['latency_vs_best_peer', 'plan16_p99_s', 'warm2_vs_cold20', 'deadlines_met',
            'prefix_latency_300ms', 'oracles']
RUNTIME = all(importlib.util.find_spec(name) for name in ('onnxruntime', 'onnx'))
EXPORTS = RUNTIME and all(importlib.util.find_spec(name) for name in ('torch', 'onnxscript'))


def test_the_required_checks_are_those_of_the_contract() -> None:
    root = Path(__file__).resolve().parents[1]
    tables = yaml.safe_load((root / 'test' / 'contract_tables.yaml').read_text(encoding='utf-8'))
    result = result_of([], commit='', command='')
    assert list(REQUIRED) == CONTRACT
    assert list(result) == tables['result_keys'] and result['failed'] == []
    assert {check['name'] for check in result['checks']} >= set(REQUIRED)
    assert all(list(check) == tables['check_keys'] and check['ok'] is None
               for check in result['checks'])


@pytest.mark.parametrize(('value', 'n', 'interval', 'ok'), [
    (0.96, 100, None, True), (0.94, 100, (0.9, 0.99), False), (0.94, 99, (0.9, 0.99), None),
    (0.94, 99, (0.9, 0.949), False), (0.96, 3, None, None), (None, 100, None, None)])
def test_few_scenes_fail_only_by_their_whole_interval(
    value: float | None, n: int, interval: Any, ok: bool | None
) -> None:
    assert judged('x', value, 0.95, n, 100, interval, at_least=True).ok is ok
    if value is not None:
        turned = None if interval is None else (-interval[1], -interval[0])
        assert judged('x', -value, -0.95, n, 100, turned).ok is ok


@pytest.mark.parametrize(('wall_s', 'count', 'ok'), [
    (0.049, PLANS_ASKED, True), (0.051, PLANS_ASKED, False), (0.9, PLANS_ASKED - 1, None)])
def test_the_time_of_sixteen_candidates(wall_s: float, count: int, ok: bool | None) -> None:
    check = checks([plan_row(plans.IN_50_MS, wall_s, count=count)])['plan16_p99_s']
    assert (check['ok'], check['value'], check['bound']) == (ok, pytest.approx(wall_s), 0.05)
    assert check['n'] == count


def test_times_without_a_deadline_are_told_and_judged_by_nobody() -> None:
    found = checks([plan_row(plans.DIFFUSER_16, 9.0), plan_row(plans.DIFFUSER, 9.0)])
    for name in ('plan16_no_deadline_p99_s', 'plan_no_deadline_p99_s'):
        assert found[name]['value'] == 9.0 and found[name]['ok'] is None


def test_equal_milliseconds_compare_scenes_that_both_solve() -> None:
    mine, other = plan_row(plans.DIFFUSER), plan_row(plans.EQUAL, lasting=4.0)
    mine['duration_s'][0], mine['success'][0] = None, False
    found = checks([mine, other])
    assert found['equal_ms_duration_ratio']['value'] == pytest.approx(0.75)
    assert found['equal_ms_duration_ratio']['ok'] is True
    assert found['equal_ms_success_ratio']['value'] == pytest.approx(1 - 1 / PLANS_ASKED)
    assert found['equal_ms_success_ratio']['ok'] is False
    none = checks([plan_row(plans.DIFFUSER, lasting=None), plan_row(plans.EQUAL, lasting=None)])
    assert none['equal_ms_duration_ratio']['value'] is None
    assert none['equal_ms_success_ratio']['ok'] is None


@pytest.mark.parametrize(('missed', 'count', 'ok'), [
    (4, LOOPS_ASKED, True), (6, LOOPS_ASKED, False), (1, 4, None), (4, 4, False)])
def test_two_warm_evaluations_against_twenty_cold_ones(
    missed: int, count: int, ok: bool | None
) -> None:
    found = checks([*loop_rows('warm', 'warm 2', count, missed, flips=1),
                    *loop_rows('warm', 'cold 20', count, flips=3),
                    *loop_rows('warm', 'warm 1', count, count)])
    check = found['warm2_vs_cold20']
    assert check['value'] == pytest.approx(1 - missed / count)
    assert check['ok'] is ok and check['n'] == count
    assert found['warm2_less_cold20_flips']['value'] == pytest.approx(-2.0)


def test_scenes_that_only_one_of_them_ran_do_not_count() -> None:
    found = checks([*loop_rows('warm', 'warm 2', 5), *loop_rows('warm', 'cold 20', 3)])
    assert found['warm2_vs_cold20']['n'] == 3


@pytest.mark.parametrize(('missed', 'jerk', 'value', 'ok'), [
    (0, 11.9, 1.0, True), (6, 11.9, 0.94, False), (2, 12.1, 0.0, False)])
def test_latency_keeps_success_and_jerk(
    missed: int, jerk: float, value: float, ok: bool
) -> None:
    found = checks([*loop_rows('prefix', 'frozen 300', LOOPS_ASKED, missed, jerk_rms_rad_s3=jerk),
                    *loop_rows('prefix', 'frozen 0', LOOPS_ASKED)])
    check = found['prefix_latency_300ms']
    assert check['value'] == pytest.approx(value) and check['ok'] is ok
    assert found['prefix_jerk_ratio']['value'] == pytest.approx(jerk / 10)
    assert found['prefix_success_ratio']['value'] == pytest.approx(1 - missed / LOOPS_ASKED)


@pytest.mark.parametrize(('change', 'broken'), [
    ({}, None), ({'late': 2}, None), ({'late': 3}, '20 ms: in time'),
    ({'evaluations': [0, *[1] * 199]}, '20 ms: an evaluation'),
    ({'cost_s': [3.0, 3.3] * 100}, '10 to 20 ms: cost'),
    ({'cost_s': [2.9, 3.0] * 100}, None),
    ({'cost_s': [*[3.0] * 199, 9.0]}, None),
    ({'success': [*[True] * 195, *[False] * 5]}, '10 to 20 ms: success'),
    ({'success': [*[True] * 196, *[False] * 4]}, None)])
def test_what_has_to_hold_of_deadlines(change: dict[str, Any], broken: str | None) -> None:
    rows = [deadline_row(10), deadline_row(20, **change)]
    held = deadlines.conditions(rows)
    assert [name for name, value in held.items() if not value] == ([broken] if broken else [])
    check = checks(rows)['deadlines_met']
    assert check['ok'] is (broken is None) and check['n'] == PLANS_ASKED
    assert check['value'] == pytest.approx(1.0 if broken is None else 1 - 1 / len(held))


def test_a_refused_deadline_has_to_say_the_time() -> None:
    refused = row('deadline', '10 ms', deadline_s=0.01, refused='one evaluation takes 8.1 ms')
    assert checks([refused, deadline_row(20)])['deadlines_met']['ok'] is True
    assert checks([{**refused, 'refused': 'no'}, deadline_row(20)])['deadlines_met']['ok'] is False
    assert checks([refused])['deadlines_met']['ok'] is None


def test_oracles_have_to_hold_all_of_them() -> None:
    good = row('oracle', 'a', value=0.0, bound=1.0, at_least=False, holds=True)
    assert checks([good])['oracles']['ok'] is True
    found = checks([good, {**good, 'name': 'b', 'holds': False}])['oracles']
    assert found['ok'] is False and found['value'] == 0.5 and found['n'] == 2
