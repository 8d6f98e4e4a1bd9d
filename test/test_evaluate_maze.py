# SPDX-License-Identifier: Apache-2.0
"""`evaluate maze2d|pointmaze`: tasks, closed loop, changes in mid-episode, checks, options."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffusion_control import cli
from diffusion_control.errors import ConfigurationError, MissingDependencyError
from diffusion_control.evaluation.maze import gym_world
from diffusion_control.evaluation.maze.agents import PlanningAgent, PlanTimes, Scene
from diffusion_control.evaluation.maze.checks import REQUIRED, checks_of, result_of, scored
from diffusion_control.evaluation.maze.data_baselines import BehaviourClone
from diffusion_control.evaluation.maze.drivers import drive
from diffusion_control.evaluation.maze.episode import MazeEpisode, blocked_cell
from diffusion_control.evaluation.maze.evaluate import evaluate_mazes, judged_planner
from diffusion_control.evaluation.maze.expert import MazeExpert
from diffusion_control.evaluation.maze.judgement import judge_plan, trapped
from diffusion_control.evaluation.maze.layouts import MAZES, Maze
from diffusion_control.evaluation.maze.options import EXPERT, RANDOM, STOP_AND_GO, MazeOptions
from diffusion_control.evaluation.maze.tasks import draw_task, with_length
from diffusion_control.evaluation.maze.two_way import TwoWayRow
from diffusion_control.evaluation.maze.worlds import (
    FilteredWorld,
    IdealWorld,
    PhysicalWorld,
)
from diffusion_control.planners.point_mass.specification import SPECIFICATIONS
from diffusion_control.robots.point_mass import PointMass
from diffusion_control.safety.point_mass import Barrier, PointFilter
from diffusion_control.trajectory.trajectory import Trajectory

ROBOT = PointMass()
RING = ('#####', '#OOO#', '#O#O#', '#OOO#', '#####')


def task_of(options: MazeOptions, layout: str = 'umaze', episode: int = 0) -> Any:
    """Return one task with its length."""
    return with_length(options, [draw_task(options, layout, episode)])[0]


def run(options: MazeOptions, name: str, layout: str = 'umaze', episode: int = 0) -> MazeEpisode:
    """Run one episode."""
    return drive(options, Path(), task_of(options, layout, episode), name)


def motion(points: list[list[float]], period_s: float = 0.1) -> Trajectory:
    """Return a motion through points."""
    position = np.array(points)
    velocity = np.gradient(position, period_s, axis=0)
    velocity[-1] = 0.0
    return Trajectory(0.0, period_s * np.arange(len(points), dtype=float), position, velocity,
                      np.zeros_like(position), ROBOT.joint_names)


def test_tasks_are_those_of_maze2d() -> None:
    single, multi = MazeOptions(), MazeOptions(multi=True)
    goals = {tuple(draw_task(single, 'large', k).goal) for k in range(10)}
    assert goals == {(7.0, 9.0)}
    drawn = [draw_task(multi, 'large', k) for k in range(30)]
    assert len({tuple(np.round(task.goal)) for task in drawn}) > 10
    for task in drawn:
        assert not task.maze.walls[tuple(np.round(task.start[:2]).astype(int))]
        assert np.abs(task.goal - np.round(task.goal)).max() <= 0.1
    again = draw_task(multi, 'large', 4)
    assert again.start == pytest.approx(drawn[4].start)
    assert [task_of(single, name).steps for name in MAZES] == [300, 600, 800]


def test_unseen_mazes_have_a_length_and_no_score() -> None:
    options = MazeOptions(layouts=('random:7x9',))
    first, second = (task_of(options, 'random:7x9', k) for k in (0, 1))
    assert first.maze.rows != second.maze.rows
    assert first.steps > 30
    row = drive(options, Path(), first, EXPERT).row()
    assert row['success'] and scored([row], options)[0]['score'] is None


def test_the_expert_scores_and_random_controls_do_not() -> None:
    options = MazeOptions(layouts=('umaze',))
    good, bad = run(options, EXPERT), run(options, RANDOM)
    assert good.success and good.violations == {'plan': 0, 'inter_sample': 0, 'roll_out': 0}
    assert good.returned > 150 > bad.returned
    assert good.plans == 1 and bad.plans == 0 and bad.plan_p50_s is None


def test_ideal_tracker_is_where_the_plan_is() -> None:
    options = MazeOptions(layouts=('umaze',), tracker='ideal')
    task = task_of(options)
    world = IdealWorld(ROBOT, task.maze.map, task.start)
    wanted = np.arange(24.0).reshape(4, 6)
    done = world.follow(wanted)
    assert done.states == pytest.approx(wanted[1:, :4])
    assert world.state == pytest.approx(wanted[3, :4])
    assert run(options, EXPERT).success


def test_receding_horizon_asks_again_and_open_loop_does_not() -> None:
    receding = run(MazeOptions(layouts=('medium',)), 'astar', 'medium', 3)
    once = run(MazeOptions(layouts=('medium',), open_loop=True), 'astar', 'medium', 3)
    assert once.plans == 1 < receding.plans
    assert once.success and receding.success


def test_a_plan_begins_where_the_mass_will_be_when_it_arrives() -> None:
    maze, seen = MAZES['umaze'], []

    class Watched(MazeExpert):
        def plan(self, problem: Any, deadline_s: Any = None) -> Any:
            seen.append(problem)
            return super().plan(problem, deadline_s)

    agent = PlanningAgent(Watched(ROBOT), ROBOT, PlanTimes(10, 10, 20, 300))
    world = PhysicalWorld(ROBOT, maze.map, np.array([1.0, 1.0, 0.0, 0.0]))
    agent.told(Scene(maze.map, np.array([3.0, 1.0]), 0.5))
    step, states = 0, [world.state.copy()]
    while step < 60:
        done = agent.advance(world, step, 60)
        states += list(done.states)
        step += len(done.states)
    assert [round(problem.start.stamp_s, 3) for problem in seen[:2]] == [0.0, 0.3]
    assert states[30][:2] == pytest.approx(seen[1].state.position, abs=1e-9)
    assert states[30][2:] == pytest.approx(seen[1].state.velocity, abs=1e-9)
    assert seen[1].previous is not None


def test_the_goal_moves_and_is_reached_again() -> None:
    options = MazeOptions(layouts=('medium',), move_goal_at=120)
    done = [run(options, EXPERT, 'medium', k) for k in range(3)]
    assert all(item.success and item.changed and item.plans == 2 for item in done)


def test_two_changes_count_if_both_happen_and_may_happen_at_once() -> None:
    at_once = MazeOptions(layouts=('large',), multi=True, move_goal_at=20, block_cell_at=20)
    later = MazeOptions(layouts=('large',), multi=True, move_goal_at=20, block_cell_at=40)
    for options in (at_once, later):
        done = [run(options, EXPERT, 'large', k) for k in range(4)]
        assert any(item.changed for item in done)
        assert all(item.plans >= 2 for item in done)
    beyond = MazeOptions(layouts=('umaze',), move_goal_at=20, block_cell_at=100_000)
    assert not run(beyond, EXPERT).changed


def test_a_cell_is_walled_up_and_passed_by() -> None:
    options = MazeOptions(layouts=('large',), multi=True, block_cell_at=20)
    done = [run(options, EXPERT, 'large', k) for k in range(8)]
    changed = [item for item in done if item.changed]
    assert changed and all(item.success and item.plans >= 2 for item in changed)
    assert all(item.plans == 1 for item in done if not item.changed)


def test_a_blocked_cell_leaves_the_goal_in_reach() -> None:
    maze, generator = Maze('ring', RING), np.random.default_rng(0)
    way = np.array([[1.0, 1.0]] * 31 + [[1.0, 2.2], [1.0, 3.0], [2.0, 3.0], [3.0, 3.0]])
    place, goal = np.array([1.0, 1.0]), np.array([3.0, 3.0])
    found = blocked_cell(maze, way, place, goal, generator)
    assert found in {(1, 2), (1, 3), (2, 3)}
    closed = maze.with_wall((3, 2))
    assert blocked_cell(closed, way, place, goal, generator) is None
    assert blocked_cell(maze, np.zeros((0, 2)), place, goal, generator) is None


def test_plans_are_judged_at_and_between_knots() -> None:
    maze = MAZES['umaze']
    goal, inside = np.array([3.0, 1.0]), SPECIFICATIONS['circle']
    skips = judge_plan(ROBOT, motion([[1.0, 1.0], [3.0, 1.0]], 1.0), maze.map, goal, 0.5, inside)
    assert skips.clearance_m > 0.0 > skips.clearance_dense_m
    assert skips.h > skips.h_dense - 1e-12
    assert not skips.trapped
    stuck = judge_plan(ROBOT, motion([[1.0, 1.0], [1.0, 1.2], [1.0, 1.2], [1.0, 1.2]]), maze.map,
                       goal, 0.5, None)
    assert stuck.trapped and stuck.h == pytest.approx(stuck.clearance_m)
    going = np.linspace([1.0, 1.0], [1.0, 2.3], 40)
    assert not trapped(ROBOT, going, maze.map, goal, 0.5)


def test_specifications_have_the_slope_of_their_values() -> None:
    points = np.random.default_rng(0).uniform(0.0, 8.0, (20, 2))
    for item in SPECIFICATIONS.values():
        for axis in range(2):
            step = np.eye(2)[axis] * 1e-5
            slope = (item.h(points + step) - item.h(points - step)) / 2e-5
            assert item.gradient(points)[:, axis] == pytest.approx(slope, rel=1e-4, abs=1e-6)
    assert SPECIFICATIONS['circle'].h(np.array([[4.5, 5.3], [4.5, 6.3]])) == pytest.approx([-1, 0])


def test_the_clone_learns_a_control_law() -> None:
    generator = np.random.default_rng(0)
    inputs = generator.uniform(-1.0, 1.0, (4000, 6))
    targets = np.clip(0.5 * (inputs[:, 4:] - inputs[:, :2]) - 0.2 * inputs[:, 2:4], -1.0, 1.0)
    clone = BehaviourClone(inputs, targets, rounds=600)
    error = [np.abs(clone.control(row[:4], row[4:]) - wanted).max()
             for row, wanted in zip(inputs[:50], targets[:50], strict=True)]
    assert np.median(error) < 0.05


def rows_of(options: MazeOptions, **changes: Any) -> list[dict[str, Any]]:
    """Return rows of two planners in every layout, without running anything."""
    rows = []
    for layout in options.names:
        for episode in range(options.episodes):
            for name, returned in ((EXPERT, 250), (options.planner, 240)):
                item = MazeEpisode(
                    episode, episode, name, layout, True, 1.0 if name == EXPERT else 1.2, 0, 0,
                    {'plan': 0, 'inter_sample': 0, 'roll_out': 0}, returned, 300, 0.002, 1.0,
                    0.01, [0.01], 1)
                rows.append({**item.row(), **(changes if name != EXPERT else {})})
    return rows


def test_checks_of_the_named_mazes() -> None:
    options = MazeOptions(episodes=300)
    found = {check.name: check for check in checks_of(scored(rows_of(options), options), options)}
    assert set(REQUIRED) <= set(found)
    assert found['score'].bound == 163.6 and found['score'].ok is False
    assert found['success'].bound == 0.99 and found['success'].ok is True
    assert found['time_ratio_to_expert'].value == pytest.approx(1.2)
    bad = rows_of(options, success=False, time_s=None)
    assert result_of(bad, options)['failed'] == ['score', 'success']


def test_checks_of_unseen_mazes_and_of_changes() -> None:
    unseen = MazeOptions(layouts=('random:9x9',), episodes=100)
    found = {check.name: check for check in checks_of(
        scored(rows_of(unseen, time_s=1.3), unseen), unseen)}
    assert found['score'].value is None and found['score'].ok is None
    assert (found['success'].bound, found['time_ratio_to_expert'].ok) == (0.95, False)
    moved = MazeOptions(episodes=100, move_goal_at=50)
    rows = scored(rows_of(moved, success=False, time_s=None), moved)
    found = {check.name: check for check in checks_of(rows, moved)}
    assert found['success'].n == 0  # in none of them did the goal move
    rows = [{**row, 'changed': True} for row in rows]
    found = {check.name: check for check in checks_of(rows, moved)}
    assert (found['success'].bound, found['success'].ok) == (0.90, False)


def test_specifications_bind_the_planners_that_keep_them() -> None:
    rows = {'h_min_plan': -0.005, 'h_min_dense': -0.1, 'h_min_rollout': 0.1, 'trapped': True}
    failed = {}
    for name in ('safediffuser', 'safediffuser_res', 'safediffuser_tvs', 'diffuser'):
        options = MazeOptions(planner=name, layouts=('large',), specification='circle')
        failed[name] = result_of(rows_of(options, **rows), options)['failed']
    assert failed == {'safediffuser': ['h_min_plan', 'h_min_dense', 'trap_rate'],
                      'safediffuser_res': ['h_min_plan'], 'safediffuser_tvs': [], 'diffuser': []}


def test_safediffuser_is_held_against_the_unguarded_planner_and_half_a_second() -> None:
    options = MazeOptions(planner='safediffuser', layouts=('large',), specification='half_plane')
    mine = scored(rows_of(options, plan_latency_s=[0.6]), options)
    beside = [{**row, 'planner': 'diffuser', 'score': 1.02 * row['score']} for row in mine
              if row['planner'] == 'safediffuser']
    found = {check.name: check for check in checks_of([*mine, *beside], options)}
    assert found['score_ratio_to_unguarded'].value == pytest.approx(1.0 / 1.02)
    assert found['score_ratio_to_unguarded'].ok is True
    assert found['plan_latency_p99_s'].ok is False
    trapped_ones = [{**row, 'score': -2.0} for row in beside]
    found = {check.name: check for check in checks_of([*mine, *trapped_ones], options)}
    assert found['score_ratio_to_unguarded'].ok is None


def test_pointmaze_scores_between_random_controls_and_expert() -> None:
    options = MazeOptions(task='pointmaze', planner=RANDOM, layouts=('umaze',), episodes=2)
    rows = rows_of(options)
    assert {row['score'] for row in scored(rows, options)} == {0.0, 100.0}


def test_evaluation_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = MazeOptions(planner='astar', layouts=('umaze',), episodes=2, peers=(STOP_AND_GO,),
                          out=tmp_path)
    result = evaluate_mazes(options)
    assert [row['planner'] for row in result['rows'][:3]] == [EXPERT, 'astar', STOP_AND_GO]
    assert result['failed'] == []
    monkeypatch.setattr('diffusion_control.evaluation.maze.evaluate.drive', None)
    more = MazeOptions(**{**{key: getattr(options, key) for key in (
        'planner', 'layouts', 'episodes', 'peers', 'out')}, 'resume': True})
    assert evaluate_mazes(more)['rows'] == result['rows']


def test_unconnected_parts_get_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / 'parts.txt'
    file.write_text('#######\n#OO#OO#\n#######\n')
    evaluate_mazes(MazeOptions(
        planner='stop_and_go', layouts=(str(file),), episodes=1, peers=(), out=tmp_path))
    assert '2 parts' in capsys.readouterr().err


@pytest.mark.parametrize(('changes', 'match'), [
    ({'layouts': ('nowhere',)}, 'unknown layout'),
    ({'layouts': ('nowhere.txt',)}, 'existing file'),
    ({'layouts': ('setup.py',), 'task': 'pointmaze'}, 'large, random:RxC$'),
    ({'layouts': ('random:3x9',)}, 'evaluated'),
    ({'tracker': 'mpc'}, 'unknown tracker'), ({'ref_min': 1.0}, 'evaluated'),
    ({'ref_min': 2.0, 'ref_max': 1.0}, 'evaluated'), ({'specification': 'circle'}, 'evaluated'),
    ({'task': 'pointmaze', 'block_cell_at': 3}, 'evaluated'),
    ({'specification': 'cube', 'layouts': ('large',)}, 'unknown specification')])
def test_bad_options_are_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        MazeOptions(**changes)


def test_pointmaze_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gym_world, 'PACKAGE', 'no_such_package')
    with pytest.raises(MissingDependencyError, match='Gymnasium-Robotics'):
        gym_world.gym_maze('umaze')


def test_pointmaze_is_driven_where_it_is_installed() -> None:
    pytest.importorskip('gymnasium_robotics', reason='needs Gymnasium-Robotics')
    options = MazeOptions(task='pointmaze', layouts=('umaze',))
    done = run(options, EXPERT)
    assert done.success and done.violations['roll_out'] == 0


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.run(['evaluate', 'maze2d', '--planner', 'astar', '--layout', 'umaze', '--peer',
                    'none', '--episodes', '2', '--json', '--out', str(tmp_path)])
    result = json.loads(capsys.readouterr().out)
    assert code == 0 and {row['planner'] for row in result['rows']} == {EXPERT, 'astar'}
    assert cli.run(['evaluate', 'maze2d', '--tier', 'hard']) == 2
    assert '--tier' in capsys.readouterr().err
    assert cli.run(['evaluate', 'base', '--multi']) == 2
    assert '--multi' in capsys.readouterr().err
    assert cli.run(['evaluate', 'maze2d', '--planner', 'mppi']) == 2


def test_auto_is_a_planner_of_a_point_mass() -> None:
    assert judged_planner('auto') in ('astar', 'diffuser')
    assert judged_planner('straight_line') == 'straight_line'


def test_the_filter_lets_through_what_is_safe_and_brakes_where_nothing_is() -> None:
    screen, here = PointFilter(ROBOT, MAZES['umaze'].map), np.array([0.8, 0.8, 0.0, 0.0])
    free = Barrier(10.0, np.array([1.0, 0.0]), np.zeros((2, 2)))
    control = np.array([0.2, -0.1])
    assert screen.admitted(control, here, free) == pytest.approx(control)
    outside = Barrier(-1.0, np.array([1.0, 0.0]), np.zeros((2, 2)))
    fast = np.array([0.8, 0.8, -5.0, 2.0])  # 250 m/s^2 would be needed
    assert screen.admitted(control, fast, outside) == pytest.approx([1.0, -0.4], abs=0.01)
    at_wall = screen.admitted(np.array([-1.0, 0.0]), np.array([0.403, 0.8, 0.0, 0.0]), free)
    assert at_wall[0] > -0.01 and at_wall[1] == pytest.approx(0.0, abs=1e-9)


def test_the_filter_stops_between_region_and_wall() -> None:
    """The circle leaves no room in the corridor of maze2d-large that the expert would take."""
    options = MazeOptions(layouts=('large',), specification='circle')
    kept, free = (run(replace(options, safety=on), EXPERT, 'large') for on in (True, False))
    assert kept.h_min_rollout is not None and free.h_min_rollout is not None
    assert kept.h_min_rollout >= 0.0 > free.h_min_rollout
    assert kept.violations['roll_out'] == 0


@pytest.mark.parametrize('name', sorted(SPECIFICATIONS))
def test_the_filter_keeps_every_specification(name: str) -> None:
    """A reference that goes straight through the region is held back; without the filter not."""
    keep, far = SPECIFICATIONS[name], Maze('open', ('OOO',) * 3).map
    middle = {'circle': (4.5, 5.3), 'super_ellipse': (1.5, 4.8), 'half_plane': (-1.0, 3.0)}[name]
    angles = np.linspace(0.0, 2.0 * np.pi, 12, endpoint=False)
    ways = [np.array(middle) + 3.0 * np.array([np.cos(a), np.sin(a)]) for a in angles]
    entered = 0
    for begin in ways:
        if keep.h(begin[None])[0] < 0.1:
            continue
        wanted = np.zeros((201, 6))
        wanted[:, :2] = begin + np.linspace(0.0, 1.0, 201)[:, None] * (np.array(middle) - begin)
        start = np.concatenate([begin, np.zeros(2)])
        free = PhysicalWorld(ROBOT, far, start).follow(wanted)
        held = FilteredWorld(ROBOT, far, start, keep).follow(wanted)
        entered += keep.h(free.states[:, :2]).min() < 0.0
        assert keep.h(held.states[:, :2]).min() >= 0.0
    assert entered >= 3


def test_both_ways_round_a_block_are_drawn_and_each_drive_keeps_to_one() -> None:
    pytest.importorskip('onnxruntime')
    options = MazeOptions(planner='diffuser', layouts=('two_way',), episodes=8)
    rows = [TwoWayRow(**row) for row in evaluate_mazes(options)['rows']]
    assert {row.side for row in rows} == {-1, 1}
    assert any(min(row.drawn) > 0 for row in rows)
    assert sum(row.switches for row in rows) == 0
    assert all(row.success for row in rows)
    with pytest.raises(ConfigurationError, match='layout'):
        MazeOptions(layouts=('two_way', 'umaze'))
