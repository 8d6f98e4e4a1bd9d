# SPDX-License-Identifier: Apache-2.0
"""`evaluate base`: the expert's ways and drives, its episode, the judgement of twists."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.base.drive_limits import too_fast
from diffusion_control.evaluation.base.expert import BaseExpert
from diffusion_control.evaluation.base.fast_drive import fast_drive
from diffusion_control.evaluation.base.ideal import IdealBase
from diffusion_control.evaluation.base.loop_truth import judge_base
from diffusion_control.evaluation.base.ways import Ground, line, shortest_way
from diffusion_control.evaluation.closed_loop import LoopOptions, run_episode
from diffusion_control.evaluation.evaluate import EvaluateOptions, evaluate_robot
from diffusion_control.evaluation.kinds import KINDS
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.planar import turned
from diffusion_control.robots.state import RobotState
from diffusion_control.simulation import dump_scenes
from diffusion_control.simulation.layout import occupancy_map
from diffusion_control.simulation.scene import Scene

ROOM = ('#########', '#...#...#', '#...#...#', '#.......#', '#########')


@cache
def base() -> Any:
    """Return the robot, loaded once."""
    robot = robots.load_base('base')
    robot.collision.warm_up()
    return robot


def scene(*obstacles: Obstacle, yaw: float = 0.0) -> Scene:
    """Return a scene with a wall between start and goal."""
    return Scene(
        1, obstacles, np.array([2.5, 3.5, yaw]), (Goal(position_m=np.array([6.5, 3.5, 0.0])),),
        layout=ROOM)


def plan_of(where: Scene) -> Any:
    """Return the expert's drive."""
    problem = PlanningProblem(RobotState(where.start_rad, np.zeros(3), 5.0), where.goals[0])
    return BaseExpert(base(), where, occupancy_map(where), activation_s=5.0).plan(
        problem).trajectory


def test_a_way_goes_round_a_wall_and_keeps_its_margin() -> None:
    ground = Ground(base(), base().pack((), map=occupancy_map(scene())), np.zeros(2),
                    np.array([9.0, 5.0]), 0.05)
    points = shortest_way(ground, np.array([2.5, 3.5]), np.array([6.5, 3.5]))
    assert points is not None and ground.clear(points).all()
    length = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
    corner = 2 * np.hypot(1.5, 1.75) + 1.0
    assert 4.0 < length < 1.15 * corner
    assert shortest_way(ground, np.array([2.5, 3.5]), np.array([12.0, 3.5])) is None


def test_a_drive_keeps_the_limits_and_takes_no_longer_than_it_must() -> None:
    start, robot = np.array([1.0, 2.0, np.pi / 2]), base()
    points = line(start[:2], np.array([4.0, 2.0]))
    drive = fast_drive(robot, start, points, 0.5, 7.0)
    at = np.linspace(drive.start_s, drive.end_s, 2000)
    q, v, _ = drive.sample_many(at)
    body = turned(np.column_stack([0 * q[:, :2], -q[:, 2]]), v)
    assert not too_fast(body, robot.drive, 0.02).any()
    assert np.abs(body[:, 1]).max() < 0.02
    assert q[-1] == pytest.approx([4.0, 2.0, 0.5], abs=1e-6)
    limits = robot.drive
    along = 3.0 / limits.speed_max_m_s + limits.speed_max_m_s / 2 * (
        1 / limits.acceleration_max_m_s2 + 1 / limits.braking_max_m_s2)
    turns = sum(angle / limits.yaw_rate_max_rad_s for angle in (np.pi / 2, 0.5))
    assert along + turns < drive.end_s - 7.0 < 1.1 * (along + turns) + 1.2


def test_the_expert_departs_when_a_mover_leaves_the_way_free() -> None:
    free = plan_of(scene())
    mover = Obstacle(
        'cylinder', (0.3, 1.0), np.array([4.5, 1.2, 0.5]), key='scene/0', may_move=True,
        velocity_m_s=np.array([0.0, 0.3, 0.0]))
    plan = plan_of(scene(mover))
    assert plan.end_s >= free.end_s - 0.1
    assert plan.position[-1][:2] == pytest.approx([6.5, 3.5], abs=1e-6)


def test_the_expert_says_where_no_way_leads() -> None:
    closed = Scene(
        1, (), np.array([1.5, 1.5, 0.0]), (Goal(position_m=np.array([5.5, 1.5, 0.0])),),
        layout=('#######', '#..#..#', '#######'))
    with pytest.raises(PlanningError):
        plan_of(closed)


def test_an_episode_of_the_expert_reaches_the_goal() -> None:
    row = run_episode(base(), scene(yaw=1.0), 'expert', LoopOptions()).row()
    assert row['success'] and row['contact_moving'] == 0 and row['end'] == 'reached'
    assert row['violations'] == {
        'position': None, 'velocity': 0, 'torque': None, 'self_or_wall': 0}


def test_an_ideal_base_is_where_its_motion_says() -> None:
    where = scene()
    drive, robot = plan_of(where), IdealBase(base(), where)
    robot.reset(time_s=5.0)
    robot.receive(drive)
    for at in (6.0, 7.5):
        robot.advance_to(at, max_ticks=5000)
        assert robot.true_state().position == pytest.approx(drive.sample(at).position, abs=1e-6)


def test_twists_towards_a_wall_are_found_in_process() -> None:
    where = scene()
    robot = IdealBase(base(), where)
    robot.reset(time_s=5.0)
    robot.advance(500)
    assert robot.recorder is not None
    away, towards = np.array([0.0, 0.0, 0.2]), np.array([0.5, 0.0, 0.0])
    sent = [(5.0 + 0.01 * k, away) for k in range(20)]
    here = robot.recorder.arrays()
    near = {**here, 'q': here['q'] + np.array([1.0, 0.0, 0.0])}
    for arrays, twist, walls in ((here, towards, False), (near, away, False),
                                 (near, towards, True)):
        found = judge_base(base(), arrays, [*sent, (5.3, twist)], [], robot.map)
        assert ('wall' in found.unverified) is walls


def test_the_base_has_bounds_and_peers_of_its_own(tmp_path: Path) -> None:
    options = EvaluateOptions(task='base')
    assert options.robot == 'base' and options.count == 50
    assert options.planners == (
        'expert', 'training_free', 'astar', 'mppi', 'cem', 'straight_line', 'random')
    assert KINDS['base'].time_ratio == 1.25
    with pytest.raises(ConfigurationError, match='of that kind'):
        evaluate_robot(EvaluateOptions(task='base', robot_config='panda', out=tmp_path))
    layout = tmp_path / 'layout.txt'
    layout.write_text('###\n#O#\n###\n')
    with pytest.raises(ConfigurationError, match='only a base'):
        evaluate_robot(EvaluateOptions(layout=layout, out=tmp_path))


def test_without_a_monitor_the_base_comes_to_rest_at_its_goal() -> None:
    """Twists alone leave its motion behind: it once circled about the goal for good."""
    robot = robots.load_base('base')
    scene = KINDS['base'].generate(robot, 2, 'easy')
    episode = run_episode(robot, scene, 'astar', LoopOptions(safety=False))
    assert episode.success and episode.time_s is not None and episode.time_s < 9.0


def test_the_untrained_network_of_a_base_is_the_point_mass_s(tmp_path: Path) -> None:
    pytest.importorskip('onnxruntime', reason='needs ONNX Runtime (extra cpu)')
    near = Goal(position_m=np.array([2.5, 2.6, 0.0]))
    file = tmp_path / 'near.yaml'
    dump_scenes([replace(scene(yaw=-1.57), goals=(near,))], file)
    result = evaluate_robot(EvaluateOptions(
        task='base', planner='diffuser', untrained=True, peers=(), scenes=file, episodes=1,
        out=tmp_path))
    assert [row['planner'] for row in result['rows']] == ['expert', 'diffuser', 'untrained']
    card = json.loads(next(tmp_path.glob('*/untrained/card.json')).read_text())
    assert card['untrained'] and card['joint_names'] == ['x', 'y']
