# SPDX-License-Identifier: Apache-2.0
"""The in-process loop: latency, goals, safety, and contacts judged from the simulator's truth."""

import functools
import json
from dataclasses import replace

import numpy as np
import pytest

from diffusion_control import robots
from diffusion_control.evaluation import arm_side, closed_loop
from diffusion_control.evaluation.check_run import check_run
from diffusion_control.evaluation.closed_loop import ClosedLoop, LoopOptions, run_episode
from diffusion_control.evaluation.expert import ScriptedExpert
from diffusion_control.evaluation.ideal import IdealTracker
from diffusion_control.evaluation.planner_side import PlannerSide, Seen
from diffusion_control.evaluation.side import Sight
from diffusion_control.planners.carry_over import carry_over
from diffusion_control.planners.problem import PlanningError, PlanningProblem, PlanSet
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.state import RobotState
from diffusion_control.simulation.scene import Scene
from diffusion_control.tracking.admission import Verdict
from diffusion_control.tracking.protocol import Reference
from diffusion_control.trajectory.trajectory import Trajectory

IDEAL = LoopOptions(tracker='ideal', safety=False, plant='nominal')


@functools.cache
def panda():
    robot = robots.load('panda')
    robot.collision.warm_up()
    return robot


def scene_of(*obstacles, goals=1, turn_rad=1.6):
    home = panda().home_rad
    aims = []
    for index in range(goals):
        joints = home.copy()
        joints[0] += turn_rad * (index + 1)
        aims.append(Goal(joints_rad=joints))
    return Scene(seed=1, obstacles=obstacles, start_rad=home, goals=tuple(aims))


def in_the_way():
    """Return a ball in the middle of the tool's way from home to the first goal."""
    joints = panda().home_rad.copy()
    joints[0] += 0.8
    tool, _ = panda().tool_pose(joints)
    return Obstacle('sphere', (0.06,), tool)


def line(start, end, stamp_s, lasting_s=2.0):
    """Return a rest-to-rest cubic between two postures."""
    rows = np.array([start, end])
    still = np.zeros_like(rows)
    return Trajectory(stamp_s, np.array([0.0, lasting_s]), rows, still, still,
                      panda().joint_names, panda().base_frame)


class Straight:
    """Plans a straight line that it never checks; refuses where it is told to."""

    def __init__(self, refuse=False):
        self.refuse, self.asked = refuse, []

    def plan(self, problem, deadline_s=None):
        self.asked.append(problem)
        if self.refuse:
            raise PlanningError('goal_unreachable', 'no way')
        plan = None
        if problem.previous is not None:
            plan = carry_over(problem.previous, problem.start)
        if plan is None:
            plan = line(problem.start.position, problem.goal.joints_rad, problem.start.stamp_s)
        return PlanSet((plan,), np.array([-1.0]), 0, evaluations=3, latency_s=0.01)


def with_planner(scene, options, planner):
    loop = ClosedLoop(panda(), scene, 'straight_line', options)
    loop._planner = PlannerSide(planner, latency_s=0.2, deadline_s=None)
    return loop


def test_the_loop_reaches_goals_in_turn_and_gives_the_contracts_row():
    loop = with_planner(scene_of(goals=2, turn_rad=0.8), LoopOptions(), Straight())
    loop.run()
    row = loop.episode(7).row()
    assert row['success'] and row['end'] == 'reached' and row['goals_reached'] == 2
    assert 2.0 < row['time_s'] < 10.0
    assert set(row) >= {
        'episode', 'seed', 'planner', 'success', 'time_s', 'contact_moving', 'contacts_at_rest',
        'violations', 'return', 'score', 'evaluations', 'plan_p50_s', 'clearance_min_m'}
    assert row['episode'] == 7 and row['evaluations'] == 3.0 and row['plan_p50_s'] == 0.01
    assert set(row['violations']) == {
        'position', 'velocity', 'acceleration', 'torque', 'self_or_wall', 'unverified_command'}
    assert not any(row['violations'].values())
    assert row['final_state'] == 'NOMINAL' and row['clearance_min_m'] is None


def test_equal_seeds_give_equal_episodes():
    def positions():
        loop = with_planner(scene_of(in_the_way()), LoopOptions(duration_s=1.0), Straight())
        loop.run()
        return np.array(loop.simulation.data.qpos)

    assert np.array_equal(positions(), positions())


def test_without_safety_a_blind_plan_hits_the_obstacle_and_is_counted():
    loop = with_planner(scene_of(in_the_way()), IDEAL, Straight())
    loop._admission.judge = lambda plan, *rest: Verdict(True, 'admitted', plan=plan)
    loop.run()
    row = loop.episode(0)
    assert row.contact_moving >= 1 and row.contacts_at_rest == 0
    assert row.clearance_min_m < 0.0
    assert 'unverified_command' not in row.violations


def test_with_safety_the_same_plan_is_stopped_before_the_obstacle():
    options = LoopOptions(duration_s=4.0)
    loop = with_planner(scene_of(in_the_way()), options, Straight())
    loop._admission.judge = lambda plan, *rest: Verdict(True, 'admitted', plan=plan)
    loop.run()
    row = loop.episode(0)
    assert not row.success and row.contact_moving == 0 and row.contacts_at_rest == 0
    assert 0.0 < row.clearance_min_m < 0.1
    assert not any(row.violations.values())


def test_a_mover_that_hits_a_standing_robot_counts_as_contact_at_rest():
    tool, _ = panda().tool_pose(panda().home_rad)
    ball = Obstacle('sphere', (0.05,), tool + np.array([0.3, 0.0, 0.0]),
                    velocity_m_s=np.array([-0.5, 0.0, 0.0]))
    loop = with_planner(scene_of(ball), LoopOptions(duration_s=1.0, plant='nominal'),
                        Straight(refuse=True))
    loop._planner.refused_in_row = -100
    loop.run()
    row = loop.episode(0)
    assert row.contacts_at_rest >= 1 and row.contact_moving == 0


def test_a_planner_that_refuses_for_good_ends_the_episode():
    loop = with_planner(scene_of(), LoopOptions(), Straight(refuse=True))
    loop.run()
    row = loop.episode(0)
    assert row.end == 'goal_unreachable' and not row.success
    assert loop.simulation.time_s < 13.0


def seen_at(now_s, motion=None):
    home = panda().home_rad
    mover = Obstacle('sphere', (0.1,), np.array([1.0, 0.0, 0.5]), may_move=True,
                     velocity_m_s=np.array([0.0, 0.4, 0.0]))
    return Seen(now_s, RobotState(home, np.zeros(7), now_s), motion,
                Goal(joints_rad=home + 0.1), Sight((mover,)), now_s)


def test_plans_arrive_late_and_start_after_their_arrival():
    planner = Straight()
    side = PlannerSide(planner, latency_s=0.2, deadline_s=0.1)
    side.ask(seen_at(5.0))
    assert side.arrived(5.19) == []
    (delivery,) = side.arrived(5.2)
    assert delivery.plan.start_s == pytest.approx(5.23)
    assert side.arrived(5.3) == []
    problem = planner.asked[0]
    assert problem.obstacles[0].position_m[1] == pytest.approx(0.4 * 0.23)


def test_a_robot_that_safety_has_stopped_is_predicted_to_stand():
    """Its tracker proposes motions that are never sent: no plan from there would fit."""
    planner, home = Straight(), panda().home_rad
    side = PlannerSide(planner, latency_s=0.2, deadline_s=None)
    side.ask(replace(seen_at(5.0, line(home, home + 0.5, 5.0)), stopped=True))
    start = planner.asked[0].start
    assert np.array_equal(start.position, home) and not start.velocity.any()


def test_the_start_is_predicted_by_the_motion_or_by_a_plan_that_has_not_begun():
    planner, home = Straight(), panda().home_rad
    side = PlannerSide(planner, latency_s=0.2, deadline_s=None)
    motion = line(home, home + 0.5, 5.0)
    side.ask(seen_at(5.0, motion))
    assert planner.asked[0].start.position == pytest.approx(motion.sample(5.23).position)
    (delivery,) = side.arrived(5.2)
    other = line(home, home - 0.5, 5.2)
    side.ask(seen_at(5.2, other))
    assert planner.asked[1].start.position == pytest.approx(other.sample(5.43).position)
    assert planner.asked[1].previous is delivery.plan
    side.accepted(delivery.plan)
    side.ask(seen_at(5.2, other))
    assert planner.asked[2].start.position == pytest.approx(delivery.plan.sample(5.43).position)
    held = line(home + 0.1, home + 0.1, 5.2)
    side.ask(seen_at(5.2, held))
    assert planner.asked[3].start.position == pytest.approx(home + 0.1), 'it fell behind'
    side.forget()
    side.ask(seen_at(6.0, motion))
    assert planner.asked[4].previous is None


def test_the_ideal_tracker_passes_the_plan_on_until_the_committed_motion_leaves_it():
    home = panda().home_rad
    plan = line(home, home + 0.2, 1.0)
    tracker = IdealTracker(panda())
    state = RobotState(home, np.zeros(7), 1.0)
    motion = tracker.step(state, Reference(plan, plan), 1.5).motion
    times = np.linspace(1.52, 3.5, 50)
    assert motion.sample_many(times)[0] == pytest.approx(plan.sample_many(times)[0], abs=1e-6)
    stopped = line(home, home, 1.0)
    output = tracker.step(state, Reference(plan, stopped), 2.0)
    assert output.report.plan_lost
    assert output.motion.sample(2.5).position == pytest.approx(home)


def test_the_expert_waits_for_a_mover_and_reaches_the_goal():
    joints = panda().home_rad.copy()
    joints[0] += 0.8
    tool, _ = panda().tool_pose(joints)
    mover = Obstacle('sphere', (0.05,), tool + np.array([0.0, 0.0, 0.4]),
                     velocity_m_s=np.array([0.0, 0.0, -0.3]))
    scene = scene_of(mover)
    expert = ScriptedExpert(panda(), scene)
    problem = PlanningProblem(
        RobotState(scene.start_rad, np.zeros(7), 0.0), scene.goals[0], scene.obstacles)
    plan = expert.plan(problem).trajectory
    assert plan is not None and expert.plan(problem).trajectory is plan
    row = run_episode(panda(), scene, 'expert', LoopOptions())
    assert row.success and row.contact_moving == 0 and row.clearance_min_m > 0.0


def test_the_expert_says_so_when_there_is_no_way(monkeypatch):
    cage = [Obstacle('box', (0.02, 3.0, 3.0), np.array([0.0, 0.0, 0.0]) + offset)
            for offset in (np.array([0.25, 0.0, 0.0]),)]
    scene = scene_of(*cage)
    expert = ScriptedExpert(panda(), scene, planning_s=0.3)
    problem = PlanningProblem(
        RobotState(scene.start_rad, np.zeros(7), 0.0), scene.goals[0], scene.obstacles)
    assert expert.plan(problem).trajectory is None
    with pytest.raises(PlanningError, match='no way'):
        expert.plan(problem)
    monkeypatch.setattr(
        arm_side, 'ScriptedExpert', functools.partial(ScriptedExpert, planning_s=0.2))
    row = run_episode(panda(), scene, 'expert', LoopOptions())
    assert not row.success and row.end == 'no_path'


def test_a_kept_run_is_judged_by_check_run_as_by_the_loop(tmp_path):
    options = LoopOptions(duration_s=2.0)
    row = run_episode(panda(), scene_of(in_the_way()), 'straight_line', options, keep=tmp_path)
    (folder,) = [path for path in tmp_path.iterdir() if not path.is_symlink()]
    assert {path.name for path in folder.iterdir()} >= {
        'summary.json', 'summary.png', 'run.mcap', 'truth.npz', 'params.yaml', 'plans.jsonl',
        'events.jsonl', 'log.txt'}
    result = check_run(folder)
    assert result['failed'] == []
    (measured,) = result['rows']
    assert measured['clearance_min_m'] == pytest.approx(row.clearance_min_m)
    assert measured['violations']['contact_moving'] == row.contact_moving
    assert measured['rates']['command']['mean_hz'] == pytest.approx(100.0)
    summary = json.loads((folder / 'summary.json').read_text())
    assert summary['planner'] == 'straight_line' and summary['safety']['final_state']
    assert (tmp_path / 'latest').resolve() == folder.resolve()


def test_a_naive_side_plans_from_the_measured_state():
    planner, home = Straight(), panda().home_rad
    side = PlannerSide(planner, latency_s=0.2, deadline_s=None, naive=True)
    moving = RobotState(home + 0.1, np.full(7, 0.3), 5.0)
    side.ask(replace(seen_at(5.0, line(home, home + 0.5, 5.0)), state=moving))
    problem = planner.asked[0]
    assert problem.start.stamp_s == 5.0 and not problem.start.acceleration.any()
    assert np.array_equal(problem.start.position, moving.position)
    assert np.array_equal(problem.start.velocity, moving.velocity)
    assert problem.obstacles[0].position_m[1] == 0.0
    side.ask(replace(seen_at(5.0), state=moving, stopped=True))
    assert not planner.asked[1].start.velocity.any()


def test_a_planner_at_work_is_not_asked():
    loop = ClosedLoop(
        panda(), scene_of(), 'straight_line', LoopOptions(duration_s=1.3, latency_s=0.3))
    planner = Straight()
    loop._planner = PlannerSide(planner, latency_s=0.3, deadline_s=None)
    loop.run()
    asked = [problem.start_s - 0.33 - closed_loop.START_S for problem in planner.asked]
    assert asked == pytest.approx([0.0, 0.4, 0.8, 1.2], abs=1e-6)
    assert [plan.sent_s - closed_loop.START_S for plan in loop.plans] == pytest.approx(
        [0.3, 0.7, 1.1], abs=1e-6)


def test_a_variant_of_a_planner_can_be_asked_for():
    options = LoopOptions(
        planner_parameters={'num_draws': 3}, deadline_s=np.inf, latency_s=0.1, naive=True)
    loop = ClosedLoop(panda(), scene_of(), 'random', options)
    assert loop._planner._planner.values.num_draws == 3
    assert loop._planner._deadline_s == np.inf
    for tick in range(40):
        if tick == 0:
            loop.begin()
        loop.tick(tick)
    assert loop.plans and loop.plans[0].first_s == pytest.approx(loop.plans[0].sent_s - 0.1)
