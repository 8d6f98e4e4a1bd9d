# SPDX-License-Identifier: Apache-2.0
"""The simulated arm: tracking, plants, contacts, movers and faults."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_arm import arm, follow, make, motion, sine, tool_ball

from diffusion_control import simulation
from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.simulation import Plant, Scene
from diffusion_control.simulation.contacts import ObstacleDistance
from diffusion_control.trajectory.trajectory import Trajectory


@pytest.mark.parametrize('name', ['panda', 'ur5'])
@pytest.mark.parametrize(('plant', 'rate_rad_s', 'rms_rad', 'worst_rad'), [
    ('nominal', 0.8, 5e-4, 1.5e-3), ('nominal', 3.0, 2e-3, 6e-3),
    ('default', 0.8, 5e-3, 1e-2), ('default', 3.0, 1.5e-2, 3e-2),
])
def test_a_sine_is_tracked_through_the_trajectory_controller(
    name, plant, rate_rad_s, rms_rad, worst_rad, record_property
):
    sim = make(name, plant=plant, seed=1)
    errors = follow(sim, 2.5, rate_rad_s=rate_rad_s)
    rms, worst = float(np.sqrt((errors**2).mean())), float(np.abs(errors).max())
    record_property('rms_rad', rms)
    print(f'{name} {plant} {rate_rad_s} rad/s: rms {rms:.2e} rad, worst {worst:.2e} rad')
    assert 1e-7 < rms < rms_rad and worst < worst_rad
    assert sim.receiver.counters == {'accepted': 250}
    assert sim.truth()['contact_onsets'] == {'obstacle': 0, 'self_or_wall': 0}


@pytest.mark.parametrize('name', ['panda', 'ur5'])
def test_the_drives_are_stable_in_light_poses_and_after_saturation(name):
    robot, rng = arm(name), np.random.default_rng(4)
    nothing, tried = ObstacleArrays.pack(()), 0
    sim = make(name, record=True)
    while tried < 6:
        position = rng.uniform(np.maximum(robot.limits.lower_rad, -2.0),
                               np.minimum(robot.limits.upper_rad, 2.0))
        if robot.collision.clearance(position, nothing)[1] < 0.04:
            continue
        tried += 1
        sim.reset(position=position)
        sim.data.qvel[:] = 0.3 * robot.limits.velocity_rad_s * rng.choice([-1, 1], robot.dof)
        sim.advance(600)
        rows = sim.recorder.arrays()
        assert np.abs(rows['dq'][-50:]).max() < 2e-2, 'no limit cycle is left'
        assert (np.abs(rows['tau_demand'][-50:]) < robot.limits.torque_nm).all()


def test_the_nominal_plant_is_the_controllers_model():
    for name in ('panda', 'ur5'):
        sim, robot = make(name), arm(name)
        rng = np.random.default_rng(0)
        for _ in range(5):
            q = robot.home_rad + rng.uniform(-0.5, 0.5, robot.dof)
            sim.reset(position=q)
            gravity = np.array(sim.data.qfrc_bias)
            np.testing.assert_allclose(gravity, robot.gravity(q), atol=1e-3)
            truth = sim.truth()
            position, rotation = robot.tool_pose(q)
            np.testing.assert_allclose(truth['tool_position_m'], position, atol=1e-6)
            np.testing.assert_allclose(truth['tool_rotation'], rotation, atol=1e-6)


def test_a_plant_changes_masses_inertia_friction_and_payload():
    robot = arm('panda')
    nominal, sim = make(), make(plant=Plant(mass_scale=(1, 1, 1, 1, 1, 1, 2), friction_scale=1.5))
    one, two = nominal.model.model, sim.model.model
    last = two.body_weldid == two.jnt_bodyid[-1]
    np.testing.assert_allclose(two.body_mass[last], 2 * one.body_mass[last])
    np.testing.assert_allclose(two.body_inertia[last], 2 * one.body_inertia[last])
    np.testing.assert_allclose(two.body_mass[~last], one.body_mass[~last])
    np.testing.assert_allclose(two.dof_frictionloss, 1.5 * robot.drive.friction_loss)
    loaded = make(plant=Plant(payload_kg=2.0))
    extra = np.array(loaded.data.qfrc_bias) - np.array(nominal.data.qfrc_bias)
    expected = 2.0 * 9.81 * robot.tool_jacobian(robot.home_rad)[2]
    frame = np.abs(extra - expected)
    assert frame.max() < 2.0 * 9.81 * np.abs(robot.config.tool_offset_m).max() + 1e-6


def test_the_delay_of_the_plant_delays_the_torque():
    def first_motion(delay_s):
        sim = make(plant=Plant(delay_s=delay_s))
        home = sim.robot.home_rad
        step = np.stack([home, home + 0.05, home + 0.05])
        rest = np.zeros_like(step)
        sim.receive(Trajectory(0.0, np.array([0.0, 0.001, 0.002]), step, rest, rest,
                               sim.robot.joint_names))
        for tick in range(100):
            before = sim.truth()['tau_demand'].copy()
            sim.advance(1)
            if tick > 0 and np.abs(sim.truth()['tau_demand'] - before).max() > 5.0:
                return tick
        return None
    undelayed, delayed = first_motion(0.0), first_motion(0.010)
    assert undelayed is not None and delayed is not None
    assert 9 <= delayed - undelayed <= 11


def test_an_obstacle_is_sensed_but_exerts_no_force():
    ball = tool_ball()
    free, touched = make(record=True), make(obstacles=[ball], record=True)
    for sim in (free, touched):
        follow(sim, 0.5)
    rows, hit = free.recorder.arrays(), touched.recorder.arrays()
    np.testing.assert_array_equal(rows['q'], hit['q'])
    np.testing.assert_array_equal(rows['tau_demand'], hit['tau_demand'])
    assert (rows['contacts'] == 0).all() and (hit['contacts'][:, 0] > 0).all()
    assert (hit['contacts'][:, 1] == 0).all() and (hit['distance_min_m'] < 0).all()
    pairs = hit['contact_pairs']
    assert set(pairs['kind']) == {'obstacle'} and set(pairs['body_b']) == {'obstacle 0'}
    assert np.isinf(rows['distance_min_m']).all()


@pytest.mark.parametrize('shape', ['sphere', 'box', 'cylinder'])
def test_contact_and_distance_agree_at_the_surface(shape):
    size = {'sphere': (0.06,), 'box': (0.1, 0.12, 0.14), 'cylinder': (0.05, 0.2)}[shape]
    turn = np.array([0.1, -0.5, 0.3, 0.8])
    position, _ = arm('panda').tool_pose(arm('panda').home_rad)
    ball = Obstacle(shape, size, position + [0.3, 0.0, 0.0], turn / np.linalg.norm(turn))
    sim = make(obstacles=[ball])
    seen = set()
    for x in np.linspace(0.3, 0.0, 61):
        sim.place_obstacle(0, position + [x, 0.01, 0.0])
        truth = sim.truth()
        distance, touching = truth['distance_min_m'], truth['contacts_obstacle'] > 0
        assert touching == (distance < 0) or abs(distance) < 1e-4
        seen.add(touching)
    assert seen == {True, False}


def test_an_obstacle_that_is_put_away_is_none():
    sim = make(obstacles=[tool_ball()], spare=(tool_ball(),))
    assert np.isfinite(sim.truth()['distance_min_m'])
    sim.remove_obstacle(0)
    assert sim.truth()['distance_min_m'] == np.inf


def test_the_pruned_distance_is_the_least_of_all_pairs():
    import mujoco

    rng = np.random.default_rng(2)
    balls = [Obstacle(shape, size, rng.uniform([-0.8, -0.8, 0.1], [0.8, 0.8, 1.0]))
             for shape, size in 4 * [('sphere', (0.08,)), ('box', (0.1, 0.2, 0.1)),
                                     ('cylinder', (0.06, 0.3))]]
    sim = make(obstacles=balls)
    for _ in range(5):
        sim.reset(position=sim.robot.home_rad + rng.uniform(-0.6, 0.6, sim.robot.dof))
        everything = min(
            mujoco.mj_geomDistance(sim.model.model, sim.data, int(a), int(b), 10.0, np.zeros(6))
            for a in sim.model.robot_geoms for b in sim.model.obstacle_geoms)
        assert abs(ObstacleDistance(sim.model)(sim.data) - everything) < 1e-6


def test_links_and_floor_do_exert_force():
    robot = arm('panda')
    sim = make(record=True)
    down = robot.home_rad.copy()
    down[1], down[3] = 1.6, -1.2
    times = np.array([0.0, 1.5])
    rest = np.zeros((2, robot.dof))
    sim.receive(Trajectory(0.0, times, np.stack([robot.home_rad, down]), rest, rest,
                           robot.joint_names))
    sim.advance(2000)
    truth = sim.truth()
    assert truth['contact_onsets']['self_or_wall'] > 0
    assert np.abs(truth['q'] - down).max() > 0.01, 'the floor holds the arm back'
    assert 'floor' in set(sim.recorder.arrays()['contact_pairs']['body_b'])


@pytest.mark.parametrize('name', ['panda', 'ur5'])
def test_what_the_controllers_call_clear_is_clear_in_the_simulator(name):
    robot, rng = arm(name), np.random.default_rng(1)
    shapes = 2 * [('sphere', (0.08,)), ('box', (0.1, 0.2, 0.15)), ('cylinder', (0.06, 0.3))]
    things = tuple(Obstacle(shape, size, rng.uniform([-0.7, -0.7, 0.1], [0.7, 0.7, 1.0]))
                   for shape, size in shapes)
    sim, packed, clear = make(name, obstacles=things), ObstacleArrays.pack(things), 0
    low = np.maximum(robot.limits.lower_rad, -np.pi)
    high = np.minimum(robot.limits.upper_rad, np.pi)
    for position in rng.uniform(low, high, (300, robot.dof)):
        outer, own = robot.collision.clearance(position, packed)
        sim.reset(position=position)
        truth = sim.truth()
        if outer > 0:
            assert truth['distance_min_m'] > outer - 1e-6 and truth['contacts_obstacle'] == 0
        if own > 0:
            assert truth['contacts_self_or_wall'] == 0
        clear += outer > 0 and own > 0
    assert clear > 10


@pytest.mark.parametrize('name', ['panda', 'ur5'])
def test_home_is_free_of_contact_and_stays_so_with_the_arm_at_rest(name):
    sim = make(name, plant='default', seed=3)
    sim.advance(500)
    truth = sim.truth()
    assert truth['contact_onsets'] == {'obstacle': 0, 'self_or_wall': 0}
    assert truth['point_speed_max_m_s'] < 0.005
    assert np.abs(truth['q'] - sim.robot.home_rad).max() < 0.01


def test_the_point_speed_bounds_the_tool_and_is_tight():
    sim = make()
    speeds, tool = [], [sim.truth()['tool_position_m']]
    for k in range(200):
        if k % 10 == 0:
            sim.receive(motion(sim.robot, sim.time_s, 0.2, 2.0))
        sim.advance(1)
        speeds.append(sim.truth()['point_speed_max_m_s'])
        tool.append(sim.truth()['tool_position_m'])
    moved = np.linalg.norm(np.diff(tool, axis=0), axis=1) / 0.001
    late = slice(50, None)
    assert (np.array(speeds)[late] > 0.98 * moved[late]).all()
    assert (np.array(speeds)[late] < 2.5 * moved[late] + 0.02).all()


def test_movers_move_and_wait_for_their_activation():
    ball = Obstacle('sphere', (0.05,), np.array([0.0, -0.9, 0.5]),
                    velocity_m_s=np.array([0.0, 0.4, 0.0]))
    sim = make(obstacles=[ball], record=True)
    sim.advance(500)
    (now,) = sim.obstacles_now()
    np.testing.assert_allclose(now.position_m, [0.0, -0.7, 0.5], atol=1e-9)
    np.testing.assert_allclose(now.velocity_m_s, [0.0, 0.4, 0.0])
    assert now.may_move and now.key == 'scene/0'
    rows = sim.recorder.arrays()['obstacles']
    np.testing.assert_allclose(rows[-1, 0], [0.0, -0.7, 0.5, 0.05], atol=1e-6)
    sim.reset(time_s=50.0, obstacles_move=False)
    sim.advance(300)
    np.testing.assert_allclose(sim.obstacles_now()[0].position_m, ball.position_m)
    sim.activate_obstacles()
    sim.advance(100)
    np.testing.assert_allclose(sim.obstacles_now()[0].position_m, [0.0, -0.86, 0.5], atol=1e-9)
    assert sim.time_s == pytest.approx(50.4)


@pytest.mark.parametrize('wander_seed', [None, 3])
def test_places_alone_are_those_of_the_obstacles(wander_seed):
    mover = Obstacle('sphere', (0.05,), np.array([0.2, -0.9, 0.5]),
                     velocity_m_s=np.array([0.3, 0.3, 0.1]))
    sim = make(obstacles=[tool_ball(), mover], spare=(tool_ball(),), wander_seed=wander_seed)
    sim.reset(time_s=1.7e9)
    for index in (None, 0, 2):
        if index is not None:
            sim.place_obstacle(index, np.array([0.1, 0.2, 0.3]))
        sim.advance(333)
        assert list(sim.obstacle_places().values()) == [
            o.position_m.tolist() for o in sim.obstacles_now()]
    sim.remove_obstacle(0)
    assert list(sim.obstacle_places()) == [1, 2]


def test_obstacles_jump_vanish_and_come_back():
    mover = Obstacle('sphere', (0.05,), np.array([0.0, -0.9, 0.5]),
                     velocity_m_s=np.array([0.0, 0.4, 0.0]))
    sim = make(obstacles=[mover], spare=(tool_ball(radius_m=0.03),), record=True)
    assert len(sim.obstacles_now()) == 1
    sim.place_obstacle(1, tool_ball().position_m)
    assert len(sim.obstacles_now()) == 2 and sim.truth()['contacts_obstacle'] > 0
    sim.restore_obstacle(1)
    assert len(sim.obstacles_now()) == 1 and sim.truth()['contacts_obstacle'] == 0
    sim.place_obstacle(0, np.array([0.0, 0.0, 1.5]))
    sim.advance(250)
    (placed,) = sim.obstacles_now()
    np.testing.assert_allclose(placed.position_m, [0.0, 0.0, 1.5])
    assert not placed.velocity_m_s.any()
    sim.remove_obstacle(0)
    assert sim.obstacles_now() == ()
    sim.restore_obstacle(0)
    np.testing.assert_allclose(sim.obstacles_now()[0].position_m, [0.0, -0.8, 0.5], atol=1e-9)
    with pytest.raises(ConfigurationError, match='no such obstacle'):
        sim.place_obstacle(2, np.zeros(3))


def test_a_freeze_holds_the_robot_and_is_exempt():
    sim = make(record=True)
    follow(sim, 0.6, 0.2, 3.0)
    where = sim.truth()['q']
    sim.freeze(0.3)
    for _ in range(30):
        assert sim.frozen
        sim.step(motion(sim.robot, sim.time_s, 0.2, 3.0), 0.01)
    assert not sim.frozen
    sim.advance(100)
    stood = sim.truth()['q']
    assert np.abs(stood - where).max() < 0.02
    sim.step(motion(sim.robot, sim.time_s, 0.2, 3.0), 0.05)
    assert np.abs(sim.truth()['q'] - stood).max() > 0.02, 'it follows again'
    exempt = sim.recorder.arrays()['exempt']
    assert exempt.sum() == 300 and exempt[600:900].all()


def test_a_pause_stops_time_and_motion():
    sim = make()
    follow(sim, 0.2)
    sim.paused = True
    before = sim.truth()
    sim.step(None, 0.1)
    assert sim.advance_to(99.0) == 0
    after = sim.truth()
    assert after['time_s'] == before['time_s'] and (after['q'] == before['q']).all()
    sim.paused = False
    assert sim.advance_to(sim.time_s + 0.020) == 20
    assert sim.advance_to(99.0, max_ticks=5) == 5


def test_silence_lets_each_receiver_do_what_it_does():
    ended = {}
    for profile in ('jtc', 'gz', 'forward_position', 'isaac', 'forward_velocity'):
        sim = make(profile=profile)
        for k in range(30):
            now = 0.01 * (k + 1)
            q, v = sine(sim.robot, [now], 0.2, 3.0)
            command = {'jtc': motion(sim.robot, sim.time_s, 0.2, 3.0), 'forward_velocity': v[0]}
            command['gz'] = command['jtc']
            assert sim.receive(command.get(profile, q[0]))
            sim.advance(10)
        sim.advance(1500)
        ended[profile] = np.abs(sim.truth()['dq']).max()
    assert ended.pop('forward_velocity') > 0.1
    assert max(ended.values()) < 0.01


def test_bad_starts_profiles_and_plants_are_refused():
    robot = arm('panda')
    with pytest.raises(ConfigurationError, match='start'):
        simulation.make(robot, scene=Scene(0, (), np.zeros(6), ()))
    with pytest.raises(ConfigurationError, match='profile'):
        simulation.make(robot, profile='diff_drive')
    with pytest.raises(ConfigurationError, match='plant'):
        simulation.make(robot, plant='/nowhere.yaml')
