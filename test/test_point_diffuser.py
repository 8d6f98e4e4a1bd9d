# SPDX-License-Identifier: Apache-2.0
"""Diffuser and SafeDiffuser of a point mass and of a base, with the shipped model."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip('onnxruntime')

from diffusion_control import planners, robots  # noqa: E402
from diffusion_control.errors import ConfigurationError  # noqa: E402
from diffusion_control.evaluation.maze.layouts import MAZES, Maze, random_maze  # noqa: E402
from diffusion_control.planners.base.coarse_map import coarse  # noqa: E402
from diffusion_control.planners.point_mass import map_view  # noqa: E402
from diffusion_control.planners.point_mass.barrier import (  # noqa: E402
    RELAXED,
    ROBUST,
    TIME_VARYING,
    BarrierMoves,
)
from diffusion_control.planners.point_mass.detour import led_round  # noqa: E402
from diffusion_control.planners.point_mass.safediffuser import (  # noqa: E402
    KEEP_H,
    between,
    closed,
)
from diffusion_control.planners.point_mass.specification import SPECIFICATIONS  # noqa: E402
from diffusion_control.planners.point_mass.wall_check import line_clearances  # noqa: E402
from diffusion_control.planners.point_mass.wall_push import halved, pushed  # noqa: E402
from diffusion_control.planners.problem import PlanningProblem  # noqa: E402
from diffusion_control.robots.goal import Goal  # noqa: E402
from diffusion_control.robots.obstacles import Obstacle  # noqa: E402
from diffusion_control.robots.occupancy_map import OccupancyMap  # noqa: E402
from diffusion_control.robots.point_mass import PointMass  # noqa: E402
from diffusion_control.robots.state import RobotState  # noqa: E402
from diffusion_control.safety.point_mass import LEAST_H  # noqa: E402

ROBOT = PointMass()
NAMES = ('safediffuser_ros', 'safediffuser_res', 'safediffuser_tvs', 'safediffuser')


def problem_in(maze: Any, start: Any, goal: Any, **more: Any) -> PlanningProblem:
    return PlanningProblem(
        RobotState(np.array(start, float), np.zeros(2)),
        Goal(position_m=np.array([*goal, 0.0])), map=maze.map, **more)


def specified(name: str) -> PlanningProblem:
    region = SPECIFICATIONS.get(name, SPECIFICATIONS['circle'])
    return problem_in(
        MAZES['large'], region.start, region.goal, condition={'specification': name})


@pytest.fixture(scope='module')
def diffuser() -> Any:
    return planners.make('diffuser', robot=ROBOT)


def test_start_and_goal_are_exact_in_what_the_network_says(diffuser: Any) -> None:
    network = diffuser.network
    shape = (4, network.horizon, 4)
    generator = np.random.default_rng(0)
    values = generator.standard_normal(shape, dtype=np.float32)
    mask = np.zeros(shape, np.float32)
    mask[:, 0], mask[:2, -1] = 1.0, 1.0
    run = network.chain.run(
        {'condition': np.zeros((4, map_view.CONDITION), np.float32)},
        generator.standard_normal(shape, dtype=np.float32), 3,
        held=(mask, mask * values), improve=lambda clean: clean + 1.0)
    assert np.abs(mask * (run.clean - values)).max() < 1e-6
    assert np.abs((1.0 - mask) * (run.clean - values)).max() > 1e-2


@pytest.mark.parametrize('name', sorted(MAZES))
def test_plans_begin_at_the_start_and_end_at_rest_in_the_goal(diffuser: Any, name: str) -> None:
    maze = MAZES[name]
    start, goal = maze.free[0].astype(float), maze.free[-1].astype(float)
    diffuser.reset(0)
    found = diffuser.plan(problem_in(maze, start, goal))
    best = found.trajectory
    assert found.source == 'diffusion'
    assert np.abs(best.position[0] - start).max() < 1e-6
    assert np.abs(best.position[-1] - goal).max() < 1e-6
    assert np.abs(best.velocity[-1]).max() == 0.0
    assert (np.diff(found.scores) <= 0.0).all()


def test_a_maze_of_a_size_never_trained_on_is_solved(diffuser: Any) -> None:
    maze = random_maze(np.random.default_rng(11), 15, 15)
    diffuser.reset(0)
    start, goal = maze.free[0] - 0.2, maze.free[-1] - 0.2
    best = diffuser.plan(problem_in(maze, start, goal)).trajectory
    assert np.linalg.norm(best.position[-1] - goal) < 0.5


def test_no_plan_goes_through_a_gap_between_walls_that_touch(diffuser: Any) -> None:
    rows = ('########', '#OOO##O#', '#O#OO#O#', '#OO#OOO#', '##OO#OO#', '########')
    maze = Maze('gaps', rows)
    for seed in range(4):
        diffuser.reset(seed)
        start, goal = maze.free[seed] - 0.2, maze.free[-1 - seed] - 0.2
        best = diffuser.plan(problem_in(maze, start, goal)).trajectory
        if best is not None:
            dense = best.sample_many(np.arange(0.0, best.times_s[-1], 0.005))[0]
            assert line_clearances(dense[None], maze.map).min() > 0.0


def test_a_previous_plan_costs_fewer_evaluations_and_stays(diffuser: Any) -> None:
    maze = MAZES['medium']
    start, goal = maze.free[0].astype(float), maze.free[-1].astype(float)
    diffuser.reset(0)
    first = diffuser.plan(problem_in(maze, start, goal))
    state = first.trajectory.sample(0.2)
    again = diffuser.plan(PlanningProblem(
        RobotState(state.position, state.velocity, 0.2), Goal(position_m=np.array([*goal, 0.0])),
        map=maze.map, previous=first.trajectory))
    assert again.evaluations < first.evaluations
    times = np.linspace(0.2, 1.0, 9)
    apart = first.trajectory.sample_many(times)[0] - again.trajectory.sample_many(times)[0]
    assert np.abs(apart).mean() < 0.3


def test_guidance_shortens_the_time_to_the_goal_monotonically() -> None:
    maze, generator = MAZES['medium'], np.random.default_rng(5)
    pairs = [(maze.free[generator.integers(len(maze.free))],
              maze.free[generator.integers(len(maze.free))]) for _ in range(24)]
    means = []
    for scale in (0.0, 2.0, 8.0):
        planner = planners.make('diffuser', robot=ROBOT, guidance_scale=scale,
                                num_candidates=2, num_rounds=1)
        times = []
        for seed, (start, goal) in enumerate(pairs):
            planner.reset(seed)
            found = planner.plan(problem_in(maze, start.astype(float), goal.astype(float)))
            times.append(found.costs['time'].mean())
        means.append(float(np.mean(times)))
    assert means[0] > means[1] > means[2]


@pytest.mark.parametrize('region', sorted(SPECIFICATIONS))
@pytest.mark.parametrize('name', NAMES)
def test_safe_plans_keep_out_of_the_region(name: str, region: str) -> None:
    planner = planners.make(name, robot=ROBOT, num_rounds=1)
    least = -0.01 if name.endswith('tvs') else 0.0
    for seed in range(2):
        planner.reset(seed)
        found = planner.plan(specified(region))
        assert SPECIFICATIONS[region].h(found.trajectory.position).min() >= least - 1e-6


def test_corrected_plans_take_another_way_where_the_region_closes_one() -> None:
    planner, region = planners.make('safediffuser', robot=ROBOT), SPECIFICATIONS['circle']
    for seed in range(2):
        planner.reset(seed)
        best = planner.plan(specified('circle')).trajectory
        assert best is not None
        assert np.linalg.norm(best.position[-1] - region.goal) < 0.1
        dense = best.sample_many(np.arange(0.0, best.times_s[-1], 0.005))[0]
        assert region.h(dense).min() >= 0.0
        assert line_clearances(dense[None], MAZES['large'].map).min() > ROBOT.radius_m - 0.002


def test_a_plan_without_barrier_enters_the_regions_on_its_way(diffuser: Any) -> None:
    least = []
    for seed in range(3):
        diffuser.reset(seed)
        found = diffuser.plan(specified('circle'))
        least.append(SPECIFICATIONS['circle'].h(found.trajectory.position).min())
    assert min(least) < 0.0


@pytest.mark.parametrize('kind', [ROBUST, RELAXED, TIME_VARYING])
@pytest.mark.parametrize('region', sorted(SPECIFICATIONS))
def test_a_barrier_ends_outside_whatever_the_denoiser_wants(kind: str, region: str) -> None:
    generator, barrier = np.random.default_rng(2), SPECIFICATIONS[region]
    moves = BarrierMoves(barrier, kind)
    knots = generator.normal(5.0, 2.0, (3, 20, 4))
    for step in range(6):
        wanted = knots + generator.normal(0.0, 1.0, knots.shape)
        knots = moves(knots, wanted, (step + 1) / 6)
    assert barrier.h(knots[..., :2].reshape(-1, 2)).min() >= -1e-9


def test_a_correction_leads_a_straight_line_round_a_disc() -> None:
    region = SPECIFICATIONS['circle']
    line = np.linspace([2.0, 5.25], [7.0, 5.25], 60)
    speed = np.gradient(line, 0.04, axis=0)
    found = led_round(np.concatenate([line, speed], axis=1)[None], region, 0.1, 0.04)
    assert region.h(found[0, :, :2]).min() >= 0.1 - 1e-6
    assert region.h(between(found, 0.04)).min() >= 0.0
    sides = np.sign(found[0, 20:40, 1] - 5.3)
    assert abs(sides.sum()) == len(sides)


def test_corrected_plans_keep_the_reserve_of_the_command_filter() -> None:
    assert KEEP_H >= 2.0 * LEAST_H
    planner = planners.make('safediffuser', robot=ROBOT)
    for name in ('super_ellipse', 'half_plane'):
        planner.reset(0)
        motion = planner.plan(specified(name)).trajectory
        dense = motion.sample_many(np.arange(0.0, motion.times_s[-1], 0.005))[0]
        assert SPECIFICATIONS[name].h(dense).min() > KEEP_H - 0.005, name


def test_a_region_is_shown_as_walls_only_where_it_closes_a_way() -> None:
    known = MAZES['large'].map
    for name, count in (('circle', 2), ('half_plane', 0), ('super_ellipse', 0)):
        region = SPECIFICATIONS[name]
        shut = closed(known, region, np.array(region.start)).occupied & ~known.occupied
        assert shut.sum() == count, name


def test_pushed_knots_keep_off_walls_and_their_speeds_fit() -> None:
    known = MAZES['umaze'].map
    t = np.linspace(0.0, 1.0, 60)
    line = np.stack([0.35 + 0.0 * t, 0.9 + 2.0 * t, 0.0 * t, 2.0 + 0.0 * t], axis=1)[None]
    found = pushed(line, known, 0.15, t[1])
    assert ROBOT.clearance(line[0, 1:, :2], known).min() < 0.05 - 1e-6
    assert ROBOT.clearance(found[0, 1:, :2], known).min() > 0.05 - 1e-6
    assert halved(found, t[1]).shape == (1, 119, 4)


def test_an_unknown_region_or_method_is_refused() -> None:
    planner = planners.make('safediffuser', robot=ROBOT)
    with pytest.raises(ConfigurationError, match='specification'):
        planner.plan(specified('hexagon'))
    with pytest.raises(ConfigurationError, match='method'):
        planners.make('safediffuser', robot=ROBOT, method='hope')


@pytest.mark.parametrize('name', ['diffuser', 'safediffuser', 'hierarchical'])
def test_a_base_goes_a_way_that_the_network_drew(name: str) -> None:
    rows = ('#######', '#OO#OO#', '#OO#OO#', '#OOOOO#', '#######')
    robot = robots.load('base')
    planner = planners.make(name, robot=robot, num_samples=4)
    found = planner.plan(PlanningProblem(
        RobotState(np.array([1.5, 3.5, 0.0]), np.zeros(3)),
        Goal(position_m=np.array([5.5, 3.5, 0.0])), map=OccupancyMap.from_layout(rows)))
    assert found.source == 'diffusion'
    assert found.trajectory is not None
    assert found.trajectory.position[:, 1].min() < 3.4


@pytest.mark.parametrize(('obstacle', 'polish_steps'), [
    (Obstacle('box', (0.5, 2.4, 0.4), np.array([3.6, 3.5, 0.2])), 0),
    (Obstacle('cylinder', (0.25, 0.4), np.array([3.5, 3.5, 0.2])), 3)],
    ids=['the network sees large ones', 'refinement goes round small ones'])
def test_a_base_goes_round_what_stands(obstacle: Obstacle, polish_steps: int) -> None:
    rows = ('########', *['#OOOOOO#'] * 5, '########')
    problem = PlanningProblem(
        RobotState(np.array([1.5, 3.5, 0.0]), np.zeros(3)),
        Goal(position_m=np.array([5.5, 3.5, 0.0])), map=OccupancyMap.from_layout(rows))
    planner = planners.make('diffuser', robot=robots.load('base'), polish_steps=polish_steps)
    before, after = (planner.plan(dataclasses.replace(problem, obstacles=seen)).trajectory
                     for seen in ((), (obstacle,)))
    assert before is not None and after is not None
    assert np.abs(before.position[:, 1] - 3.5).max() < 0.5
    assert np.abs(after.position[:, 1] - 3.5).max() > 0.5


def test_a_base_sees_a_map_in_the_cells_that_fit_it() -> None:
    rows = ('#####', '#...#', '#.#.#', '#####')
    for edge, wanted in ((0.6, 0.6), (1.0, 1.0), (2.0, 1.0)):
        known = OccupancyMap.from_layout(rows, cell_m=edge)
        seen = coarse(known, np.array([1.5, 1.5]) * edge, np.array([3.5, 1.5]) * edge, 1.0)
        assert seen.resolution_m == pytest.approx(wanted)
        assert seen.occupied.sum() * wanted**2 == pytest.approx(
            known.occupied.sum() * known.resolution_m**2)


@pytest.mark.parametrize('name', ['safediffuser', 'hierarchical'])
def test_no_search_can_be_reached_by_import(name: str) -> None:
    code = ('import sys\n'
            f'import diffusion_control.planners.point_mass.{name}\n'
            'bad = [m for m in sys.modules if m.endswith(("astar", "path_search", "rrt_connect",'
            ' "value_iteration", ".ways")) or m.startswith(("scipy.sparse.csgraph", "heapq."))]\n'
            'print(bad)\nsys.exit(bool(bad))')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
