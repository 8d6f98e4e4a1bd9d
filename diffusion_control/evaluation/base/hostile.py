# SPDX-License-Identifier: Apache-2.0
"""What the base is tested with in `bench safety`; see `hostile.Hostility`.

The receiver's time-out decides how long the base runs on unheard, so everything is run at 0.2 s
and at 0.5 s; goals are timed at 0.2 s. The robot starts 6 to 50 cm beside something, and three
movers begin within 1.6 m of it. Ticks are timed in the closed loop of tracker, monitor and
simulated base, with a scan of the robot file's rays, so that caches are as cold as between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np

from diffusion_control.evaluation.base.adversary import KINDS, BaseAdversary
from diffusion_control.evaluation.base.free_space import FreeSpace, footprint_radius
from diffusion_control.evaluation.base.side import BaseSide
from diffusion_control.evaluation.base_worlds import (
    CELL_M,
    WORLD_TIERS,
    demo_world,
    generate_world,
    room_rows,
    standing_things,
)
from diffusion_control.evaluation.closed_loop import ClosedLoop, LoopOptions
from diffusion_control.evaluation.hostile import Timed, Timing
from diffusion_control.evaluation.safety_timing import Clocked
from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.safety import SafetyParameters
from diffusion_control.safety.base.filter import BaseStepFilter
from diffusion_control.safety.base.verify import BaseVerifier
from diffusion_control.safety.choice import Chooser
from diffusion_control.safety.verify import Surroundings, Verification
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.scene import Scene
from diffusion_control.trajectory.trajectory import Trajectory

MOVERS, NEAR_M, FIRST_M = 3, 1.6, 0.05
ROOM_M = (0.06, 0.5)
WARM_TICKS = 100


class IndifferentBase(BaseVerifier):
    """Judge motions, and let all pass that obstacles or walls alone speak against."""

    def verify(
        self, motion: Trajectory, around: Surroundings, *, complete: bool = True
    ) -> Verification:
        """Return the verdict without the part on distances."""
        found = super().verify(motion, around, complete=complete)
        if found.reason in ('obstacle', 'walls'):
            return replace(found, ok=True, reason='')
        return found


class HostileBase:
    """See `hostile.Hostility`.

    Args:
        robot: The nominal robot.
    """

    kinds: tuple[str, ...] = KINDS
    timeouts_s: tuple[float | None, ...] = (0.2, 0.5)
    timings: tuple[str, ...] = ('loop',)
    timed: Mapping[str, Timed] = {
        'tick_filter_p99_s': Timed('loop', 'filter_p99_s', None),
        'tick_full_p99_s': Timed('loop', 'full_p99_s', None),
        'tick_paced_p99_s': Timed('loop', 'step_p99_s', 2e-3),
        'tracker_tick_p99_s': Timed('loop', 'tracker_p99_s', 1e-3)}
    planner = 'astar'

    def __init__(self, robot: Base) -> None:
        """Take over the robot."""
        self._robot = robot

    def at_timeout(self, timeout_s: float | None) -> Base:
        """Return the robot with a receiver of that time-out."""
        if timeout_s is None:
            return self._robot
        return Base(replace(self._robot.config, receiver_timeout_s=timeout_s))

    def scene(self, seed: int, random: np.random.Generator) -> Scene:
        """Return a room, easy or hard, with a start near something and three movers about it."""
        robot = self._robot
        tier = WORLD_TIERS['hard' if seed % 3 == 0 else 'easy']
        world = Scene(
            seed, (), np.zeros(3), (), tier.name, room_rows(tier, random), CELL_M)
        bare, radius = FreeSpace.of(world), footprint_radius(robot)
        standing = tuple(standing_things(bare, tier, random))
        floor = bare.with_standing(standing)
        room = floor.clearance_m - radius
        near = floor.points[(room > ROOM_M[0]) & (room < ROOM_M[1])]
        start = np.array([*near[random.integers(len(near))], random.uniform(-np.pi, np.pi)])
        open_floor = floor.points[floor.clearance_m > 0.1]
        about = open_floor[np.linalg.norm(open_floor - start[:2], axis=1) < NEAR_M]
        movers: list[Obstacle] = []
        while len(movers) < MOVERS:
            mover = _mover(about[random.integers(len(about))], len(movers), random)
            if robot.collision.clearance(start, ObstacleArrays.pack((mover,)))[0] >= FIRST_M:
                movers.append(mover)
        return replace(world, start_rad=start, obstacles=(*standing, *movers))

    def goal_scene(self, seed: int) -> Scene:
        """Return an easy world."""
        return generate_world(self._robot, seed, 'easy')

    def side(self, robot: Base, scene: Scene, plant: Plant, wander_seed: int) -> BaseSide:
        """Return the simulated base."""
        return BaseSide(robot, scene, plant, wander_seed=wander_seed)

    def adversary(self, kind: str, random: np.random.Generator) -> BaseAdversary:
        """Return an adversary."""
        return BaseAdversary(self._robot, kind, random)

    def indifferent(self, robot: Base, parameters: SafetyParameters) -> IndifferentBase:
        """Return a judge that distances do not matter to."""
        return IndifferentBase(robot, parameters)

    def way(self, arrays: Mapping[str, Any]) -> dict[str, float]:
        """Return the way of the body [m] and all its turning [rad]."""
        steps = np.diff(arrays['q'], axis=0)
        return {'moved_m': float(np.hypot(steps[:, 0], steps[:, 1]).sum()),
                'moved_rad': float(np.abs(steps[:, 2]).sum())}

    def time(self, name: str, ticks: int, seed: int) -> Timing:
        """Return the times of the parts in the closed loop through the demo's world."""
        loop = ClosedLoop(
            self._robot, demo_world(self._robot, seed), self.planner, LoopOptions())
        monitor, tracker = loop.monitor, loop.tracker
        assert monitor is not None
        clocks = {'filter': Clocked(BaseStepFilter.filter), 'full': Clocked(Chooser.follow),
                  'step': Clocked(monitor.step), 'tracker': Clocked(tracker.step)}
        actions: dict[str, int] = {}
        with (patch.object(BaseStepFilter, 'filter', lambda *args: clocks['filter'](*args)),
              patch.object(Chooser, 'follow', lambda *args: clocks['full'](*args)),
              patch.object(monitor, 'step', clocks['step']),
              patch.object(tracker, 'step', clocks['tracker'])):
            for tick in range(-WARM_TICKS, ticks):
                if tick == -WARM_TICKS // 2:
                    loop.begin()
                loop.tick(tick)
                assert loop.decision is not None
                actions[loop.decision.action] = actions.get(loop.decision.action, 0) + 1
        return Timing(
            {part: np.array(clock.spent_s[WARM_TICKS:]) for part, clock in clocks.items()},
            actions)


def _mover(place: Any, number: int, random: np.random.Generator) -> Obstacle:
    """Return a post or a ball that begins at a place [2] in a random direction."""
    angle, speed = random.uniform(-np.pi, np.pi), random.uniform(0.2, 0.5)
    radius, ball = float(random.uniform(0.1, 0.2)), bool(random.random() < 0.25)
    velocity = speed * np.array([np.cos(angle), np.sin(angle), 0.0])
    return Obstacle(
        'sphere' if ball else 'cylinder', (radius,) if ball else (radius, 1.0),
        np.array([*place, 0.2 if ball else 0.5]), key=f'mover/{number}', velocity_m_s=velocity,
        may_move=True)
