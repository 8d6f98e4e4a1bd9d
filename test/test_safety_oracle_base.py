# SPDX-License-Identifier: Apache-2.0
"""Verified motions of a base against an independent oracle: dense, slow, MuJoCo's own geometry.

The oracle shares no code with `safety/`: it has its own receiver, delay, motors' lag and unicycle
in steps of 2 ms, its own MuJoCo model of hull, walls and obstacles, and lets the movers turn at
their bounds. It plays what goes on, and what happens if the twist of now, or of some later tick
of the stop, is the last one: from then on the movers keep the velocity that they have by then, or
turn on for as long as the verifier was told.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
import pytest
from base_motions import motion_of
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline

from diffusion_control.robots import Obstacle, load_base
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.safety.base.arc import slow_down
from diffusion_control.safety.base.verify import BaseVerifier
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.verify import Surroundings
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
BASE = load_base('base')
STEP_S, PERIOD_S, DELAY_S, LAG_S = 0.002, 0.01, 0.01, 0.03
FAR_M, CLOSE_M = 5.0, 0.1
SPEED_M_S, TURN_M_S2, ERROR_M_S = 0.5, 2.0, 0.1
WALL_M = 0.1
LIKE = Trajectory(0.0, np.array([0.0, 1.0]), *np.zeros((3, 2, 3)), BASE.joint_names, 'odom')


@dataclass
class Oracle:
    """Hull, obstacles and a wall at x = `wall_m` as MuJoCo sees them."""

    obstacles: tuple[Obstacle, ...]
    wall_m: float

    def __post_init__(self) -> None:
        spec = mujoco.MjSpec()
        hull = spec.worldbody.add_body(name='hull', mocap=True)
        hull.add_geom(name='hull', type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[0.2, 0.2, 0.0],
                      pos=[0.0, 0.0, 0.2])
        for k, o in enumerate(self.obstacles):
            kind, size = {
                'sphere': (mujoco.mjtGeom.mjGEOM_SPHERE, [o.size_m[0], 0.0, 0.0]),
                'box': (mujoco.mjtGeom.mjGEOM_BOX, [0.5 * edge for edge in o.size_m]),
                'cylinder': (mujoco.mjtGeom.mjGEOM_CYLINDER,
                             [o.size_m[0], 0.5 * o.size_m[-1], 0.0])}[o.shape]
            spec.worldbody.add_body(name=f'o{k}', mocap=True).add_geom(
                name=f'o{k}', type=kind, size=size)
        spec.worldbody.add_geom(
            name='wall', type=mujoco.mjtGeom.mjGEOM_BOX, size=[WALL_M / 2, 3.0, 0.5],
            pos=[self.wall_m + WALL_M / 2, 0.0, 0.5])
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)

    def least(self, poses: Array, moving: NDArray[np.bool_], places: Array) -> float:
        """Return the least distance while the base moves, obstacles at places [T, k, 3]."""
        model, data, found = self.model, self.data, FAR_M
        others = [*(model.geom(f'o{k}').id for k in range(len(self.obstacles))),
                  model.geom('wall').id]
        hull = model.geom('hull').id
        for pose, place in zip(poses[moving], places[moving], strict=True):
            data.mocap_pos[0, :2] = pose[:2]
            data.mocap_pos[1:] = place
            mujoco.mj_kinematics(model, data)
            found = min(found, *(
                mujoco.mj_geomDistance(model, data, hull, other, FAR_M, None)
                for other in others))
        return found


def driven(wanted: Array, before: Array, pose: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return true poses [T, 3], and whether it moves, from what the receiver puts out [T, 3].

    Args:
        wanted: The receiver's twists every 2 ms from the tick on.
        before: The twist that it put out until then.
        pose: Where C is at the tick; the base is the delay and the lag behind.
    """
    late = round(DELAY_S / STEP_S)
    heard = np.concatenate([np.repeat(before[None], late, axis=0), wanted,
                            np.zeros((round(0.25 / STEP_S), 3))])
    now, twist = np.array(pose, dtype=float), before.copy()
    turn = before[2] * (DELAY_S + LAG_S)
    now[2] -= turn
    middle = now[2] + turn / 2
    now[:2] -= (DELAY_S + LAG_S) * before[0] * np.array([np.cos(middle), np.sin(middle)])
    poses, moving = [], []
    for row in heard:
        twist = twist + (1.0 - np.exp(-STEP_S / LAG_S)) * (row - twist)
        half = now[2] + 0.5 * STEP_S * twist[2]
        now = now + STEP_S * np.array([twist[0] * np.cos(half), twist[0] * np.sin(half), twist[2]])
        poses.append(now)
        moving.append(abs(twist[0]) > 5e-3 or abs(twist[2]) > 2e-2)
    return np.array(poses), np.array(moving)


def received(start: Array, ticks: Array, until_s: float, timeout_s: float) -> Array:
    """Return what a receiver puts out [T, 3] that hears one twist a period [m, 3], then none."""
    drive, out, rows = BASE.drive, start.copy(), []
    for k in range(round(until_s / STEP_S)):
        tick = int(k * STEP_S / PERIOD_S + 1e-9)
        silent_s = k * STEP_S - (len(ticks) - 1) * PERIOD_S
        goal = np.zeros(3) if silent_s > timeout_s else ticks[min(tick, len(ticks) - 1)]
        falls = abs(goal[0]) < abs(out[0])
        most = STEP_S * (drive.braking_max_m_s2 if falls else drive.acceleration_max_m_s2)
        turn = STEP_S * drive.yaw_acceleration_max_rad_s2
        out = out + np.clip(goal - out, [-most, 0.0, -turn], [most, 0.0, turn])
        rows.append(out)
    return np.array(rows)


def turned(
    obstacles: tuple[Obstacle, ...], times: Array, rng: np.random.Generator, aim: Array | None,
    until_s: float,
) -> Array:
    """Return places [T, k, 3] of obstacles that turn at their bounds until some time [s].

    They turn to a place [2] or anyhow, and were seen with an error of velocity that way.
    """
    places = np.empty((len(times), len(obstacles), 3))
    for k, o in enumerate(obstacles):
        angle = rng.uniform(-np.pi, np.pi)
        if aim is not None:
            angle = np.arctan2(aim[1] - o.position_m[1], aim[0] - o.position_m[0])
        push = TURN_M_S2 * np.array([np.cos(angle), np.sin(angle), 0.0]) * o.may_move
        place, velocity = np.array(o.position_m), np.array(o.velocity_m_s)
        velocity += ERROR_M_S / TURN_M_S2 * push
        velocity *= min(1.0, SPEED_M_S / max(float(np.linalg.norm(velocity)), 1e-9))
        for row, width in enumerate(np.diff(times, prepend=0.0)):
            later = velocity + width * push * (times[row] <= until_s)
            size = float(np.linalg.norm(later))
            later *= min(1.0, SPEED_M_S / max(size, 1e-9))
            place = place + width * (velocity + later) / 2
            velocity = later
            places[row, k] = place
    return places


def surroundings(rng: np.random.Generator) -> tuple[tuple[Obstacle, ...], float, OccupancyMap]:
    """Return obstacles 2 cm to 1 m beside the base, where a wall begins, and its map."""
    found: list[Obstacle] = []
    while len(found) < 3:
        k = len(found)
        shape, size, high = (('cylinder', (0.12, 1.0), 0.5), ('sphere', (0.2,), 0.2),
                             ('box', (0.3, 0.2, 1.0), 0.5))[k]
        angle, way = rng.uniform(-np.pi, np.pi, 2)
        speed, moves = rng.uniform(0.0, 0.5), k < 2
        place = rng.uniform(0.45, 1.4) * np.array([np.cos(angle), np.sin(angle), 0.0])
        found.append(Obstacle(
            shape, size, place + [0.0, 0.0, high], key=str(k), may_move=moves,  # type: ignore[arg-type]
            velocity_m_s=moves * speed * np.array([np.cos(way), np.sin(way), 0.0])))
    wall_m = round(float(rng.uniform(0.3, 1.2)), 1)
    cells = np.zeros((60, 60), dtype=np.int8)
    column = round((wall_m + 3.0) / WALL_M)
    cells[:, column:column + 1] = 100
    return tuple(found), wall_m, OccupancyMap(WALL_M, np.array([-3.0, -3.0, 0.0]), cells)


def a_motion(rng: np.random.Generator) -> tuple[Trajectory, Array]:
    """Return a change of twist within the limits and a stop after it, and the twist before."""
    before = np.array([rng.uniform(-0.25, 0.55), 0.0, rng.uniform(-1.5, 1.5)])
    after = before + rng.uniform(-0.04, 0.04, 3) * [1.0, 0.0, 3.0]
    times, falling = slow_down(after, 1.0, 3.0, 0.05)
    motion = motion_of(np.concatenate([[0.0], 0.04 + times]),
                       np.concatenate([before[None], falling]), np.zeros(3), LIKE, 0.0)
    return motion, before


def twists_of(motion: Trajectory) -> Array:
    """Return the twists that are sent tick by tick, each that of a period ahead, [m, 3]."""
    path = CubicHermiteSpline(motion.times_s, motion.position, motion.velocity)
    ahead = np.minimum(np.arange(PERIOD_S, motion.times_s[-1] + PERIOD_S, PERIOD_S),
                       motion.times_s[-1])
    velocity, yaw = path(ahead, 1), path(ahead)[:, 2]
    speed = velocity[:, 0] * np.cos(yaw) + velocity[:, 1] * np.sin(yaw)
    return np.column_stack([speed, 0.0 * speed, velocity[:, 2]])


def least_of_verified(
    seed: int, timeout_s: float, believed_s: float, turning_s: float = 0.0,
    told_s: float | None = None,
) -> tuple[float, int]:
    """Return the least distance in the oracle of three verified motions, and how many it refused.

    Only motions that come within `CLOSE_M` of what is refused are played.

    Args:
        seed: Of everything.
        timeout_s: Of the receiver in the oracle.
        believed_s: What the verifier takes it to be.
        turning_s: For how long movers turn after the last twist [s].
        told_s: What the verifier takes that to be; None = what it is.
    """
    rng = np.random.default_rng([seed, 43])
    verifier = BaseVerifier(BASE, SafetyParameters.make(
        100.0, {'command_out_type': 'twist', 'receiver_timeout_s': believed_s,
                'silence.turning_s': turning_s if told_s is None else told_s}))
    verified, refused, least = 0, 0, np.inf
    while verified < 3 or refused < 1:
        obstacles, wall_m, known = surroundings(rng)
        age_s = float(rng.uniform(0.0, 0.03))
        motion, before = a_motion(rng)
        check = verifier.verify(motion, Surroundings(BASE.pack(obstacles, map=known), age_s))
        refused += check.reason in ('obstacle', 'walls')
        if not check.ok or not 0.0 <= check.h_min < CLOSE_M:
            continue
        verified += 1
        oracle, twists = Oracle(obstacles, wall_m), twists_of(motion)
        for heard in (twists[:n] for n in np.linspace(1, len(twists), 3).astype(int)):
            end_s = PERIOD_S * len(heard) + timeout_s + 0.5
            poses, moving = driven(
                received(before, heard, end_s, timeout_s), before, np.zeros(3))
            times = age_s + STEP_S * np.arange(1, len(poses) + 1)
            until_s = np.inf
            if len(heard) < len(twists):
                until_s = age_s + PERIOD_S * (len(heard) - 1) + turning_s
            least = min(least, *(
                oracle.least(poses, moving, turned(obstacles, times, rng, aim, until_s))
                for aim in (poses[-1, :2], poses[len(poses) // 2, :2], None)))
    return least, refused


@pytest.mark.parametrize('turning_s', [0.0, 2.0])
@pytest.mark.parametrize('timeout_s', [0.2, 0.5])
@pytest.mark.parametrize('seed', range(6))
def test_what_is_verified_touches_nothing_in_the_oracle(
    seed: int, timeout_s: float, turning_s: float
) -> None:
    least, refused = least_of_verified(seed, timeout_s, timeout_s, turning_s)
    assert least > 0.0 and refused > 0


def test_movers_that_turn_after_the_death_are_not_foreseen_unless_the_verifier_is_told() -> None:
    assert min(least_of_verified(seed, 0.5, 0.5, 2.0, 0.0)[0] for seed in range(8)) < 0.0


def test_a_verifier_that_does_not_know_of_the_time_out_is_found_out() -> None:
    assert min(least_of_verified(seed, 0.5, 0.0)[0] for seed in range(4)) < 0.0


@pytest.mark.parametrize(('gap_m', 'safe'), [(0.3, False), (0.7, True)])
def test_a_slow_twist_of_a_stop_may_be_the_last_one_too(gap_m: float, safe: bool) -> None:
    """A mover overtakes the base while it brakes; heard to the end, the stop is in time."""
    mover = Obstacle(
        'cylinder', (0.12, 1.0), np.array([-0.32 - gap_m, 0.0, 0.5]), key='m', may_move=True,
        velocity_m_s=np.array([0.5, 0.0, 0.0]))
    before = np.array([0.5, 0.0, 0.0])
    times, falling = slow_down(before, 1.125, 3.0, 0.05)
    motion = motion_of(np.concatenate([[0.0], 0.04 + times]),
                       np.concatenate([before[None], falling]), np.zeros(3), LIKE, 0.0)
    twists, found = twists_of(motion), []
    for heard in (twists, twists[:1], twists[:round(0.9 * len(twists))]):
        poses, moving = driven(received(before, heard, 1.6, 0.5), before, np.zeros(3))
        places = mover.position_m + STEP_S * np.arange(1, len(poses) + 1)[:, None, None] * (
            mover.velocity_m_s)
        found.append(Oracle((mover,), 4.0).least(poses, moving, places))
    assert found[0] > 0.05 and found[1] > 0.05 and (found[2] > 0.0) is safe
    verifier = BaseVerifier(BASE, SafetyParameters.make(
        100.0, {'command_out_type': 'twist', 'receiver_timeout_s': 0.5}))
    check = verifier.verify(motion, Surroundings(BASE.pack((mover,)), 0.0))
    assert check.reason == ('' if safe else 'obstacle')


def test_the_oracle_sees_what_is_hit() -> None:
    still = np.zeros((2, 3))
    box = Obstacle('box', (0.2, 0.2, 1.0), np.array([0.29, 0.0, 0.5]), key='b')
    ball = Obstacle('sphere', (0.2,), np.array([0.45, 0.0, 0.2]), key='s')
    for thing, wall_m, least in ((box, 2.0, -0.01), (ball, 2.0, 0.05), (ball, 0.22, 0.02)):
        places = np.repeat(thing.position_m[None, None], 2, axis=0)
        moving = np.array([False, True])
        assert Oracle((thing,), wall_m).least(still, moving, places) == pytest.approx(
            least, abs=2e-3)


def test_the_oracle_drives_as_far_as_a_receiver_that_is_left_alone() -> None:
    start = np.array([0.5, 0.0, 0.0])
    rows = received(start, start[None], 1.2, 0.5)
    poses, moving = driven(rows, start, np.zeros(3))
    way = poses[-1, 0] - poses[0, 0]
    assert way == pytest.approx(0.5 * (0.5 + 0.04) + 0.5**2 / 3.0, abs=0.01)
    assert moving[0] and not moving[-1]
