# SPDX-License-Identifier: Apache-2.0
"""The simulated base: arcs, slip, lag, slope, walls, contacts, faults, odometry and laser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulated_base import ROOM, base, body_speed, drive, make, omni, plant, post

from diffusion_control import robots, simulation
from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.planar import compose
from diffusion_control.simulation import Plant
from diffusion_control.simulation.base.simulation import in_odom

OPEN = ()


def test_a_commanded_arc_is_driven():
    sim = make(layout=OPEN, start=(0, 0, 0), record=True)
    drive(sim, (0.4, 0.5), 1.0)
    begin = sim.true_state()
    end = drive(sim, (0.4, 0.5), 4.0)
    radius = 0.4 / 0.5
    centre = begin.position[:2] + radius * np.array(
        [-np.sin(begin.position[2]), np.cos(begin.position[2])])
    assert end.position[2] - begin.position[2] == pytest.approx(2.0, abs=2e-3)
    way = sim.recorder.arrays()['q'][1000:, :2] - centre
    assert np.abs(np.hypot(*way.T) - radius).max() < 3e-3, 'it stays on the circle'
    np.testing.assert_allclose(
        end.velocity, [0.4 * np.cos(end.position[2]), 0.4 * np.sin(end.position[2]), 0.5],
        atol=2e-3)
    assert sim.truth()['contact_onsets'] == {'obstacle': 0, 'self_or_wall': 0}


def test_yaw_is_unwrapped():
    sim = make(layout=OPEN, start=(0, 0, 3.0))
    assert drive(sim, (0.0, 1.5), 5.0).position[2] == pytest.approx(3.0 + 7.2, abs=0.1)
    assert sim.odom().position[2] == pytest.approx(sim.true_state().position[2], abs=0.02)


def test_columns_of_the_truth_are_a_bases():
    sim = make([post(3.5, 3.5)], record=True)
    drive(sim, (0.3, 0.2), 0.3)
    rows = sim.recorder.arrays()
    assert rows['tau_demand'].shape == rows['cmd'].shape == (300, 2)
    assert rows['q'].shape == rows['dq'].shape == rows['ddq'].shape == (300, 3)
    assert rows['joint_names'].tolist() == ['x', 'y', 'yaw']
    np.testing.assert_allclose(rows['cmd'][-1], [0.3, 0.2])
    np.testing.assert_allclose(rows['obstacles'][-1, 0, :3], [3.5, 3.5, 0.5])
    np.testing.assert_allclose(np.diff(rows['dq'], axis=0) / 1e-3, rows['ddq'][1:], atol=1e-9)
    assert rows['distance_min_m'][-1] < np.hypot(1, 1) - 0.2


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not():
    def run(seed):
        sim = make([post(3, 3, velocity_m_s=np.array([0.2, 0, 0]))], plant='default', seed=seed,
                   record=True, wander_seed=4)
        drive(sim, (0.3, 0.4), 0.5)
        sim.freeze(0.05)
        drive(sim, (0.3, 0.4), 0.3)
        rows = sim.recorder.arrays()
        return [rows[key] for key in ('q', 'dq', 'tau_demand', 'obstacles')] + [
            sim.scan().ranges_m, sim.map_to_odom(), sim.measure().position]

    for one, two in zip(run(3), run(3), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(run(3)[0], run(5)[0])


def test_a_reset_gives_the_same_run_again():
    sim = make(plant='default', seed=2)
    first = drive(sim, (0.4, 0.4), 0.6).position
    sim.reset()
    np.testing.assert_array_equal(drive(sim, (0.4, 0.4), 0.6).position, first)


def test_lag_and_delay_make_it_follow_later():
    def after(seconds, chosen):
        return abs(drive(make(layout=OPEN, plant=chosen), (0.5, 0.0), seconds).velocity[0])

    nominal = after(0.2, 'nominal')
    assert after(0.2, plant(lag_scale=5.0)) < nominal - 0.05
    assert after(0.2, replace(Plant.nominal(), delay_s=0.1)) == pytest.approx(
        nominal - 0.1, abs=0.02)
    assert after(0.2, plant(lag_scale=0.0)) > nominal + 0.02


def test_wheels_without_grip_slip_and_deceive_the_odometry():
    good, slippery = make(layout=OPEN), make(layout=OPEN, plant=plant(grip_scale=0.03))
    for sim in (good, slippery):
        drive(sim, (0.6, 0.0), 0.6)
    assert good.true_state().velocity[0] > slippery.true_state().velocity[0] + 0.1
    apart = [sim.odom().position[0] - (sim.true_state().position[0] - 2.5) for sim in (
        good, slippery)]
    assert abs(apart[0] - 2.5) < 2e-3 and apart[1] - 2.5 > 0.05


def test_a_slope_pulls_and_wheels_without_grip_slide_down():
    level, steep = make(layout=OPEN), make(layout=OPEN, plant=plant(
        slope_rad=0.1, slope_direction_rad=0.0))
    climbing = make(layout=OPEN, plant=plant(slope_rad=0.1, slope_direction_rad=np.pi))
    for sim in (level, steep, climbing):
        drive(sim, (0.4, 0.0), 1.5)
    assert climbing.demand.sum() > level.demand.sum() + 0.5 > steep.demand.sum() + 1.0
    for direction, axis in ((0.0, 0), (np.pi / 2, 1)):
        sliding = make(layout=OPEN, plant=plant(
            slope_rad=0.1, slope_direction_rad=direction, grip_scale=0.05))
        sliding.advance(800)
        way = sliding.true_state().position[:2] - 2.5
        assert way[axis] > 0.05 and abs(way[1 - axis]) < 0.02
    steep.reset()
    steep.advance(800)
    assert abs(steep.true_state().position[0] - 2.5) < 5e-3, 'it stands on its brakes'


def test_unequal_wheels_turn_it_and_the_odometry_does_not_see_it():
    sim = make(layout=OPEN, plant=plant(left_wheel_scale=1.02))
    end = drive(sim, (0.5, 0.0), 4.0)
    assert end.position[2] < -0.05
    assert abs(sim.odom().position[2]) < 0.02


def test_wheels_further_apart_turn_it_less():
    wide, nominal = (drive(make(layout=OPEN, plant=plant(separation_scale=scale)), (0, 1), 2.0)
                     for scale in (1.1, 1.0))
    assert wide.velocity[2] == pytest.approx(nominal.velocity[2] / 1.1, abs=5e-3)


def test_wheels_turn_no_faster_than_they_can():
    config = base().config
    slow = robots.Base(replace(config, drive=replace(config.drive, wheel_speed_max_rad_s=5.0)))
    sim = make(robot=slow, layout=OPEN)
    assert drive(sim, (0.6, 0.0), 1.5).velocity[0] == pytest.approx(5.0 * 0.08, abs=2e-3)


def test_masses_and_payload_load_the_wheels():
    light, heavy = make(layout=OPEN, record=True), make(
        layout=OPEN, plant=replace(Plant.nominal(), mass_scale=2.0, payload_kg=10.0), record=True)
    peaks = []
    for sim in (light, heavy):
        drive(sim, (0.5, 0.0), 0.4)
        peaks.append(sim.recorder.arrays()['tau_demand'].sum(axis=1).max())
    assert peaks[1] > 1.8 * peaks[0]


def test_walls_stop_it_and_are_counted():
    sim = make(record=True)
    end = drive(sim, (0.6, 0.0), 4.0)
    assert 3.78 < end.position[0] < 3.81, 'it stands at the wall at 4 m'
    onsets = sim.truth()['contact_onsets']
    assert onsets['obstacle'] == 0 and onsets['self_or_wall'] > 0
    rows = sim.recorder.arrays()
    assert not rows['contacts'][:, 0].any()
    first = int(np.argmax(rows['contacts'][:, 1] > 0))
    assert rows['q'][first, 0] == pytest.approx(3.8, abs=2e-3)
    pair = rows['contact_pairs'][0]
    assert pair['body_a'] == 'base_link' and pair['body_b'].startswith('wall ')
    assert pair['kind'] == 'self_or_wall'


def test_it_drives_through_obstacles_and_each_touch_is_an_onset():
    sim = make([post(3.2, 2.5), post(3.2, 3.6)], record=True)
    free = make()
    end = drive(sim, (0.5, 0.0), 1.5).position
    np.testing.assert_array_equal(end, drive(free, (0.5, 0.0), 1.5).position)
    assert sim.truth()['contact_onsets'] == {'obstacle': 1, 'self_or_wall': 0}
    rows = sim.recorder.arrays()
    first = int(np.argmax(rows['contacts'][:, 0] > 0))
    assert rows['q'][first, 0] == pytest.approx(3.2 - 0.3, abs=2e-3)
    assert rows['distance_min_m'].min() < -0.05
    assert rows['contact_pairs'][0]['body_b'] == 'obstacle 0'


def test_what_is_above_it_is_not_touched():
    high = replace(post(2.5, 2.5), position_m=np.array([2.5, 2.5, 1.0]))
    assert make([high]).truth()['contacts_obstacle'] == 0


def test_it_stands_still_without_commands():
    for chosen in ('nominal', 'default'):
        sim = make(plant=chosen, seed=1, record=True)
        sim.advance(500)
        rows = sim.recorder.arrays()
        assert rows['point_speed_max_m_s'].max() < 2e-3
        assert np.abs(rows['q'] - rows['q'][0]).max() < 1e-3


def test_frozen_it_brakes_knows_no_twist_and_is_exempt():
    sim = make(layout=OPEN, record=True)
    drive(sim, (0.4, 0.0), 1.0)
    sim.freeze(0.5)
    sim.receive(np.array([0.4, 0.0]))
    sim.advance(500)
    assert abs(sim.true_state().velocity[0]) < 1e-3 and not sim.frozen
    sim.advance(100)
    assert abs(sim.true_state().velocity[0]) < 1e-3, 'the receiver forgot the twist'
    rows = sim.recorder.arrays()
    assert rows['exempt'][1000:1500].all() and not rows['exempt'][:999].any()
    assert drive(sim, (0.4, 0.0), 1.0).velocity[0] == pytest.approx(0.4, abs=5e-3)


def test_silence_is_held_for_the_time_out_then_braked():
    for timeout_s in (0.2, 0.5):
        sim = make(layout=OPEN, record=True, receiver_timeout_s=timeout_s)
        drive(sim, (0.6, 0.0), 1.0)
        sim.advance(1500)
        speed = body_speed(sim.recorder.arrays())[990:]
        held = int(1000 * timeout_s)
        assert speed[:held - 5].min() > 0.59
        braking = 0.6 / base().drive.braking_max_m_s2
        rest = int(np.argmax(speed < 0.01)) / 1000
        assert rest == pytest.approx(timeout_s + braking, abs=0.15) and speed[-1] < 1e-3
        assert np.diff(speed[::20]).min() / 0.02 > -1.1 * base().drive.braking_max_m_s2


def test_obstacles_are_placed_removed_and_restored():
    sim = make([post(3.5, 3.5, velocity_m_s=np.array([-0.2, 0, 0]))], spare=(post(0, 0),))
    assert len(sim.obstacles_now()) == 1
    sim.place_obstacle(1, np.array([2.5, 2.6, 0.5]))
    assert sim.truth()['contacts_obstacle'] == 1 and len(sim.obstacles_now()) == 2
    sim.restore_obstacle(1)
    assert sim.truth()['contacts_obstacle'] == 0
    sim.advance(1000)
    np.testing.assert_allclose(sim.obstacles_now()[0].position_m, [3.3, 3.5, 0.5])


def test_wandering_movers_stay_in_the_room_at_their_height():
    sim = make([post(3, 3, velocity_m_s=np.array([0.4, 0, 0]))], wander_seed=1)
    places = []
    for _ in range(200):
        sim.advance(50)
        places.append(sim.obstacles_now()[0].position_m)
    places = np.array(places)
    assert (places[:, 2] == 0.5).all() and np.ptp(places[:, 0]) > 0.5
    assert (places[:, :2] > 0.2).all() and (places[:, :2] < 4.8).all()


def test_odometry_begins_and_drifts_as_the_plant_says():
    exact = make(layout=OPEN, start=(1.0, 2.0, 0.5))
    np.testing.assert_array_equal(exact.odom().position, [1.0, 2.0, 0.5])
    np.testing.assert_allclose(exact.map_to_odom(), 0.0, atol=1e-12)
    sim = make(layout=OPEN, start=(1.0, 2.0, 0.5), plant=plant(
        odom_from_zero=True, odom_drift_rad_m=0.05, odom_drift_scale=0.02))
    np.testing.assert_array_equal(sim.odom().position, 0.0)
    np.testing.assert_allclose(sim.map_to_odom(), [1.0, 2.0, 0.5], atol=1e-12)
    begin = sim.map_to_odom()
    drive(sim, (0.5, 0.0), 4.0)
    assert np.abs(sim.map_to_odom() - begin).max() > 0.05
    np.testing.assert_allclose(
        compose(sim.map_to_odom(), sim.odom().position), sim.true_state().position, atol=1e-9)
    heading = sim.odom().position[2]
    assert heading == pytest.approx(0.05 * 1.88, abs=0.01)
    np.testing.assert_allclose(
        sim.odom().velocity[:2], 0.51 * np.array([np.cos(heading), np.sin(heading)]), atol=3e-3)


def test_the_robot_and_all_around_it_agree_in_odom():
    sim = make([post(3.2, 2.5, velocity_m_s=np.array([0.1, 0.0, 0.0]))],
               plant=plant(odom_from_zero=True), start=(2.0, 2.5, np.pi / 2))
    seen = in_odom(sim.obstacles_now(), sim.map_to_odom())[0]
    np.testing.assert_allclose(seen.position_m, [0.0, -1.2, 0.5], atol=1e-9)
    np.testing.assert_allclose(seen.velocity_m_s, [0.0, -0.1, 0.0], atol=1e-9)
    surround = base().pack((seen,), sim.occupancy_map().moved(
        -np.array([2.5, -2.0, np.pi / 2])), sim.scan())
    obstacle, wall = base().collision.clearance(sim.odom().position, surround)
    assert obstacle == pytest.approx(1.2 - 0.1 - 0.2, abs=1e-6)
    assert 0.7 < wall <= 0.8, 'the wall at x = 1 m, at most what is true'


def test_measurements_have_noise_and_are_lost():
    sim = make(plant=replace(Plant.nominal(), noise_rad=1e-3, drop_rate=0.5))
    stamps, errors = set(), []
    for _ in range(200):
        state = sim.step(None, 0.005)
        stamps.add(state.stamp_s)
        errors.append(state.position - sim.odom().position)
    assert 60 < len(stamps) < 140 and 5e-4 < np.std(errors) < 2e-3


def box_ranges(place, angles, low, high):
    """Return how far rays from inside a box run, by slabs."""
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    with np.errstate(divide='ignore'):
        far = np.where(ways > 0, (high - place) / ways, (low - place) / ways)
    return np.abs(far).min(axis=1)


def test_rays_meet_walls_and_posts_where_geometry_says():
    pose = np.array([2.2, 2.9, 0.7])
    sim = make([post(3.3, 2.0, radius_m=0.2)], start=pose)
    scan = sim.scan()
    assert len(scan.ranges_m) == 360 and scan.angle_min_rad == -np.pi
    angles = pose[2] + scan.angle_min_rad + scan.angle_step_rad * np.arange(360)
    expected = box_ranges(pose[:2], angles, 1.0, 4.0)
    way = np.array([3.3, 2.0]) - pose[:2]
    along = np.cos(angles) * way[0] + np.sin(angles) * way[1]
    across = np.abs(np.cos(angles) * way[1] - np.sin(angles) * way[0])
    hit = (across < 0.2) & (along > 0)
    expected[hit] = along[hit] - np.sqrt(0.2**2 - across[hit]**2)
    edge = np.abs(across - 0.2) < 1e-3
    np.testing.assert_allclose(scan.ranges_m[~edge], expected[~edge], atol=1e-6)
    assert hit.sum() > 5
    np.testing.assert_allclose(scan.pose, sim.odom().position)
    points = scan.points()
    assert (np.abs(points - 2.5).max(axis=1) < 1.5 + 1e-6).all()


def test_a_scan_has_noise_losses_and_ends_at_its_range():
    noisy = make(plant=plant(scan_noise_m=0.02, scan_drop_rate=0.2))
    exact = make().scan().ranges_m
    ranges = noisy.scan().ranges_m
    seen = np.isfinite(ranges)
    assert 0.7 < seen.mean() < 0.9 and 0.015 < np.std((ranges - exact)[seen]) < 0.025
    assert not np.isfinite(make(layout=OPEN).scan().ranges_m).any()


def test_the_map_shows_the_walls():
    known = make().occupancy_map()
    assert known.resolution_m == pytest.approx(0.05)
    cells = known.cell_of(np.array([[0.5, 2.5], [1.1, 2.5], [3.9, 3.9], [4.1, 2.5]]))
    assert known.occupied[cells[:, 0], cells[:, 1]].tolist() == [True, False, False, True]
    free = make(layout=OPEN).map
    assert not free.occupied.any() and (free.cell_of(np.array([[2.5, 2.5]])) > 0).all()


def test_an_omnidirectional_base_drives_sideways():
    sim = make(robot=omni(), layout=OPEN, record=True)
    end = drive(sim, (0.3, 0.3, 0.4), 2.0)
    assert np.hypot(*end.velocity[:2]) == pytest.approx(np.hypot(0.3, 0.3), abs=0.01)
    assert end.velocity[2] == pytest.approx(0.4, abs=0.01)
    np.testing.assert_allclose(sim.odom().position, end.position, atol=1e-3)
    assert sim.recorder.arrays()['cmd'].shape == (2000, 3)


def test_bad_worlds_are_refused_clearly():
    for changes, what in (
            ({'start': (1.1, 2.5, 0.0)}, 'the start touches a wall'),
            ({'layout': ('##', '#')}, 'rows of one length'),
            ({'layout': ('#?#',)}, 'unknown mark'),
            ({'profile': 'jtc'}, 'unknown receiver profile'),
            ({'start': (2.5, 2.5)}, 'start')):
        with pytest.raises(ConfigurationError, match=what):
            make(**changes)


def test_make_picks_by_kind(tmp_path):
    folder = tmp_path / 'run'
    sim = simulation.make(base(), record=folder)
    assert sim.receiver.profile == 'diff_drive' and sim.plant.base.odom_from_zero
    sim.advance(20)
    with np.load(sim.close()) as truth:
        assert truth['cmd'].shape == (20, 2)
    assert len(ROOM) == 5


def test_a_polygon_touches_with_its_own_outline(tmp_path):
    text = base().config.file.read_text(encoding='utf-8')
    assert '  radius_m: 0.20\n' in text
    file = tmp_path / 'box.yaml'
    corners = '[[0.3, 0.2], [-0.3, 0.2], [-0.3, -0.2], [0.3, -0.2]]'
    file.write_text(text.replace('  radius_m: 0.20\n', f'  polygon_m: {corners}\n'))
    robot = robots.load_base(str(file))
    sim = make(robot=robot, record=True)
    end = drive(sim, (0.5, 0.0), 4.0)
    assert end.position[0] == pytest.approx(4.0 - 0.3, abs=0.01)
    rows = sim.recorder.arrays()
    first = int(np.argmax(rows['contacts'][:, 1] > 0))
    assert rows['q'][first, 0] == pytest.approx(3.7, abs=2e-3)
    side = make([post(2.5, 2.5 + 0.2 + 0.1 + 0.01)], robot=robot)
    assert side.truth()['contacts_obstacle'] == 0
    assert side.truth()['distance_min_m'] == pytest.approx(0.01, abs=2e-3)
