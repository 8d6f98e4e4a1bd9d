# SPDX-License-Identifier: Apache-2.0
"""Verified motions against an independent oracle: dense, slow, with MuJoCo's own geometry.

The oracle shares no code with `safety/`: it moves the simulator's collision meshes along the
motion at 1 kHz, by scipy's interpolation, and lets the obstacles turn at their bounds.
"""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline
from test_safety_verify import swing

from diffusion_control import robots
from diffusion_control.robots import Obstacle, ObstacleArrays
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.verify import Surroundings, Verifier
from diffusion_control.simulation.contacts import ContactSense, ObstacleDistance
from diffusion_control.simulation.model import build_model
from diffusion_control.simulation.plant import Plant
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
ARM = robots.load('panda')
PARAMETERS = SafetyParameters()
SHAPES = (('sphere', (0.07,)), ('box', (0.1, 0.2, 0.15)), ('cylinder', (0.05, 0.3)))
STEP_S = 0.001


class Oracle:
    """The simulator's geometry of the arm among some obstacles."""

    def __init__(self, obstacles: tuple[Obstacle, ...]) -> None:
        self.plant = build_model(ARM, obstacles, Plant.nominal())
        self.data = mujoco.MjData(self.plant.model)
        self.obstacles = obstacles
        self._distance, self._contacts = ObstacleDistance(self.plant), ContactSense(self.plant)

    def least(self, motion: Trajectory, velocity: Array, turn: Array, delay_s: float) -> float:
        """Return the least distance to obstacles while the arm moves; -1 where it meets itself.

        Args:
            motion: What the arm does from time `delay_s` on.
            velocity: Of the obstacles when they were seen, shape [k, 3] [m/s].
            turn: Their acceleration, shape [k, 3] [m/s^2].
            delay_s: The arm moves so much later than the obstacles were seen [s].
        """
        path = CubicHermiteSpline(motion.times_s, motion.position, motion.velocity)
        times = np.arange(0.0, motion.times_s[-1], STEP_S)
        moving = np.abs(path(times, 1)).max(axis=1) > 1e-3
        found = np.inf
        for time_s, moves in zip(times, moving, strict=True):
            if not moves:
                continue
            self._place(path(time_s), velocity, turn, time_s + delay_s)
            if self._contacts.read(self.data, time_s)[1]:
                return -1.0
            found = min(found, self._distance(self.data))
        return found

    def _place(self, position: Array, velocity: Array, turn: Array, time_s: float) -> None:
        for k, obstacle in enumerate(self.obstacles):
            change = turn[k] * time_s
            fast = float(np.linalg.norm(velocity[k] + change))
            bounded = velocity[k] + change * (1.0 if fast <= 0.5 else 0.0)
            self.data.mocap_pos[k] = obstacle.position_m + time_s * (velocity[k] + bounded) / 2
            x, y, z, w = obstacle.quaternion
            self.data.mocap_quat[k] = (w, x, y, z)
        self.data.qpos[:] = position
        mujoco.mj_kinematics(self.plant.model, self.data)
        mujoco.mj_collision(self.plant.model, self.data)


def scene(rng: np.random.Generator, start: Array) -> tuple[Obstacle, ...]:
    """Return obstacles some centimetres beside the arm; some of them move."""
    tool = ARM.tool_pose(start)[0]
    found: list[Obstacle] = []
    while len(found) < 4:
        k = len(found)
        shape, size = SHAPES[k % 3]
        direction = rng.normal(size=3)
        place = tool + direction * rng.uniform(0.15, 0.4) / np.linalg.norm(direction)
        moves = k % 2 == 0
        way = rng.normal(size=3)
        velocity = rng.uniform(0.0, 0.45) * way / np.linalg.norm(way) if moves else np.zeros(3)
        made = Obstacle(
            shape, size, place, key=str(k), may_move=moves,  # type: ignore[arg-type]
            velocity_m_s=velocity)
        if ARM.collision.clearance(start, ObstacleArrays.pack((made,)))[0] > 0.02:
            found.append(made)
    return tuple(found)


def random_motion(rng: np.random.Generator, start: Array) -> Trajectory:
    """Return a ramp to a random velocity, and a stop."""
    velocity = rng.uniform(-0.9, 0.9, 7) * ARM.limits.velocity_rad_s
    return swing(ARM, velocity, start=start, stamp_s=0.0, hold_s=rng.uniform(0.05, 0.3))


@pytest.mark.parametrize('seed', range(12))
def test_what_is_verified_touches_nothing_in_the_oracle(seed: int) -> None:
    rng = np.random.default_rng([seed, 41])
    verifier, verified, refused = Verifier(ARM, PARAMETERS), 0, 0
    start = np.asarray(ARM.home_rad) + rng.uniform(-0.3, 0.3, 7)
    obstacles = scene(rng, start)
    oracle = Oracle(obstacles)
    age_s = float(rng.uniform(0.0, 0.05))
    around = Surroundings(ObstacleArrays.pack(obstacles), age_s)
    velocity = np.array([o.velocity_m_s for o in obstacles])
    for _ in range(12):
        motion = random_motion(rng, start)
        check = verifier.verify(motion, around)
        delay_s = age_s + PARAMETERS.command_delay_s
        if check.ok:
            verified += 1
            for _ in range(3):
                turn = rng.normal(size=velocity.shape)
                turn *= 2.0 / np.linalg.norm(turn, axis=1, keepdims=True)
                turn[[not o.may_move for o in obstacles]] = 0.0
                assert oracle.least(motion, velocity, turn, delay_s) > 0.0
        elif check.reason in ('obstacle', 'self_or_floor'):
            refused += 1
    assert verified + refused > 0


def test_the_oracle_sees_what_is_hit() -> None:
    start = np.asarray(ARM.home_rad)
    ball = Obstacle('sphere', (0.1,), ARM.tool_pose(start)[0], key='ball')
    rng = np.random.default_rng(0)
    motion = random_motion(rng, start)
    still = np.zeros((1, 3))
    assert Oracle((ball,)).least(motion, still, still, 0.0) < 0.0
    far = replace(ball, position_m=np.array([0.0, 0.0, 3.0]))
    assert Oracle((far,)).least(motion, still, still, 0.0) > 1.0
