# SPDX-License-Identifier: Apache-2.0
"""What the arm is tested with in `bench safety`; see `hostile.Hostility`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from diffusion_control.evaluation.adversary import KINDS, Adversary
from diffusion_control.evaluation.arm_side import ArmSide
from diffusion_control.evaluation.hostile import Timed, Timing
from diffusion_control.evaluation.safety_timing import time_monitor
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.safety import SafetyParameters
from diffusion_control.safety.verify import Surroundings, Verification, Verifier
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.scene import Scene
from diffusion_control.trajectory.trajectory import Trajectory

MOVERS = 2
FIRST_M = 0.02


class Indifferent(Verifier):
    """Judge motions, and let all pass that obstacles or own links alone speak against."""

    def verify(
        self, motion: Trajectory, around: Surroundings, *, complete: bool = True
    ) -> Verification:
        """Return the verdict without the part on distances."""
        found = super().verify(motion, around, complete=complete)
        if found.reason in ('obstacle', 'self_or_floor'):
            return replace(found, ok=True, reason='')
        return found


class HostileArm:
    """See `hostile.Hostility`.

    Args:
        robot: The nominal robot.
    """

    kinds: tuple[str, ...] = KINDS
    timeouts_s: tuple[float | None, ...] = (None,)
    timings: tuple[str, ...] = ('8', '8 paced', '2', '32')
    timed: Mapping[str, Timed] = {
        'tick_filter_p99_s': Timed('8', 'filter_p99_s', 0.3e-3),
        'tick_full_p99_s': Timed('8', 'full_p99_s', 0.7e-3),
        'tick_paced_p99_s': Timed('8 paced', 'step_p99_s', 2e-3)}
    planner = 'training_free'

    def __init__(self, robot: Arm) -> None:
        """Take over the robot."""
        self._robot = robot

    def at_timeout(self, timeout_s: float | None) -> Arm:
        """Return the robot: its receiver has no time-out."""
        return self._robot

    def scene(self, seed: int, random: np.random.Generator) -> Scene:
        """Return a scene, easy or hard, with two movers that turn, at first clear of it."""
        robot = self._robot
        scene = generate_scene(robot, 700_000 + seed, 'hard' if seed % 3 == 0 else 'easy')
        standing = [o for o in scene.obstacles if not o.velocity_m_s.any()]
        centre = robot.tool_pose(np.asarray(scene.start_rad))[0]
        movers: list[Obstacle] = []
        while len(movers) < MOVERS:
            place = random.uniform([-0.8, -0.8, 0.2], [0.8, 0.8, 1.0])
            if np.linalg.norm(place - centre) < 0.35 or np.linalg.norm(place[:2]) < 0.3:
                continue
            direction = random.normal(size=3)
            speed = random.uniform(0.2, 0.5)
            mover = Obstacle(
                'sphere', (float(random.uniform(0.05, 0.1)),), place, key=f'mover/{len(movers)}',
                velocity_m_s=direction * speed / np.linalg.norm(direction), may_move=True)
            near, _ = robot.collision.clearance(
                np.asarray(scene.start_rad), ObstacleArrays.pack((mover,)))
            if near >= FIRST_M:
                movers.append(mover)
        return replace(scene, seed=seed, obstacles=(*standing, *movers))

    def goal_scene(self, seed: int) -> Scene:
        """Return an easy scene."""
        return generate_scene(self._robot, seed, 'easy')

    def side(self, robot: Arm, scene: Scene, plant: Plant, wander_seed: int) -> ArmSide:
        """Return the simulated arm."""
        return ArmSide(robot, scene, plant, wander_seed=wander_seed)

    def adversary(self, kind: str, random: np.random.Generator) -> Adversary:
        """Return an adversary."""
        return Adversary(self._robot, kind, random)

    def indifferent(self, robot: Arm, parameters: SafetyParameters) -> Indifferent:
        """Return a judge that distances do not matter to."""
        return Indifferent(robot, parameters)

    def way(self, arrays: Mapping[str, Any]) -> dict[str, float]:
        """Return the way of the fastest joint [rad]."""
        return {'moved_rad': float(np.abs(np.diff(arrays['q'], axis=0)).sum(axis=0).max())}

    def time(self, name: str, ticks: int, seed: int) -> Timing:
        """Return the times of a run named after its obstacles, `paced` or back to back."""
        count, _, paced = name.partition(' ')
        return time_monitor(
            self._robot, ticks=ticks, obstacles=int(count), paced=bool(paced), seed=seed)
