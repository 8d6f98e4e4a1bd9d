# SPDX-License-Identifier: Apache-2.0
"""Plans of a base: their start, their end, the unicycle, limits, walls, movers, goals."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from diffusion_control import parameters, planners, robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.planners import fallback, registry
from diffusion_control.planners.base.astar import BaseAstar
from diffusion_control.planners.base.base_planner import (
    BLOCKED_S,
    BaseParameters,
    BasePlanner,
    BaseRequest,
)
from diffusion_control.planners.base.coarse_map import coarse
from diffusion_control.planners.base.map_diffuser import EXERCISE, BaseDiffuser
from diffusion_control.planners.base.training_free import BaseTrainingFree
from diffusion_control.planners.base.way_samples import WaySamples
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.planners.registry import BASE_PLANNERS
from diffusion_control.planners.selection import Candidate
from diffusion_control.planners.world import Judgement
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.state import RobotState
from diffusion_control.tracking.admission_base import TwistChecks
from diffusion_control.tracking.plan_case import PlanCase

ROBOT = robots.load('base')
ROOM = OccupancyMap.from_layout((
    '##########',
    '#........#',
    '#...#....#',
    '#...#....#',
    '#...#....#',
    '##########'), cell_m=0.6)
START = np.array([1.2, 1.2, 0.4])
GOAL = Goal(position_m=np.array([4.6, 1.2, 0.0]))
SEARCHES = {'straight_line'} ^ set(BASE_PLANNERS)
BOTH, HALVES = 'astar+training_free', ('training_free', 'classical')


def problem_of(start: Any = START, twist: tuple[float, float] = (0.0, 0.0), **other: Any) -> Any:
    v, w = twist
    velocity = np.array([v * np.cos(start[2]), v * np.sin(start[2]), w])
    return PlanningProblem(RobotState(start, velocity, 3.0), **{
        'goal': GOAL, 'map': ROOM, **other})


def check(problem: Any, motion: Any) -> None:
    """Hold a plan against the contract."""
    assert len(motion.times_s) <= 40 and motion.frame_id == 'odom'
    assert motion.start_s == problem.start.stamp_s
    np.testing.assert_array_equal(motion.position[0], problem.start.position)
    np.testing.assert_allclose(motion.velocity[0], problem.start.velocity, atol=1e-9)
    assert (motion.velocity[-1] == 0).all()
    times = np.arange(0.0, motion.times_s[-1], 0.01)
    q, v, _ = motion.sample_many(motion.start_s + times)
    aside = -v[:, 0] * np.sin(q[:, 2]) + v[:, 1] * np.cos(q[:, 2])
    assert np.abs(aside).max() < 0.02
    near = ROBOT.collision.path_clearance(
        q, times, ROBOT.pack(problem.obstacles, map=problem.map))
    assert min(near[0].min(), near[1].min()) > 0.0
    checks = TwistChecks(ROBOT, TwistChecks.defaults)
    case = PlanCase(
        times=motion.times_s, position=motion.position, velocity=motion.velocity,
        stamp_s=motion.stamp_s, start_s=motion.start_s, now_s=motion.start_s, committed=None,
        obstacles=problem.obstacles)
    assert checks.motion(case) is None and checks.dynamics(case) is None


@pytest.mark.parametrize('name', sorted(SEARCHES))
@pytest.mark.parametrize('twist', [(0.0, 0.0), (0.45, 0.8)])
def test_a_plan_goes_round_the_wall_and_keeps_the_contract(name: str, twist: Any) -> None:
    problem = problem_of(twist=twist)
    planner = planners.make(name, robot=ROBOT, seed=1)
    answer = planner.plan(problem)
    assert answer.best is not None
    check(problem, answer.trajectory)
    assert answer.trajectory.position[:, 1].max() > 2.0, 'there is a wall between'
    known = {'astar': 'classical', 'value_iteration': 'classical', 'diffuser': 'diffusion',
             'safediffuser': 'diffusion', 'hierarchical': 'diffusion'}
    assert answer.source in HALVES if name == BOTH else answer.source == known.get(name, name)


@pytest.mark.parametrize('without', HALVES)
def test_search_and_diffusion_say_where_its_way_began(
    without: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one half the other's way is followed; a way that is kept keeps its source."""
    if without == 'classical':
        def nothing(*_: Any) -> Any:
            raise PlanningError('no_path', 'no way')
        monkeypatch.setattr(BaseAstar, 'propose', nothing)
    else:
        monkeypatch.setattr(BaseTrainingFree, 'propose', lambda *_: [])
    (other,) = set(HALVES) - {without}
    planner = planners.make(BOTH, robot=ROBOT, seed=1)
    first = planner.plan(problem_of())
    assert first.best is not None and first.source == other
    at = first.trajectory.sample(problem_of().start.stamp_s + 0.5)
    monkeypatch.setattr(BaseTrainingFree, 'propose', lambda *_: [])
    monkeypatch.setattr(BaseAstar, 'propose', lambda *_: [])
    again = planner.plan(PlanningProblem(
        RobotState(at.position, at.velocity, problem_of().start.stamp_s + 0.5), GOAL, map=ROOM,
        previous=first.trajectory, acceleration=at.acceleration))
    assert again.best is not None and again.source == other


def test_chains_start_on_the_way_over_the_grid() -> None:
    planner, plain = (planners.make(name, robot=ROBOT, seed=1)
                      for name in (BOTH, 'training_free'))
    problem = problem_of()
    planner.plan(problem)
    samples = WaySamples(BaseRequest(ROBOT, problem, planner.values))
    planner.generator, plain.generator = (np.random.default_rng(0) for _ in range(2))
    mean, sigma, _ = planner._begin(samples, None)
    alone, noise, _ = plain._begin(samples, None)
    (way,) = BaseAstar(ROBOT).propose(samples.request, None, np.inf)
    assert len(sigma) == len(mean) == len(alone) + 2 and len(noise) == len(alone)
    np.testing.assert_array_equal(mean[:-2], alone)
    for chain in mean[-2:]:
        np.testing.assert_array_equal(chain, samples.from_way(way))


@pytest.mark.parametrize('name', sorted(SEARCHES))
def test_replanning_arrives(name: str) -> None:
    planner, problem = planners.make(name, robot=ROBOT, seed=2), problem_of()
    for _ in range(40):
        plan = planner.plan(problem).trajectory
        check(problem, plan)
        at = plan.sample(problem.start.stamp_s + 0.5)
        stamp = problem.start.stamp_s + 0.5
        state = RobotState(at.position, at.velocity, stamp)
        if GOAL.reached(ROBOT, state):
            break
        problem = PlanningProblem(
            state, GOAL, map=ROOM, previous=plan, acceleration=at.acceleration)
    assert GOAL.reached(ROBOT, state)


@pytest.mark.parametrize('name', sorted(BASE_PLANNERS))
def test_the_nodes_default_parameters_make_every_planner_of_a_base(name: str) -> None:
    """Those of an arm's planner of the same name were handed on: `diffuser` could not be made."""
    settings = parameters.defaults('planner')
    planner = planners.make(name, robot=ROBOT, **registry.settings_for(name, settings, ROBOT.kind))
    assert planner.info()['name'] == name


def test_a_trained_planner_has_compiled_before_it_is_asked(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first plan took 9 s in a node, which was in FALLBACK until then."""
    asked: list[PlanningProblem] = []
    plan = BaseDiffuser.plan
    monkeypatch.setattr(BaseDiffuser, 'plan', lambda self, problem, deadline_s=None: (
        asked.append(problem), plan(self, problem, deadline_s))[1])
    planner = planners.make('diffuser', robot=ROBOT)
    assert asked == [EXERCISE] and plan(planner, EXERCISE).best is not None


@pytest.mark.parametrize('name', ['straight_line', 'astar', 'training_free'])
def test_a_near_goal_with_a_yaw_is_reached_by_one_plan(name: str) -> None:
    goal = Goal(position_m=np.array([2.0, 2.6, 0.0]), quaternion=np.array([0.0, 0.0, 1.0, 0.0]))
    answer = planners.make(name, robot=ROBOT).plan(problem_of(goal=goal))
    check(problem_of(goal=goal), answer.trajectory)
    end = RobotState(answer.trajectory.position[-1], np.zeros(3))
    assert goal.reached(ROBOT, end)
    again = planners.make(name, robot=ROBOT).plan(problem_of(end.position, goal=goal))
    assert np.abs(again.trajectory.position[-1] - end.position).max() < 0.05


@pytest.mark.parametrize('name', ['astar', 'training_free'])
def test_a_mover_is_not_met(name: str) -> None:
    mover = Obstacle('cylinder', (0.2, 0.5), np.array([2.2, 2.9, 0.25]), may_move=True,
                     velocity_m_s=np.array([-0.3, -0.2, 0.0]))
    problem = problem_of(twist=(0.5, 0.0), obstacles=(mover,))
    answer = planners.make(name, robot=ROBOT, seed=3).plan(problem)
    assert answer.best is not None
    check_until = answer.trajectory.start_s + 1.4
    times = np.linspace(0.0, check_until - answer.trajectory.start_s, 60)
    q, _, _ = answer.trajectory.sample_many(times + answer.trajectory.start_s)
    near, _ = ROBOT.collision.path_clearance(q, times, ROBOT.pack((mover,)))
    assert near.min() > 0.04


def test_the_straight_line_stops_before_a_wall_or_is_not_free() -> None:
    answer = planners.make('straight_line', robot=ROBOT).plan(problem_of())
    assert answer.best is not None
    check(problem_of(), answer.trajectory)
    assert np.abs(answer.trajectory.position[-1] - START).max() < 2.0


@pytest.mark.parametrize('name', ['classical', 'retreat', 'hold', 'training_free'])
def test_fallbacks_of_a_base_begin_in_motion(name: str) -> None:
    problem = problem_of(twist=(0.4, -0.5))
    made = fallback.make(name, robot=ROBOT)
    if name == 'retreat':
        for x in np.linspace(0.9, 1.2, 10):
            made.record(np.array([x, 1.1, 0.0]))
    answer = made.plan(problem)
    check(problem, answer.trajectory)
    assert answer.trajectory.velocity[10:, :2].max(initial=0.0) < 0.36
    if name == 'hold':
        assert np.abs(answer.trajectory.position[-1] - START).max() < 0.3


def test_a_base_that_retreats_goes_on_back_when_it_is_asked_again() -> None:
    made: Any = fallback.make('retreat', robot=ROBOT)
    for x in np.linspace(0.6, 1.8, 60):
        made.record(np.array([x, 1.1, 0.0]))
    for x in (1.8, 1.4, 1.0):
        answer = made.plan(problem_of(np.array([x, 1.1, np.pi])))
        assert answer.trajectory.position[:, 0].max() < x + 0.02
        assert answer.trajectory.position[-1, 0] < x - 0.05
    made.record(np.array([1.0, 1.1, 0.0]))
    assert made.way_back(np.array([1.8, 1.1, 0.0]))[1:, 0].max() < 1.05


@pytest.mark.parametrize(('spare_m', 'blocked'), [(0.015, True), (0.07, False)])
def test_a_gap_that_the_judge_refuses_is_no_way(spare_m: float, blocked: bool) -> None:
    """A base stood before such a gap for good: the way through it was rated as the shortest."""
    edge = 2.4 + 2 * ROBOT.collision.discs[0, 2] + 2 * spare_m
    post = Obstacle('cylinder', (0.2, 1.0), np.array([2.7, edge + 0.2, 0.5]))
    middle = edge / 2 + 1.2
    start = np.array([1.8, middle, 0.0])
    request = BaseRequest(ROBOT, problem_of(start, obstacles=(post,)), BaseParameters())
    through = request.rated(np.array([start[:2], [3.4, middle], GOAL.position_m[:2]]))
    assert request.candidate(through).judgement.free != blocked
    assert (through.time_s > BLOCKED_S) == blocked


def test_it_begins_with_ways_round_both_ends_of_a_long_wall() -> None:
    """Of 256 ways with noise alone 0 to 3 took less than 20 s, by the seed."""
    wall = Obstacle('box', (0.3, 4.0, 1.0), np.array([3.0, 1.2, 0.5]))
    problem = problem_of(goal=Goal(position_m=np.array([4.8, 1.2, 0.0])), map=None,
                         obstacles=(wall,))
    samples = WaySamples(BaseRequest(ROBOT, problem, BaseParameters()))
    free = samples.first(np.random.default_rng(0), 256)
    np.testing.assert_array_equal(free[0], samples.line)
    lasting = samples.cost(free)
    upper = samples.corners(free)[:, 3:5, 1].mean(axis=1) > 1.2
    assert (lasting[upper] < 20.0).sum() > 5 and (lasting[~upper] < 20.0).sum() > 5


def test_goals_in_walls_and_behind_them_are_refused() -> None:
    with pytest.raises(PlanningError) as caught:
        planners.make('astar', robot=ROBOT).plan(
            problem_of(goal=Goal(position_m=np.array([2.7, 1.2, 0.0]))))
    assert caught.value.reason == 'goal_in_collision'
    closed = OccupancyMap.from_layout((
        '########', '#..#...#', '#..#...#', '#..#...#', '########'), cell_m=0.6)
    with pytest.raises(PlanningError) as caught:
        planners.make('astar', robot=ROBOT).plan(PlanningProblem(
            RobotState(np.array([1.0, 1.2, 0.0]), np.zeros(3)),
            Goal(position_m=np.array([3.2, 1.2, 0.0])), map=closed))
    assert caught.value.reason == 'no_path'


def test_equal_seeds_give_equal_plans() -> None:
    first, second = (planners.make('training_free', robot=ROBOT, seed=5).plan(problem_of())
                     for _ in range(2))
    np.testing.assert_array_equal(first.trajectory.position, second.trajectory.position)


def test_a_planner_of_arms_alone_refuses_a_base() -> None:
    for name in ('multi_start', 'rrt_connect'):
        with pytest.raises(ConfigurationError) as caught:
            planners.make(name, robot=ROBOT)
        assert 'astar' in caught.value.allowed and name not in caught.value.allowed
    with pytest.raises(ConfigurationError):
        planners.make('astar', robot=SimpleNamespace(kind='arm'))
    with pytest.raises(ConfigurationError):
        planners.make('training_free', robot=ROBOT, model='models/some')


def test_no_classical_search_behind_the_diffusion_of_a_base() -> None:
    code = (
        'import sys, diffusion_control.planners.base.training_free\n'
        'bad = [m for m in sys.modules if m.split(".")[0] in ("ompl", "toppra", "torch", "rclpy")'
        ' or "path_search" in m or "rrt_connect" in m or "astar" in m or "base.grid" in m'
        ' or "value_iteration" in m or "planners.fallback" in m]\n'
        'print(bad); sys.exit(bool(bad))')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize('left_m', [0.02, 0.05, 0.07, 0.1, 0.2, 0.4])
def test_the_last_plans_brake_as_the_first_ones_foretold(left_m: float) -> None:
    start = np.array([4.6 - left_m, 1.2, 0.0])
    brake = 0.8 * 0.9 * ROBOT.drive.braking_max_m_s2
    speed = min(0.5, np.sqrt(2 * brake * left_m))
    answer = planners.make('astar', robot=ROBOT, seed=0).plan(
        problem_of(start, (speed, 0.0), map=None))
    motion = answer.trajectory
    pushes = np.diff(motion.velocity[:, 0]) / np.diff(motion.times_s)
    assert pushes.min() > -1.1 * brake
    assert motion.position[-1, 0] == pytest.approx(4.6, abs=0.02)


@pytest.mark.parametrize('through', [False, True])
def test_behind_a_stop_the_best_way_is_kept_unless_it_is_blocked(
    through: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide: Any = planners.make('astar', robot=ROBOT)
    guide.plan(problem_of())
    best = np.array([START[:2], GOAL.position_m[:2]]) if through else guide._kept[1]
    longer = np.concatenate([best[:1], [[0.9, 0.9]], best[1:]])

    class Two(BasePlanner):
        name = 'two'

        def propose(self, *asked: Any) -> Any:
            return [longer, best]

    def not_free(request: Any, way: Any, speed: float = 1.0) -> Candidate:
        motion = request.motion(way.corners, speed)
        return Candidate(motion, Judgement(False, -0.1, 1.0, 0.1, False, 0.5))

    planner = Two(ROBOT)
    monkeypatch.setattr(BaseRequest, 'candidate', not_free)
    answer = planner.plan(problem_of())
    assert answer.best == 0
    assert np.abs(answer.trajectory.position[-1] - START).max() < 0.01
    if through:
        assert planner._kept is None
    else:
        assert planner._kept is not None
        np.testing.assert_allclose(planner._kept[1][[0, -1]], best[[0, -1]], atol=1e-9)
        assert len(planner._kept[1]) < 10.0 * np.linalg.norm(
            np.diff(longer, axis=0), axis=1).sum()


def test_far_free_motions_come_before_a_stop_and_count_as_free() -> None:
    far = Goal(position_m=np.array([300.0, 2.4, 0.0]))
    answer = planners.make('straight_line', robot=ROBOT).plan(problem_of(goal=far, map=None))
    assert answer.best is not None and -1000.0 < answer.scores[0] < -500.0
    assert np.abs(answer.trajectory.velocity[:, 0]).max() > 0.3


def test_a_door_far_smaller_than_the_map_is_found_and_a_goal_without_room_refused() -> None:
    cells = np.zeros((1000, 1000), dtype=np.int8)
    cells[:, 500] = 100
    cells[503:512, 500] = 0
    door = OccupancyMap(0.1, np.zeros(3), cells.copy())
    goal = Goal(position_m=np.array([52.0, 50.75, 0.0]))
    problem = problem_of(np.array([48.0, 50.75, 0.0]), goal=goal, map=door)
    for name in ('astar', 'value_iteration'):
        answer = planners.make(name, robot=ROBOT).plan(problem)
        assert answer.best is not None and answer.scores[0] > -30.0
    cells[:] = 0
    cells[500:512, 515:526] = 100
    cells[505:507, 517:524] = 0
    boxed = Goal(position_m=np.array([52.05, 50.6, 0.0]))
    with pytest.raises(PlanningError):
        planners.make('astar', robot=ROBOT).plan(
            problem_of(np.array([48.0, 50.75, 0.0]), goal=boxed, map=OccupancyMap(
                0.1, np.zeros(3), cells)))


@pytest.mark.parametrize('name', ['diffuser', 'safediffuser', 'hierarchical'])
def test_a_learned_planner_of_a_base_that_is_late_draws_no_further_window(name: str) -> None:
    pytest.importorskip('onnxruntime', reason='needs ONNX Runtime (extra cpu)')
    now, spent = SimpleNamespace(s=0.0), []
    for step_s in (0.0, 1.0):
        def clock(step_s: float = step_s) -> float:
            now.s += step_s
            return now.s

        planner = planners.make(name, robot=ROBOT, seed=4, clock=clock, polish_steps=0)
        answer = planner.plan(problem_of(), deadline_s=0.15)
        spent.append(answer.evaluations)
    assert 0 < spent[1] < spent[0]


def test_the_network_sees_the_part_of_a_large_map_about_start_and_goal() -> None:
    cells = np.zeros((1000, 1400), dtype=np.int8)
    cells[:, 700:710] = 100
    cells[500:510, 700:710] = 0
    known = OccupancyMap(0.1, np.array([3.0, -2.0, 0.3]), cells)
    ends = known.centre_of(np.array([[505, 680], [505, 721]]))
    part = coarse(known, ends[0], ends[1], 1.0)
    assert max(part.cells.shape) < 60
    fine = known.centre_of(np.array([[505, 660], [505, 740], [450, 705]]))
    assert (part.cells[tuple(part.cell_of(fine).T)] == [0, 0, 100]).all()
