# SPDX-License-Identifier: Apache-2.0
"""Planners with a network: exact ends, warm start, deadline, sources, and models refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_world import card as plain_card
from learning_world import exported_model, panda
from test_planners_plan import PILLAR, check_motion, problem_of, replan, turned

from diffusion_control import inference, planners
from diffusion_control.diffusion import sampling
from diffusion_control.errors import ConfigurationError
from diffusion_control.inference.card import parse
from diffusion_control.planners import registry
from diffusion_control.planners.hybrid import HybridPlanner
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.planners.protocol import Planner
from diffusion_control.planners.selection import Pool
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.robots.state import RobotState

NAMES = ('diffuser', 'hybrid')
SIGMA = 12  # column of a table
Array = Any


def card() -> dict[str, Any]:
    """Return the card of a network for the Panda, as `export` writes it."""
    def tensor(*shape: Any) -> dict[str, Any]:
        return {'shape': list(shape), 'dtype': 'float32'}

    move = tensor('B', 8, 7)
    triangle = 0.4 * np.tril(np.ones((8, 8))) + 0.6 * np.eye(8)
    return plain_card(b'graph', **{
        'inputs': {
            'state': tensor(1, 294), 'goal': tensor(1, 54), 'obstacles': tensor(1, 'N', 91),
            'obstacle_mask': tensor(1, 'N'), 'x': move, 'base': move, 'clean': move,
            'table': tensor('K', 13), 'fresh_noise': tensor('K', 'B', 8, 7), 'mask': move,
            'known': move, 'clip_bound': tensor(1)},
        'outputs': {'x_out': move, 'base_out': move, 'clean_out': move},
        'state': {'x': 'x_out', 'base': 'base_out', 'clean': 'clean_out'},
        'joint_names': list(panda().joint_names), 'normaliser': {'residual': {
            'mean': np.zeros((8, 7)).tolist(), 'deviation': [0.3] * 7,
            'factor': triangle.tolist()}},
        'diffusion': {'schedule': 'flow', 'prediction': 'sample'}})


class InNumpy:
    """A network that half believes what it sees, where no runtime is installed."""

    def __init__(self, folder: Path) -> None:
        self.card = parse((folder / 'card.json').read_bytes())

    def run(self, inputs: Mapping[str, Array], num_inference_steps: int) -> dict[str, Array]:
        state = sampling.State(*(inputs[name] for name in ('x', 'base', 'clean')))
        for row, noise in zip(inputs['table'], inputs['fresh_noise'], strict=True):
            state = sampling.step(state, row, noise, lambda x, t: np.float32(0.7) * x)
        return {f'{name}_out': np.asarray(getattr(state, name), np.float32)
                for name in ('x', 'base', 'clean')}

    def info(self) -> dict[str, Any]:
        return {'backend': 'numpy'}


class Watched:
    """A sampler that notes the tables it runs; each evaluation takes time of a clock."""

    def __init__(self, planner: Any, clock: Any = None, takes_s: float = 0.0) -> None:
        self.inner, self.clock, self.takes_s = planner.network.chain.sampler, clock, takes_s
        self.card, self.info, self.tables = self.inner.card, self.inner.info, []
        self.motions: list[int] = []
        self.begins: list[Array] = []
        planner.network.chain.sampler = self

    def run(self, inputs: Mapping[str, Array], num_inference_steps: int) -> dict[str, Array]:
        self.tables.append(np.array(inputs['table']))
        self.motions.append(len(inputs['x']))
        self.begins.append(np.array(inputs['x'], dtype=float))
        if self.clock is not None:
            self.clock.now += self.takes_s * num_inference_steps
        outputs: dict[str, Array] = self.inner.run(inputs, num_inference_steps)
        return outputs

    @property
    def evaluations(self) -> int:
        return sum(len(table) for table in self.tables)


class Clock:
    """Time that passes only where a test lets it."""

    def __init__(self) -> None:
        self.now = 20.0

    def __call__(self) -> float:
        return self.now


pytestmark = pytest.mark.filterwarnings('ignore')


@pytest.fixture(scope='module')
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_model(tmp_path_factory.mktemp('tiny'))


@pytest.fixture(params=['numpy', 'exported'])
def folder(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Return a model: one in numpy, and one that was exported."""
    if request.param == 'exported':
        yield request.getfixturevalue('exported')
        return
    (tmp_path / 'card.json').write_text(json.dumps(card()))
    monkeypatch.setattr(
        inference, 'load', lambda place, backend, require_gpu: InNumpy(Path(place)))
    yield tmp_path


def make(name: str, folder: Path, **more: Any) -> Any:
    return planners.make(name, robot=panda(), model=folder, **more)


def in_the_way_of(plan: Any) -> Obstacle:
    """Return a ball at the tool's place a bit after the middle of a plan."""
    tool, _ = panda().tool_pose(plan.sample(plan.start_s + 0.55 * plan.times_s[-1]).position)
    return Obstacle('sphere', (0.05,), tool)


@pytest.mark.parametrize('name', NAMES)
def test_it_goes_around_and_ends_at_rest_at_the_goal(name: str, folder: Path) -> None:
    planner = make(name, folder, seed=2)
    assert isinstance(planner, Planner) and planner.info()['name'] == name
    assert planner.info()['inference'] and planner.info()['num_samples'] == 64
    for obstacles in ((), (PILLAR,)):
        problem = problem_of(panda(), obstacles)
        answer = planner.plan(problem)
        assert answer.best is not None and (np.diff(answer.scores) <= 0).all()
        check_motion(panda(), problem, answer.trajectory)
        np.testing.assert_allclose(
            answer.trajectory.position[-1], problem.goal.joints_rad, atol=1e-6)
        assert answer.source in planner.sources
        assert 2 <= answer.evaluations <= 8, 'one or two goals, two evaluations, two rounds'


@pytest.mark.parametrize('name', NAMES)
def test_replans_in_motion_begin_exactly(name: str, folder: Path) -> None:
    planner = make(name, folder, seed=5)
    plan = planner.plan(problem_of(panda(), start=0.9, goal=-0.9)).trajectory
    for share in (0.2, 0.6):
        at = plan.start_s + share * plan.times_s[-1]
        kept = replan(panda(), plan, at, [PILLAR])
        fresh = PlanningProblem(
            kept.state, kept.goal, kept.obstacles, start_s=at, acceleration=kept.acceleration)
        assert np.abs(kept.state.velocity).max() > 0.1
        for asked in (kept, fresh):
            answer = planner.plan(asked)
            assert answer.best is not None
            check_motion(panda(), asked, answer.trajectory)


def test_what_the_diffuser_says_is_diffusion(folder: Path) -> None:
    planner = make('diffuser', folder, seed=3)
    plan = planner.plan(problem_of(panda()))
    assert plan.source == 'diffusion'
    at = plan.trajectory.start_s + 0.3
    assert planner.plan(replan(panda(), plan.trajectory, at, [PILLAR])).source == 'diffusion'


@pytest.mark.parametrize('name', NAMES)
def test_equal_seeds_give_equal_plans(name: str, folder: Path) -> None:
    def plans(planner: Any) -> list[bytes]:
        return [motion.position.tobytes() for _ in range(2)
                for motion in planner.plan(problem_of(panda())).candidates]

    planner = make(name, folder, seed=7)
    first = plans(planner)
    assert len(first) > 4 and first == plans(make(name, folder, seed=7))
    planner.reset(7)
    assert first == plans(planner)
    planner.reset(8)
    assert first != plans(planner)


@pytest.mark.parametrize('name', NAMES)
def test_a_free_plan_is_kept_and_a_much_longer_one_is_not(name: str, folder: Path) -> None:
    planner = make(name, folder, seed=3, keep_ratio=0.5)
    plan = planner.plan(problem_of(panda())).trajectory
    at = plan.start_s + 0.3 * plan.times_s[-1]
    answer = planner.plan(replan(panda(), plan, at, [PILLAR]))
    times = np.linspace(at, plan.end_s, 50)
    np.testing.assert_allclose(
        answer.trajectory.sample_many(times)[0], plan.sample_many(times)[0], atol=1e-6)
    slow = make(name, folder, seed=3, speed_scale=0.2).plan(problem_of(panda())).trajectory
    again = planner.plan(replan(panda(), slow, slow.start_s, [PILLAR]))
    assert again.trajectory.end_s - slow.start_s < 0.7 * slow.times_s[-1]


def test_a_plan_that_is_blocked_is_left(folder: Path) -> None:
    planner = make('diffuser', folder, seed=3)
    plan = planner.plan(problem_of(panda(), (), start=1.2, goal=-1.2)).trajectory
    at = plan.start_s + 0.2 * plan.times_s[-1]
    problem = replan(panda(), plan, at, [in_the_way_of(plan)])
    middle = plan.sample(plan.start_s + 0.55 * plan.times_s[-1]).position
    assert panda().collision.clearance(middle, ObstacleArrays.pack(problem.obstacles))[0] < 0
    answer = planner.plan(problem)
    assert answer.best is not None
    check_motion(panda(), problem, answer.trajectory)


def test_levels_and_evaluations_of_cold_warm_and_blocked_questions(folder: Path) -> None:
    planner = make('diffuser', folder, seed=3, num_inference_steps=5, num_samples=12,
                   num_warm_samples=7, warm_start_level=0.4)
    watched = Watched(planner)
    answer = planner.plan(problem_of(panda(), (), start=1.2, goal=-1.2))
    plan = answer.trajectory
    assert watched.evaluations == answer.evaluations == 5 and watched.motions[0] == 12
    assert watched.tables[0][0, SIGMA] == 1.0
    at = plan.start_s + 0.2 * plan.times_s[-1]
    watched.tables.clear()
    watched.motions.clear()
    answer = planner.plan(replan(panda(), plan, at, []))
    assert watched.evaluations == answer.evaluations == 2 and watched.motions == [7]
    assert watched.tables[0][0, SIGMA] == pytest.approx(0.4)
    watched.tables.clear()
    answer = planner.plan(replan(panda(), plan, at, [in_the_way_of(plan)]))
    assert watched.evaluations == answer.evaluations
    levels = [float(table[0, SIGMA]) for table in watched.tables]
    assert levels[0] == pytest.approx(0.7) and 1.0 in levels


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize(('deadline_s', 'evaluations'), [
    (None, 8), (10.0, 8), (0.19, 5), (0.1, 2), (0.04, 1), (0.0, 1)])
def test_a_deadline_shortens_the_denoising(
    name: str, folder: Path, deadline_s: float | None, evaluations: int
) -> None:
    """Each evaluation takes 30 ms, and 30 ms are left for what follows: (0.19 - 0.03) / 0.03."""
    clock = Clock()
    planner = make(name, folder, seed=1, num_inference_steps=8, num_samples=4, clock=clock)
    watched = Watched(planner, clock, 0.03)
    planner.network.chain.longest_s = 0.03
    begin = clock.now
    answer = planner.plan(problem_of(panda(), ()), deadline_s)
    assert watched.evaluations == answer.evaluations == evaluations and answer.candidates
    assert clock.now - begin == pytest.approx(0.03 * evaluations)
    if deadline_s and evaluations > 1:
        assert clock.now - begin <= deadline_s
    check_motion(panda(), problem_of(panda(), ()), answer.trajectory)


@pytest.mark.parametrize('name', ['diffuser', 'hybrid'])
def test_at_the_goal_no_network_is_asked(name: str, folder: Path) -> None:
    planner = make(name, folder, seed=6)
    watched, goal = Watched(planner), turned(panda(), 0.6)
    plan, q, now = None, turned(panda(), 0.605), 0.0
    for _ in range(4):
        answer = planner.plan(PlanningProblem(
            RobotState(q, np.zeros(7), now), Goal(joints_rad=goal), (PILLAR,), previous=plan))
        plan, now = answer.trajectory, now + 0.25
        assert answer.source == 'straight_line'
        q = plan.sample(now).position
    assert not watched.tables
    np.testing.assert_allclose(q, goal, atol=1e-12)


def test_the_last_bit_of_a_plan_has_the_source_of_that_plan(folder: Path) -> None:
    planner, goal = make('diffuser', folder, seed=6), turned(panda(), 0.6)
    first = planner.plan(PlanningProblem(
        RobotState(turned(panda(), 0.0), np.zeros(7), 0.0), Goal(joints_rad=goal)))
    assert first.source == 'diffusion' and first.trajectory is not None
    there = RobotState(goal - 0.005, np.zeros(7), first.trajectory.end_s + 1.0)
    last = PlanningProblem(there, Goal(joints_rad=goal), previous=first.trajectory)
    assert planner.plan(last).source == 'diffusion'
    elsewhere = PlanningProblem(
        RobotState(goal + 0.595, np.zeros(7), there.stamp_s), Goal(joints_rad=goal + 0.6),
        previous=first.trajectory)
    assert planner.plan(elsewhere).source == 'straight_line'


def test_a_pose_goal_is_reached(folder: Path) -> None:
    goal = Goal(
        position_m=np.array([0.4, -0.35, 0.45]), quaternion=np.array([1.0, 0.0, 0.0, 0.0]))
    problem = PlanningProblem(
        RobotState(turned(panda(), 0.6), np.zeros(7)), goal)
    planner = make('diffuser', folder, seed=10)
    watched = Watched(planner)
    answer = planner.plan(problem)
    assert goal.reached(panda(), RobotState(answer.trajectory.position[-1], np.zeros(7)))
    check_motion(panda(), problem, answer.trajectory)
    assert sum(watched.motions) >= 64


@pytest.mark.parametrize(('origin', 'source'), enumerate(
    ('diffusion', 'multi_start', 'straight_line')))
def test_the_hybrid_says_where_its_plan_began(
    folder: Path, monkeypatch: pytest.MonkeyPatch, origin: int, source: str
) -> None:
    planner = make('hybrid', folder, seed=2, keep_ratio=0.1)
    drawn, seen = HybridPlanner.drawn, []

    def only(self: Any, request: Any, until: float) -> Pool:
        pool = drawn(self, request, until)
        seen.append(np.bincount(pool.origin, minlength=3).tolist())
        return pool.take(np.flatnonzero(pool.origin == origin))

    monkeypatch.setattr(HybridPlanner, 'drawn', only)
    problem = problem_of(panda(), ())
    answer = planner.plan(problem)
    assert seen[0] == [64, 192, 1]
    assert answer.source == source
    at = answer.trajectory.start_s + 0.1
    monkeypatch.setattr(HybridPlanner, 'drawn', drawn)
    kept = planner.plan(replan(panda(), answer.trajectory, at, ()))
    assert kept.trajectory.end_s == pytest.approx(answer.trajectory.end_s)
    assert kept.source == source, 'a kept plan says where it once began'


def test_the_hybrid_keeps_room_for_the_network(folder: Path) -> None:
    planner = make('hybrid', folder, num_kept=10)
    sizes = []

    def screen(request: Any, pool: Pool, ask: Any = planner.screen) -> Pool:
        kept = ask(request, pool)
        sizes.append(np.bincount(kept.origin, minlength=3).tolist())
        return kept

    planner.screen = screen
    planner.plan(problem_of(panda()))
    assert sum(sizes[0]) == 10 and sizes[0][0] == 5
    planner.values = type(planner.values)(num_kept=10, num_random=0)
    planner.plan(problem_of(panda()))
    assert sizes[-1][1] == 0 and sizes[-1][0] == 9


def test_the_straight_line_wins_where_the_network_is_no_help(folder: Path) -> None:
    """Among random motions in the open the hybrid is as quick as the straight line."""
    problem = problem_of(panda(), ())
    straight = planners.make('straight_line', robot=panda()).plan(problem).trajectory
    quick = make('hybrid', folder, seed=0).plan(problem).trajectory
    assert quick.times_s[-1] <= 1.001 * straight.times_s[-1]


@pytest.mark.parametrize('bad', [
    {'num_samples': 0}, {'warm_start_level': 0.0}, {'num_random': 3}, {'no_such': 1}])
def test_bad_parameters_are_refused(folder: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        make('diffuser', folder, **bad)


def test_parameters_of_the_node_reach_the_planner() -> None:
    settings = {'model': 'm', 'backend': 'onnx', 'backend_require_gpu': False,
                'num_candidates': 0, 'num_inference_steps': 3, 'rate_hz': 5.0}
    assert registry.settings_for('diffuser', settings, 'arm') == {
        'model': 'm', 'backend': 'onnx', 'backend_require_gpu': False, 'num_inference_steps': 3}
    assert registry.settings_for('training_free', {**settings, 'model': ''}, 'arm') == {
        'num_inference_steps': 3}
    with pytest.raises(ConfigurationError, match='takes no model'):
        registry.settings_for('multi_start', settings, 'arm')
    with pytest.raises(ConfigurationError):
        registry.settings_for('no_such', settings, 'arm')
