# SPDX-License-Identifier: Apache-2.0
"""Barriers: slopes against finite differences, and that no step leaves the viable set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from diffusion_control import robots
from diffusion_control.robots import Obstacle, ObstacleArrays
from diffusion_control.robots.distance import NOTHING_M
from diffusion_control.robots.limits import DROOP_RAD
from diffusion_control.robots.nearest import OWN, NearestRows
from diffusion_control.safety.barrier_set import MOVING, STANDING, BarrierSet
from diffusion_control.safety.barriers import (
    joint_acceleration,
    joint_position,
    joint_torque,
    joint_velocity,
    link_obstacle,
    separation,
    tool_speed,
    workspace_box,
)
from diffusion_control.safety.barriers.step import Step, approach_speed
from diffusion_control.safety.parameters import SafetyParameters

Array = NDArray[np.float64]
ARM = robots.load('panda')
UNIT = st.floats(-1.0, 1.0, allow_nan=False)
UNITS = st.lists(UNIT, min_size=7, max_size=7)
SCENE = (
    Obstacle('sphere', (0.1,), np.array([0.5, 0.3, 0.5]), key='0'),
    Obstacle('box', (0.3, 0.2, 0.4), np.array([0.6, -0.3, 0.2]),
             quaternion=np.array([0.0, 0.0, 0.38268343, 0.92387953]), key='1'),
    Obstacle('cylinder', (0.07, 0.5), np.array([-0.2, 0.5, 0.4]), key='2', may_move=True,
             velocity_m_s=np.array([0.1, -0.3, 0.0])))
STOPPING = replace(
    ARM.limits.inset(DROOP_RAD), acceleration_rad_s2=0.75 * ARM.limits.acceleration_rad_s2,
    jerk_rad_s3=0.75 * ARM.limits.jerk_rad_s3)


def step(position: Array | None = None, velocity: Array | None = None, **values: Any) -> Step:
    zero = np.zeros(7)
    given_values: dict[str, Any] = {
        'position': np.asarray(ARM.home_rad, dtype=float) if position is None else position,
        'velocity': zero if velocity is None else velocity, 'acceleration': zero,
        'stopping': zero, 'duration_s': 0.06, 'limits': STOPPING, 'class_k_gain': 15.0,
        'obstacles': ObstacleArrays.pack(SCENE), 'late_s': 0.0, 'deviation_m': 0.0}
    return Step(**{**given_values, **values})


def spread(units: list[float]) -> Array:
    """Return a configuration inside the position limits."""
    share = 0.5 + 0.49 * np.array(units)
    return np.asarray(
        ARM.limits.lower_rad + share * (ARM.limits.upper_rad - ARM.limits.lower_rad))


# --- the nearest points -------------------------------------------------------------------

@pytest.mark.parametrize('seed', range(12))
def test_slopes_are_the_finite_differences_of_the_distances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    q, packed, still = spread(list(rng.uniform(-1, 1, 7))), ObstacleArrays.pack(SCENE), np.zeros(3)
    near = ARM.collision.nearest(q, packed, still)
    for joint in range(7):
        h = np.zeros(7)
        h[joint] = 1e-5
        up = ARM.collision.nearest(q + h, packed, still)
        down = ARM.collision.nearest(q - h, packed, still)
        smooth = np.abs(up.normal - down.normal).max(axis=1) < 1e-2  # the same pair of spheres
        assert smooth.mean() > 0.8
        found = (up.distance_m - down.distance_m) / 2e-5
        np.testing.assert_allclose(near.slope[smooth, joint], found[smooth], atol=2e-3)


@pytest.mark.parametrize('seed', range(12))
def test_the_least_row_is_the_clearance(seed: int) -> None:
    q = spread(list(np.random.default_rng(seed).uniform(-1, 1, 7)))
    packed = ObstacleArrays.pack(SCENE)
    near = ARM.collision.nearest(q, packed, np.zeros(3))
    obstacle, own = ARM.collision.clearance(q, packed)
    outer = near.obstacle != OWN
    assert near.distance_m[outer].min() == pytest.approx(min(obstacle, NOTHING_M), abs=1e-12)
    assert near.distance_m[~outer].min() == pytest.approx(own, abs=1e-12)
    np.testing.assert_allclose(np.linalg.norm(near.normal, axis=1), 1.0, atol=1e-9)


def test_a_mover_is_moved_on() -> None:
    q, packed = np.asarray(ARM.home_rad, dtype=float), ObstacleArrays.pack(SCENE)
    later = replace(packed, centre_m=packed.centre_m + 0.2 * packed.velocity_m_s)
    moved = ARM.collision.nearest(q, packed, np.full(3, 0.2))
    np.testing.assert_array_equal(
        moved.distance_m, ARM.collision.nearest(q, later, np.zeros(3)).distance_m)


def test_the_same_query_gives_the_same_bits_whatever_came_before() -> None:
    packed, q = ObstacleArrays.pack(SCENE), np.asarray(ARM.home_rad, dtype=float)
    first = ARM.collision.nearest(q, packed, np.zeros(3))
    for seed in range(5):
        ARM.collision.nearest(
            spread(list(np.random.default_rng(seed).uniform(-1, 1, 7))), packed, np.zeros(3))
    again = ARM.collision.nearest(q, packed, np.zeros(3))
    for name in ('distance_m', 'slope', 'normal'):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


@pytest.mark.parametrize('limit', [1, 7, 40])
def test_the_nearest_rows_are_those_of_a_stable_sort(limit: int) -> None:
    packed, q = ObstacleArrays.pack(SCENE), np.asarray(ARM.home_rad, dtype=float)
    every = ARM.collision.nearest(q, packed, np.zeros(3))
    found = ARM.collision.nearest(q, packed, np.zeros(3), limit=limit)
    order = np.sort(np.argsort(every.distance_m, kind='stable')[:limit])
    for name in ('distance_m', 'slope', 'normal', 'obstacle'):
        np.testing.assert_array_equal(getattr(found, name), getattr(every, name)[order])
    assert found.outer == np.count_nonzero(found.obstacle >= 0)
    assert every.outer == np.count_nonzero(every.obstacle >= 0)


# --- the sampled-data condition -----------------------------------------------------------

@settings(max_examples=300, deadline=None)
@given(st.floats(0.0, 1.0), st.floats(-1.5, 2.0), st.floats(0.5, 15.0), st.floats(1e-3, 0.02))
def test_after_an_admitted_step_a_stop_still_fits(
    distance: float, now: float, acceleration: float, settle_s: float
) -> None:
    duration_s = 0.06
    speed = approach_speed(distance, now, duration_s, acceleration, settle_s, 1e6)
    used = duration_s * max(speed, 0.0) + duration_s * max(now - speed, 0.0) / 2
    used += max(speed, 0.0)**2 / (2 * acceleration) + max(speed, 0.0) * settle_s / 2
    if speed > 0.0 and (now <= speed or speed < now):
        assert used <= distance + 1e-9


def test_inside_the_margin_the_answer_is_a_retreat() -> None:
    assert approach_speed(-0.02, 0.0, 0.06, 1.0, 0.01, 15.0) == -0.04
    assert approach_speed(0.0, 0.0, 0.06, 1.0, 0.01, 15.0) == 0.0


def test_the_gain_bounds_the_approach() -> None:
    for distance in np.linspace(0.0, 0.5, 20):
        slow = approach_speed(float(distance), 0.0, 0.06, 20.0, 0.002, 2.0)
        assert slow <= 2.0 * distance + 1e-12


# --- joints -------------------------------------------------------------------------------

@settings(max_examples=100, deadline=None)
@given(UNITS, UNITS, st.integers(0, 2**31))
def test_no_command_leaves_the_viable_set(
    place: list[float], pushes: list[float], seed: int
) -> None:
    """Steps of exact velocity changes, each joint at the edge of its bounds, and then a stop."""
    barriers = BarrierSet(ARM, SafetyParameters())
    rng = np.random.default_rng(seed)
    q, v = spread(place), np.zeros(7)
    top, dt_s = ARM.limits.acceleration_rad_s2, 0.01
    for _ in range(80):
        now = step(q, v, stopping=v - np.clip(v, -0.7 * top * 0.06, 0.7 * top * 0.06))
        bounds = barriers.bounds(now)
        assert (bounds.lower <= bounds.upper).all()
        wanted = np.where(rng.random(7) < 0.8, np.sign(pushes) * 9.0, 0.0)
        target = np.clip(wanted, bounds.lower, bounds.upper)
        change = np.clip(target - v, -top * dt_s, top * dt_s)
        q, v = q + dt_s * (v + change / 2), v + change
        assert (q <= ARM.limits.upper_rad).all() and (q >= ARM.limits.lower_rad).all()
    braking = 0.75 * top
    assert (q + v * np.abs(v) / (2 * braking) <= ARM.limits.upper_rad + 1e-3).all()
    assert (q + v * np.abs(v) / (2 * braking) >= ARM.limits.lower_rad - 1e-3).all()


def test_a_joint_at_its_limit_may_only_leave() -> None:
    q = np.asarray(ARM.home_rad, dtype=float).copy()
    q[3] = STOPPING.upper_rad[3]
    bounds = joint_position.bounds(step(q))
    assert bounds.upper[3] <= 0.0 < -bounds.lower[3]


def test_speed_scale_scales_the_speed() -> None:
    full, half = joint_velocity.bounds(step(), 1.0), joint_velocity.bounds(step(), 0.5)
    np.testing.assert_allclose(half.upper, 0.5 * full.upper)
    assert (full.upper < ARM.limits.velocity_rad_s).all()


def test_what_a_step_reaches() -> None:
    bounds = joint_acceleration.bounds(step(), ARM.limits)
    a, j = ARM.limits.acceleration_rad_s2, ARM.limits.jerk_rad_s3
    np.testing.assert_allclose(bounds.upper, a * (0.06 - a / j))
    np.testing.assert_allclose(bounds.lower, -bounds.upper)
    short = joint_acceleration.bounds(step(duration_s=0.001), ARM.limits)
    np.testing.assert_allclose(short.upper, j * 1e-6 / 4)


@pytest.mark.parametrize('seed', range(5))
def test_torque_rows_say_what_inverse_dynamics_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    q, v = spread(list(0.5 * rng.uniform(-1, 1, 7))), 0.3 * rng.uniform(-1, 1, 7)
    now = step(q, v, stopping=v)
    rows = joint_torque.barrier(now, ARM, 1.0)
    target = v + 0.06 * rng.uniform(-2, 2, 7)
    torque = ARM.inverse_dynamics(q, v, (target - v) / 0.06)
    room = rows.slope @ target - rows.floor
    np.testing.assert_allclose(room[:7], ARM.limits.torque_nm - torque, atol=1e-6)
    np.testing.assert_allclose(room[7:], ARM.limits.torque_nm + torque, atol=1e-6)


# --- links, tool, people ------------------------------------------------------------------

def rows_of(now: Step, **params: Any) -> link_obstacle.Rows:
    near = ARM.collision.nearest(now.position, now.obstacles, np.zeros(len(now.obstacles.code)))
    others = near.take(near.obstacle != OWN)
    return link_obstacle.barrier(
        now, others, 0.01, link_obstacle.MoverBounds(0.5, 2.0, 0.1), standing=STANDING,
        moving=MOVING, **params)


def test_a_mover_that_comes_asks_for_more_and_softens_its_own_class() -> None:
    coming = replace(SCENE[2], position_m=np.array([0.3, 0.35, 0.5]),
                     velocity_m_s=np.array([0.0, -0.5, 0.0]))
    waiting = replace(coming, velocity_m_s=np.zeros(3), may_move=False)
    floors = []
    for obstacle in (coming, waiting):
        found = rows_of(step(obstacles=ObstacleArrays.pack((obstacle,))))
        floors.append(found.floor)
        assert set(found.softness) == {MOVING if obstacle.may_move else STANDING}
    assert (floors[0] >= floors[1] - 1e-12).all() and (floors[0] > floors[1] + 0.1).any()


def test_a_person_slows_the_robot() -> None:
    obstacle = replace(SCENE[2], position_m=np.array([0.4, 0.6, 0.5]))
    now = step(obstacles=ObstacleArrays.pack((obstacle,)))
    near = ARM.collision.nearest(now.position, now.obstacles, np.zeros(1))
    others = near.take(near.obstacle != OWN)
    speeds = [-separation.barrier(
        now, others, separation.Separation(person, 0.1, 0.05), 4).floor for person in (0.2, 1.6)]
    assert (speeds[1] <= speeds[0]).all() and speeds[1].min() < 0.01 < 0.1 < speeds[0].max()


def test_tool_speed_rows_hold_the_asked_direction() -> None:
    now, jacobian = step(), ARM.tool_jacobian(np.asarray(ARM.home_rad, dtype=float))[:3]
    asked = np.array([1.0, 0.4, 0.0, -0.5, 0.0, 0.0, 0.0])
    rows = tool_speed.barrier(now, jacobian, asked, 0.2)
    share = 0.2 / np.linalg.norm(jacobian @ asked)
    assert ((rows.slope @ (0.999 * share * asked)) >= rows.floor).all()
    assert not ((rows.slope @ (1.001 * share * asked)) >= rows.floor).all()


def test_workspace_rows_point_inwards() -> None:
    now, q = step(), np.asarray(ARM.home_rad, dtype=float)
    tool, jacobian = ARM.tool_pose(q)[0], ARM.tool_jacobian(q)[:3]
    lower, upper = np.array([-np.inf, -1.0, 0.0]), np.array([tool[0] + 0.01, np.inf, np.inf])
    rows = workspace_box.barrier(now, tool, jacobian, lower, upper, 0.0, 2)
    assert len(rows.floor) == 3
    out = np.linalg.lstsq(jacobian, np.array([0.5, 0.0, 0.0]), rcond=None)[0]
    assert (rows.slope @ out < rows.floor).any() and (rows.slope @ -out >= rows.floor).all()


# --- beside pink --------------------------------------------------------------------------

def pinks(q: Array) -> tuple[Any, Any]:
    """Return pink's barriers and its configuration of the arm."""
    barriers = pytest.importorskip('pink.barriers', reason='pin-pink is not installed')
    from pink import Configuration
    return barriers, Configuration(ARM.model, ARM.model.createData(), q)


@pytest.mark.parametrize('seed', range(5))
def test_workspace_rows_are_pinks_position_barrier(seed: int) -> None:
    q = spread(list(0.8 * np.random.default_rng(seed).uniform(-1, 1, 7)))
    barriers, configuration = pinks(q)
    lower, upper = np.array([-1.0, -0.8, -0.2]), np.array([0.9, 1.0, 1.3])
    theirs = barriers.PositionBarrier('diffusion_control_tool', p_min=lower, p_max=upper)
    ours = workspace_box.barrier(
        step(q), ARM.tool_pose(q)[0], ARM.tool_jacobian(q)[:3], lower, upper, 0.0, 2)
    np.testing.assert_allclose(ours.h, theirs.compute_barrier(configuration), atol=1e-9)
    np.testing.assert_allclose(ours.slope, theirs.compute_jacobian(configuration), atol=1e-9)


@pytest.mark.parametrize('seed', range(5))
def test_link_rows_are_pinks_body_spherical_barrier(seed: int) -> None:
    """|p|^2 - d^2 there is (h + 2 r)^2 - d^2 here, and its slope 2 |p| times ours."""
    q = spread(list(0.8 * np.random.default_rng(seed).uniform(-1, 1, 7)))
    barriers, configuration = pinks(q)
    frames, joints, radius = ('panda_joint2', 'panda_joint5'), np.array([2, 5]), 0.05
    theirs = barriers.BodySphericalBarrier(frames, d_min=0.2)
    rows = NearestRows(
        ARM.chain.placements, np.searchsorted(joints, np.arange(8), side='right'),
        np.array([[0.0, 0.0, 0.0, radius]] * 2), np.array([0, 1]), joints, np.array([[0, 1]]),
        floor_m=-9.0, floor_first=0, obstacle_first=0)
    empty = ObstacleArrays.pack(())
    found = rows.find(q, empty.code, empty.centre_m, empty.rotation, empty.half_m)
    apart = found.distance_m[0] + 2 * radius
    assert theirs.compute_barrier(configuration)[0] == pytest.approx(apart**2 - 0.04)
    np.testing.assert_allclose(
        2 * apart * found.slope[0], theirs.compute_jacobian(configuration), atol=1e-9)
