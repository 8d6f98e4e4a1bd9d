# SPDX-License-Identifier: Apache-2.0
"""The mazes: physics against MuJoCo's, layouts, random mazes, experts, demonstrations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffusion_control import planners
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.maze.agents import PlanLog, Scene
from diffusion_control.evaluation.maze.demonstrations import (
    Demonstration,
    demonstration,
    random_place,
    random_start,
)
from diffusion_control.evaluation.maze.drive import push
from diffusion_control.evaluation.maze.episode import _row
from diffusion_control.evaluation.maze.layouts import MAZES, Maze, random_maze, read_maze
from diffusion_control.evaluation.maze.options import MazeOptions
from diffusion_control.evaluation.maze.tasks import draw_task
from diffusion_control.evaluation.maze.worlds import Steps
from diffusion_control.planners.point_mass.ways import corners_between
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.point_mass import PointMass, frame_of
from diffusion_control.robots.state import RobotState
from diffusion_control.simulation.point_mass import MARGIN_M, advance

ROBOT = PointMass()
HEAD = """<mujoco><compiler inertiafromgeom="true"/><option timestep="0.01" gravity="0 0 0"/>
<default><joint damping="1"/><geom density="1000" margin="{margin}" condim="1"/></default>
<worldbody><body pos="1.2 1.2 0"><geom type="sphere" size=".1"/>
<joint name="x" type="slide" axis="1 0 0"/><joint name="y" type="slide" axis="0 1 0"/></body>"""
TAIL = """</worldbody><actuator><motor joint="x" gear="100" ctrlrange="-1 1" ctrllimited="true"/>
<motor joint="y" gear="100" ctrlrange="-1 1" ctrllimited="true"/></actuator></mujoco>"""


def mujoco_model(maze: Maze) -> Any:
    """Return the same task as a MuJoCo model, which adds up the margins of two geoms."""
    mujoco = pytest.importorskip('mujoco', reason='needs MuJoCo (extra sim)')
    cubes = ''.join(f'<geom type="box" pos="{row + 1} {column + 1} 0" size=".5 .5 .2"/>'
                    for row, column in np.argwhere(maze.walls))
    return mujoco.MjModel.from_xml_string(HEAD.format(margin=MARGIN_M / 2) + cubes + TAIL)


@pytest.mark.parametrize('name', ['umaze', 'medium'])
def test_every_step_is_the_one_of_mujoco(name: str) -> None:
    maze, generator = MAZES[name], np.random.default_rng(0)
    mujoco = pytest.importorskip('mujoco', reason='needs MuJoCo (extra sim)')
    model = mujoco_model(maze)
    data, frame, gaps, apart = mujoco.MjData(model), frame_of(maze.map), [], []
    for _ in range(10):
        state, control = random_start(maze, generator), np.zeros(2)
        for step in range(200):
            if step % 15 == 0:
                control = generator.uniform(-1.5, 1.5, 2)
            data.qpos[:], data.qvel[:] = state[:2], np.clip(state[2:], -5.0, 5.0)
            data.ctrl[:] = np.clip(control, -1.0, 1.0)
            mujoco.mj_step(model, data)
            gaps.append(advance(state, control, maze.map.occupied, frame, ROBOT.constants))
            apart.append(np.abs(np.concatenate([data.qpos, data.qvel]) - state).max())
    assert np.mean(np.array(gaps) < 0.0) > 0.1  # it really touches walls
    assert max(apart) < 1e-5


def test_random_controls_return_what_the_task_calls_zero() -> None:
    """`ref_min` is the published mean return of random controls."""
    maze, generator, found = MAZES['umaze'], np.random.default_rng(0), []
    assert maze.steps is not None and maze.ref_min is not None and maze.goal_cell is not None
    for _ in range(300):
        state = random_start(maze, generator)
        states, _ = push(state, generator.uniform(-1.0, 1.0, (maze.steps, 2)),
                         maze.map.occupied, frame_of(maze.map), ROBOT.constants)
        found.append(np.sum(np.linalg.norm(states[:, :2] - maze.goal_cell, axis=1) <= 0.5))
    assert abs(np.mean(found) - maze.ref_min) < 3.0 * np.std(found) / np.sqrt(len(found))


def test_clearance_is_the_gap_of_the_physics() -> None:
    maze = MAZES['umaze']
    assert ROBOT.clearance(np.array([[0.8, 0.8]]), maze.map) == pytest.approx([0.4])
    assert ROBOT.clearance(np.array([[0.39, 0.8]]), maze.map) == pytest.approx([-0.01])
    assert ROBOT.clearance(np.array([[0.2, 0.8]]), maze.map) == pytest.approx([-0.2])


@pytest.mark.parametrize('size', [(4, 5), (7, 9), (12, 8), (15, 21)])
def test_random_mazes_are_connected_and_walled_in(size: tuple[int, int]) -> None:
    first, again = (random_maze(np.random.default_rng(3), *size) for _ in range(2))
    assert first.rows == again.rows and first.walls.shape == size
    assert first.walls[[0, -1]].all() and first.walls[:, [0, -1]].all()
    left, seen = [tuple(first.free[0])], {tuple(first.free[0])}
    while left:
        i, j = left.pop()
        around = {(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)}
        new = {cell for cell in around if not first.walls[cell]} - seen
        seen |= new
        left += new
    assert len(seen) == len(first.free) >= 0.3 * (size[0] - 2) * (size[1] - 2)


def test_files_are_mazes(tmp_path: Path) -> None:
    file = tmp_path / 'mine.txt'
    file.write_text('OO\n#G\n', encoding='utf-8')
    maze = read_maze(file)
    assert (maze.name, maze.rows) == ('mine', ('####', '#OO#', '##G#', '####'))
    assert maze.goal_cell is not None and maze.goal_cell.tolist() == [2, 2]
    file.write_text('O', encoding='utf-8')
    with pytest.raises(ConfigurationError):
        read_maze(file)


def drives(name: str, kind: str, count: int = 12) -> list[tuple[np.ndarray, Demonstration]]:
    """Return goals and drives of an expert in a maze."""
    maze, generator = MAZES[name], np.random.default_rng(1)
    found = []
    for _ in range(count):
        start, goal = random_start(maze, generator), random_place(maze, generator)
        found.append((goal, demonstration(maze, start, goal, kind)))
    return found


@pytest.mark.parametrize('kind', ['expert', 'stop_and_go'])
def test_experts_arrive_without_touching(kind: str) -> None:
    for goal, drive in drives('large', kind):
        assert np.linalg.norm(drive.positions[-1] - goal) < 0.02
        assert drive.gaps.min() >= 0.0
        assert np.abs(drive.controls).max() <= 1.0


def test_the_expert_is_faster_than_stopping_and_no_faster_than_possible() -> None:
    fast, slow = drives('large', 'expert'), drives('large', 'stop_and_go')
    assert sum(len(d.controls) for _, d in fast) < 0.9 * sum(len(d.controls) for _, d in slow)
    for goal, drive in fast:
        way = np.abs(goal - drive.positions[0]).max()
        assert len(drive.controls) * ROBOT.period_s > way / ROBOT.speed_max_m_s


def test_noise_moves_the_drive_but_not_its_end() -> None:
    maze, generator = MAZES['umaze'], np.random.default_rng(0)
    start, goal = np.array([1.0, 1.0, 0.0, 0.0]), np.array([3.0, 1.0])
    clean = demonstration(maze, start, goal)
    noisy = demonstration(maze, start, goal, generator=generator, noise=0.03)
    apart = np.abs(clean.positions - noisy.positions)
    assert 0.005 < apart.max() < 0.2


def test_planners_by_name_judge_their_plans() -> None:
    maze = MAZES['umaze']
    problem = PlanningProblem(
        RobotState(np.array([1.0, 1.0]), np.zeros(2)), Goal(position_m=np.array([3.0, 1.0, 0.0])),
        map=maze.map)
    line = planners.make('straight_line', robot=ROBOT).plan(problem)
    assert line.best is None  # it leads through a wall
    free = planners.make('astar', robot=ROBOT).plan(problem)
    assert free.trajectory is not None
    assert free.trajectory.position[-1] == pytest.approx([3.0, 1.0])
    with pytest.raises(ConfigurationError, match='point_mass'):
        planners.make('rrt_connect', robot=ROBOT)
    wall = PlanningProblem(
        RobotState(np.array([1.0, 1.0]), np.zeros(2)), Goal(position_m=np.array([1.8, 0.8, 0.0])),
        map=maze.map)
    with pytest.raises(PlanningError):
        planners.make('astar', robot=ROBOT).plan(wall)


@pytest.mark.parametrize('start', [[1.0, 2.0], [1.199, 1.0]])
def test_a_way_turns_the_corner_even_from_a_wall(start: list[float]) -> None:
    """A first leg that is blocked, or one that grazes a corner, must not price the others."""
    maze = MAZES['umaze']
    corners = corners_between(ROBOT, maze.map, np.array(start), np.array([3.0, 1.0]), 0.0)
    for first, last in zip(corners[1:-1], corners[2:], strict=True):
        between = first + np.linspace(0.0, 1.0, 50)[:, None] * (last - first)
        assert ROBOT.clearance(between, maze.map).min() > -0.05
    assert corners[:, 1].max() > 2.2


def test_a_contact_that_begins_in_motion_counts_as_one_in_motion() -> None:
    options = MazeOptions()
    task, steps = draw_task(options, 'umaze', 0), 40
    states = np.zeros((steps, 4))
    states[:, :2], gaps = task.start[:2], np.full(steps, 0.1)
    gaps[5:12] = gaps[20:24] = gaps[30:33] = -1e-3
    states[:7, 2] = states[18:21, 3] = 1.0
    row = _row(task, Scene(task.maze.map, task.goal, task.radius_m, ''),
               Steps(states, gaps), np.zeros(steps, dtype=bool), 0, 'x',
               PlanLog())
    assert (row.contact_moving, row.contacts_at_rest) == (2, 1)
