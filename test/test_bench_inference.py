# SPDX-License-Identifier: Apache-2.0
"""`bench inference` on a small scale: its parts, and what is absent."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bench_inference_world import checks, deadline_row, loop_rows, plan_row, row

from diffusion_control import cli, robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation import bench_inference as bench
from diffusion_control.evaluation import bench_inference_deadlines as deadlines
from diffusion_control.evaluation import bench_inference_grid as grid
from diffusion_control.evaluation import bench_inference_loops as loops
from diffusion_control.evaluation import bench_inference_oracles as oracles
from diffusion_control.evaluation import bench_inference_peers as peers
from diffusion_control.evaluation import bench_inference_plans as plans
from diffusion_control.evaluation import bench_inference_scenes as scenes
from diffusion_control.evaluation import bench_inference_table as table
from diffusion_control.evaluation import bench_options
from diffusion_control.evaluation.bench_inference_checks import (
    LOOPS_ASKED,
    PLANS_ASKED,
    REQUIRED,
)
from diffusion_control.evaluation.bench_inference_setup import ABSENT, Setup, Task
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.row_store import contents
from diffusion_control.planners.problem import PlanSet

SETUP = Setup('panda', '', '', 'no onnx here')
CONTRACT = ['latency_vs_best_peer', 'plan16_p99_s', 'warm2_vs_cold20', 'deadlines_met',
            'prefix_latency_300ms', 'oracles']
RUNTIME = all(importlib.util.find_spec(name) for name in ('onnxruntime', 'onnx'))
EXPORTS = RUNTIME and all(importlib.util.find_spec(name) for name in ('torch', 'onnxscript'))


def test_the_oracles_hold_and_notice_a_wrong_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {name.removeprefix('law of ') for name in oracles.ORACLES
            if name.startswith('law of ')} == set(oracles.SAMPLERS)
    for name in ('law of ddim', 'order of dpm_solver_pp_2m', 'known values, ddpm',
                 'guidance scale 0', 'guidance scale 1 is noticed'):
        assert oracles.consult(SETUP, Task('oracle', name))['holds'], name
    step = oracles.sampling.step

    def wrong(state: Any, table_row: Any, *others: Any, **more: Any) -> Any:
        after = step(state, table_row, *others, **more)
        return replace(after, clean=1.1 * after.clean, x=1.1 * after.x)
    monkeypatch.setattr(oracles.sampling, 'step', wrong)
    for name in ('law of ddim', 'order of dpm_solver_pp_2m', 'known values, ddpm'):
        assert not oracles.consult(SETUP, Task('oracle', name))['holds'], name


def test_whole_plans_of_planners_without_a_model() -> None:
    found = plans.plan_scenes(SETUP, Task('plans', 'straight_line', 40_000, 4))
    assert len(found['wall_s']) == len(found['success']) == len(found['duration_s']) == 4
    assert all((lasting is not None) == good for lasting, good in zip(
        found['duration_s'], found['success'], strict=True))
    assert found['wall_p50_s'] <= found['wall_p99_s'] and found['parameters'] == {}
    assert plans.plan_scenes(SETUP, Task('plans', 'untrained 16', 0, 1)) == {
        ABSENT: 'no onnx here'}


def test_scenes_take_turns_between_the_tiers_and_are_of_their_seed() -> None:
    assert [SETUP.scene(seed).tier for seed in (40_000, 40_001)] == ['easy', 'hard']
    first, again = SETUP.question(40_003), SETUP.question(40_003)
    np.testing.assert_array_equal(first.state.position, again.state.position)
    assert not first.state.velocity.any()


def test_a_calibration_meets_a_time_that_is_affine() -> None:
    def taken(scale: float) -> float:
        return 0.01 + 0.03 * scale
    scale = plans.next_scale((1.0, taken(1.0)), (2.0, taken(2.0)), 0.1)
    assert taken(scale) == pytest.approx(0.1)
    assert plans.next_scale((1.0, 0.05), (2.0, 0.04), 0.02) == pytest.approx(1.0)
    assert plans.next_scale((1.0, 0.05), (1.0, 0.05), 1e9) == plans.GREATEST_SCALE


class FakePlanner:
    """A planner that answers at once and is refused deadlines below 20 ms."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def require_deadline(self, deadline_s: float) -> None:
        if deadline_s < 0.02:
            raise ConfigurationError('slow', allowed='takes 11.0 ms')

    def reset(self, seed: int) -> None:
        self.seeds.append(seed)

    def plan(self, problem: Any, deadline_s: float | None = None) -> PlanSet:
        score = -1000.0 if len(self.seeds) == 2 else -2.5
        motion: Any = None
        return PlanSet(
            (motion,), np.array([score]), None if score < -1e2 else 0, evaluations=4)


def test_deadlines_are_asked_with_a_new_seed_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[FakePlanner] = []

    def make(*arguments: Any, **options: Any) -> FakePlanner:
        made.append(FakePlanner())
        return made[-1]
    monkeypatch.setattr(deadlines.planners, 'make', make)
    found = deadlines.plan_in_time(SETUP, Task('deadline', '20 ms', 40_000, 3))
    assert len(set(made[0].seeds)) == 3 and found['evaluations'] == [4, 4, 4]
    assert found['cost_s'] == [2.5, deadlines.CAP_S, 2.5]
    assert found['success'] == [True, False, True] and found['deadline_s'] == 0.02
    other = deadlines.plan_in_time(SETUP, Task('deadline', '50 ms', 40_000, 3))
    assert not set(made[0].seeds) & set(made[1].seeds) and 'refused' not in other
    slow = deadlines.plan_in_time(SETUP, Task('deadline', '10 ms', 40_000, 3))
    assert slow == {'deadline_s': 0.01, 'refused': 'takes 11.0 ms'}


def line(first_s: float, last_s: float, sent_s: float, offset: float = 0.0) -> Command:
    """Return a motion q(t) = t + offset of one joint."""
    times = np.array([0.0, last_s - first_s])
    return Command(sent_s, first_s, times, (first_s + offset + times)[:, None])


def test_the_distance_of_plans_is_that_of_their_common_future() -> None:
    first, second = line(0.0, 2.0, 0.0), line(1.0, 3.0, 1.0, offset=0.2)
    assert loops.plan_distances([first, second]) == pytest.approx([0.2])
    assert loops.plan_distances([first, line(2.5, 3.0, 2.5)]) == []


def test_jerk_is_the_third_difference_since_the_start() -> None:
    times = np.arange(0.0, 3.0, 0.001)
    moved = np.where(times < 1.0, 100.0 * times, (times - 1.0) ** 3)
    assert loops.jerk_rms(times, moved[:, None], 1.0) == pytest.approx(6.0, rel=1e-3)
    assert loops.jerk_rms(times[:1020], moved[:1020, None], 1.0) is None


def test_closed_loops_give_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, 'PLANNER', 'straight_line')
    monkeypatch.setitem(loops.STARTS, 'warm 2', {'speed_scale': 0.5})
    monkeypatch.setattr(loops, 'LoopOptions', lambda **values: closed(duration_s=1.0, **values))
    started = loops.run_start(SETUP, Task('warm', 'warm 2', 42_002))
    assert set(started) == {'success', 'time_s', 'plans', 'flips', 'rejected',
                            'plan_distance_rad', 'switches'}
    late = loops.run_latency(SETUP, Task('prefix', 'naive 300', 42_002))
    assert set(late) == {'success', 'time_s', 'plans', 'flips', 'rejected', 'jerk_rms_rad_s3'}
    assert late['jerk_rms_rad_s3'] >= 0.0 and not late['success']


def closed(**values: Any) -> Any:
    from diffusion_control.evaluation.closed_loop import LoopOptions
    return LoopOptions(**values)


class FakeChain:
    """A chain whose run is noted."""

    def __init__(self) -> None:
        self.card = SimpleNamespace(inputs={'x': SimpleNamespace(shape=('B', 8, 7))})
        self.asked: list[tuple[int, int, int]] = []

    def run(self, conditions: Any, noise: Any, evaluations: int) -> None:
        assert noise.shape[1:] == (8, 7) and len(conditions['goal']) == 1
        self.asked.append((len(noise), evaluations, len(conditions['condition'])))


def test_the_grid_times_every_cell() -> None:
    chain: Any = FakeChain()
    found = grid._cells(
        chain, {'condition': np.zeros((1, 4)), 'goal': np.zeros((1, 4))}, repeats=7)
    assert [(cell['candidates'], cell['evaluations']) for cell in found['cells']] == [
        (count, many) for count in (1, 16, 64) for many in (1, 2, 5, 10, 20)]
    assert {cell['n'] for cell in found['cells']} == {7}
    assert len(chain.asked) == 15 * (7 + grid.WARM_RUNS)
    assert all(batch == spread for batch, _, spread in chain.asked)
    assert set(found['per_evaluation_s']) == {'1', '16', '64'} and found['growth'] > 0


def test_without_torch_the_horizons_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, 'installed', lambda name: name != 'torch')
    found = grid.time_grid(SETUP, Task('grid', 'horizon 32', 0, 1))
    assert set(found) == {ABSENT} and 'torch' in found[ABSENT]


@pytest.mark.skipif(not EXPORTS, reason='needs torch, onnx, onnxscript, onnxruntime')
def test_a_network_with_random_weights_is_exported_and_timed(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, values in (('WIDTH', 8), ('EVALUATIONS', (1, 5)), ('CANDIDATES', (1, 2))):
        monkeypatch.setattr(grid, name, values)
    found = grid.time_grid(SETUP, Task('grid', 'horizon 16', 0, 1))
    assert found['network'] == 'temporal_unet' and found['parameters'] > 1000
    assert len(found['cells']) == 4 and all(cell['wall_p50_s'] > 0 for cell in found['cells'])


def shape(ratio: float, **values: Any) -> dict[str, Any]:
    cell = {'p50_s': 0.01, 'p99_s': 0.02, 'n': 50, 'best_peer': 'lerobot', 'ratio': ratio,
            'ratio_rounds': [0.3, 0.4]}
    mine = {'name': 'temporal_unet', 'ours': True, 'parameters_ratio': 1.0,
            'batch': {'1': cell, '16': {**cell, 'ratio': 9.0}}, **values}
    return {'horizon': 16, 'absent': {'diffuser': 'source only'},
            'rows': [mine, {**mine, 'name': 'lerobot', 'ours': False}]}


@pytest.mark.parametrize(('worst', 'amount', 'ok'), [
    (0.49, 20, True), (0.51, 20, False), (0.51, 1, None)])
def test_the_worst_ratio_at_batch_one_counts(worst: float, amount: int, ok: bool | None) -> None:
    found = peers.ratios({'shapes': [shape(0.3), shape(worst), shape(0.9, parameters_ratio=0.5)]})
    assert found['peers_absent'] == {'diffuser': 'source only'} and len(found['cells']) == 4
    check = checks([{**row('peers', 'all', **found), 'amount': amount}])['latency_vs_best_peer']
    assert check['value'] == worst and check['ok'] is ok and check['n'] == 100


def test_peers_are_absent_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, python = Task('peers', 'all', 0, 1), tmp_path / 'python'
    monkeypatch.delenv(peers.VARIABLE, raising=False)
    assert peers.VARIABLE in peers.measure_peers(SETUP, task)[ABSENT]
    monkeypatch.setenv(peers.VARIABLE, str(python))
    assert str(python) in peers.measure_peers(SETUP, task)[ABSENT]
    python.touch()
    monkeypatch.setattr(peers, 'ROOT', tmp_path)
    assert 'no checkout' in peers.measure_peers(SETUP, task)[ABSENT]
    script = tmp_path / peers.SCRIPT
    script.parent.mkdir()
    script.write_text('raise SystemExit("no torch at all")')
    assert 'no torch at all' in peers.measure_peers(SETUP, task)[ABSENT]
    script.write_text(
        'import pathlib, sys\n'
        f'text = {json.dumps(json.dumps({"shapes": [shape(0.4)]}))}\n'
        'pathlib.Path(sys.argv[sys.argv.index("--out") + 1]).write_text(text)\n')
    assert peers.measure_peers(SETUP, task)['cells'][0]['ratio'] == 0.4
    nobody = {'horizon': 16, 'rows': [], 'absent': {'lerobot': 'not there'}}
    assert 'lerobot: not there' in peers.ratios({'shapes': [nobody]})[ABSENT]
    assert checks([row('peers', 'all', absent='x')])['latency_vs_best_peer']['ok'] is None


def fakes(setup: Setup, task: Task) -> dict[str, Any]:
    """Return a row of the right form without measuring anything."""
    made = {
        'plans': plan_row(task.name, lasting=4.0 if task.name == plans.EQUAL else 3.0),
        'oracle': row(
            'oracle', task.name, value=0.0, bound=1.0, at_least=False, holds=True),
        'deadline': deadline_row(int(task.name.split()[0])) if task.part == 'deadline' else {},
        'peers': row('peers', 'all', absent='nobody home'),
        'scenes': row('scenes', 'all', absent='nothing there'),
        'grid': row('grid', task.name, growth=2.0, memory_mb=100.0, per_evaluation_s={'1': 0.001},
                    cells=[{'evaluations': 1, 'candidates': 1, 'n': 3, 'wall_p50_s': 0.001,
                            'wall_p99_s': 0.002}]),
        'warm': loop_rows('warm', task.name, 1)[0], 'prefix': loop_rows('prefix', task.name, 1)[0]}
    return {key: value for key, value in made[task.part].items()
            if key not in ('part', 'name', 'seed', 'amount')}


@pytest.fixture
def faked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bench.BenchInferenceOptions:
    model = tmp_path / 'model'
    model.mkdir()
    (model / 'card.json').write_text('{"sha256": "abc"}')
    monkeypatch.setattr(bench.Setup, 'make', lambda *names: Setup('panda', str(model)))
    monkeypatch.setattr(bench, 'MEASURE', dict.fromkeys(bench.MEASURE, fakes))
    return bench.BenchInferenceOptions(quick=True, out=tmp_path / 'out', commit='abc')


def test_the_bench_runs_all_parts_and_resumes(
    faked: bench.BenchInferenceOptions, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = bench.bench_inference(faked)
    assert {check['name'] for check in result['checks']} >= set(REQUIRED)
    assert result['failed'] == [] and result['commit'] == 'abc'
    assert {found['part'] for found in result['rows']} == set(bench.MEASURE)
    (picture,) = faked.out.glob('*/result.png')
    assert picture.read_bytes().startswith(b'\x89PNG') and picture.stat().st_size > 20_000
    printed = capsys.readouterr().out
    for words in ('one denoising run, shipped', 'whole plans', 'deadlines, a new seed',
                  'replanning in closed loop', 'frozen prefix', 'closed-form', 'nobody home'):
        assert words in printed
    asked: list[str] = []

    def watched(setup: Setup, task: Task) -> dict[str, Any]:
        asked.append(task.part)
        return fakes(setup, task)
    monkeypatch.setattr(bench, 'MEASURE', dict.fromkeys(bench.MEASURE, watched))
    again = bench.bench_inference(replace(faked, resume=True))
    assert asked == ['peers', 'scenes'], 'what was absent is tried again, and nothing else'
    assert json.loads(json.dumps(again['rows'])) == json.loads(json.dumps(result['rows']))
    asked.clear()
    more = bench.bench_inference(replace(faked, resume=True, episodes=3))
    assert asked.count('warm') == len(loops.STARTS) and 'plans' not in asked
    assert len(more['rows']) > len(result['rows'])


def test_closed_loops_are_those_of_evaluate_with_the_same_model(tmp_path: Path) -> None:
    card = tmp_path / 'model' / 'card.json'
    card.parent.mkdir()
    card.write_text('{"sha256": "a", "score": {}}')
    made = Setup('panda', str(card.parent), folder=tmp_path / 'out' / 'bench')
    task = Task('scenes', 'all')
    assert 'evaluate arm --planner diffuser --untrained' in scenes.read_scenes(made, task)[ABSENT]
    there = tmp_path / 'out' / 'evaluate_arm-panda-both-diffuser'
    there.mkdir(parents=True)
    found = [dict(tier='hard', episode=k, seed=k, planner=planner, success=k < good,
                  time_s=time_s, contact_moving=0, contacts_at_rest=0, clearance_min_m=None,
                  violations={'velocity': 1, 'torque': None}, evaluations=4.0, plans=1,
                  plans_rejected={}, final_state='', states_s={}, end='', goals_reached=0,
                  plan_p50_s=None if planner == 'expert' else 0.03)
             for planner, good, time_s in (('expert', 4, 2.0), ('diffuser', 3, 3.0))
             for k in range(5)]
    (there / 'result.json').write_text(json.dumps(
        {'commit': 'abc', 'checks': [], 'rows': found}))
    (there / 'settings.json').write_text(json.dumps({'contents': contents([card.parent])}))
    expert, mine = scenes.read_scenes(made, task)['cells']
    assert expert['success'] == 0.8 and expert['time_ratio'] == 1.0
    assert expert['plan_p50_s'] is None
    assert mine == {
        'tier': 'hard', 'planner': 'diffuser', 'n': 5, 'success': 0.6, 'of_the_expert': 0.75,
        'time_ratio': 1.5, 'contact_moving': 0, 'violations': 5, 'evaluations': 4.0,
        'plan_p50_s': 0.03}
    table.print_result({'rows': [row('scenes', 'all', cells=[expert, mine])]})
    card.write_text('{"sha256": "b", "score": {}}')
    assert ABSENT in scenes.read_scenes(made, task)


def test_growth_with_the_horizon_is_over_the_shortest(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row('grid', f'horizon {size}', cells=[
        {'candidates': 16, 'evaluations': 5, 'wall_p50_s': 0.001 * size, 'wall_p99_s': 1.0}],
        growth=2.0, per_evaluation_s={'16': 0.0}) for size in (128, 32, 64)]
    table.print_result({'rows': rows})
    printed = capsys.readouterr().out
    assert '32 knots │ 64 knots │ 128 knots' in printed.replace('┃', '│')
    assert '1.00 │     2.00 │      4.00' in printed


def test_rows_of_another_model_are_not_resumed(
    faked: bench.BenchInferenceOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.bench_inference(faked)
    monkeypatch.setattr(Setup, 'sha256', 'other')
    with pytest.raises(ConfigurationError, match='other settings'):
        bench.bench_inference(replace(faked, resume=True))


def test_times_are_taken_by_one_process(
    faked: bench.BenchInferenceOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, int] = {}

    def tasks(run: Any, wanted: list[Task], jobs: int, *labels: str) -> Any:
        for task in wanted:
            seen[task.part] = jobs
            yield run(task)
    monkeypatch.setattr(bench_options, 'run_tasks', tasks)
    bench.bench_inference(replace(faked, jobs=5))
    assert seen == {'grid': 1, 'peers': 1, 'plans': 1, 'deadline': 1, 'warm': 5, 'prefix': 5,
                    'oracle': 5, 'scenes': 5}


def test_seeds_are_unseen_and_the_full_bench_asks_for_enough() -> None:
    tasks = bench._tasks(bench.BenchInferenceOptions())
    assert all(task.seed == 0 or task.seed >= 40_000 for task in tasks)
    assert len({task.key for task in tasks}) == len(tasks)
    assert bench.COMPLETE.plans >= PLANS_ASKED
    assert min(bench.COMPLETE.starts, bench.COMPLETE.latencies) >= LOOPS_ASKED
    assert {task.name for task in tasks if task.part == 'deadline'} == {
        '10 ms', '20 ms', '30 ms', '50 ms', '100 ms'}


@pytest.mark.parametrize('arguments', [
    ['inference', '--model', '/no/such/model'], ['safety', '--model', 'x'], ['nothing'],
    ['inference', '--robot-config', 'no_such']])
def test_bad_questions_are_refused(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(['bench', *arguments, '--quick', '--out', str(tmp_path / 'out')]) == 2
    assert 'Traceback' not in capsys.readouterr().err and not (tmp_path / 'out').exists()


@pytest.mark.skipif(not RUNTIME, reason='needs onnxruntime and onnx')
def test_the_shipped_model_is_found_and_its_random_twin_is_written(tmp_path: Path) -> None:
    setup = Setup.make('panda', '', tmp_path)
    card = json.loads((Path(setup.untrained) / 'card.json').read_text())
    assert card['untrained'] and card['sha256'] != setup.sha256
    found = plans.plan_scenes(setup, Task('plans', plans.IN_50_MS, 40_000, 1))
    assert len(found['wall_s']) == 1 and found['parameters'] == plans.SIXTEEN
    assert robots.load('panda').name in setup.model
