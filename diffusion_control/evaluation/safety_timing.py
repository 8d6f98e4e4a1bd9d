# SPDX-License-Identifier: Apache-2.0
"""Processor time of the safety monitor's parts, back to back and paced as in a loop.

A pusher drives the arm at random velocities among eight obstacles, two of which move; only the
library calls on arrays are timed, by the thread's own clock: the filter, the filter with the
candidates and their verification (`Chooser.follow`), and the whole `step`. Paced, each tick waits
for its 10 ms, so that caches are as cold as in a real loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from diffusion_control import safety
from diffusion_control.evaluation.hostile import Timing
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.obstacles import Obstacle, Shape
from diffusion_control.robots.state import RobotState
from diffusion_control.safety.choice import Chooser
from diffusion_control.safety.step_filter import StepFilter
from diffusion_control.trajectory.pusher import Pusher

Array = NDArray[np.float64]
KINDS: tuple[tuple[Shape, tuple[float, ...]], ...] = (
    ('sphere', (0.07,)), ('box', (0.12, 0.1, 0.2)), ('cylinder', (0.06, 0.3)))
PERIOD_S = 0.01
WARM_TICKS, CHANGE_TICKS = 100, 50
SHARE = 0.7


def obstacles_around(count: int, seed: int) -> tuple[Obstacle, ...]:
    """Return obstacles on a ring in reach of the arm; every fourth one moves."""
    rng = np.random.default_rng(seed)
    found = []
    for k, angle in enumerate(np.linspace(0.4, 5.9, count)):
        shape, size = KINDS[k % 3]
        place = np.array([0.7 * np.cos(angle), 0.7 * np.sin(angle), rng.uniform(0.1, 0.8)])
        found.append(Obstacle(
            shape, size, place, key=str(k), may_move=k % 4 == 0,
            velocity_m_s=rng.normal(size=3) * 0.1 * (k % 4 == 0)))
    return tuple(found)


class Clocked:
    """A call that is timed by the thread's clock.

    Attributes:
        spent_s: Time of each call [s].
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call, self.spent_s = call, list[float]()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call, and note the time."""
        begin = time.thread_time_ns()
        result = self._call(*args, **kwargs)
        self.spent_s.append((time.thread_time_ns() - begin) * 1e-9)
        return result


def time_monitor(
    robot: Arm, *, ticks: int, obstacles: int = 8, paced: bool = False, seed: int = 0
) -> Timing:
    """Return the thread times of a monitor that follows a pusher.

    Args:
        robot: The robot.
        ticks: Timed ticks.
        obstacles: How many there are.
        paced: Wait for each period, rather than run back to back.
        seed: Of the velocities.
    """
    monitor = safety.make(robot, rate_hz=1.0 / PERIOD_S)
    inner, whole = Clocked(StepFilter.filter), Clocked(Chooser.follow)
    step = Clocked(monitor.step)
    actions: dict[str, int] = {}
    with (patch.object(StepFilter, 'filter', lambda *args: inner(*args)),
          patch.object(Chooser, 'follow', lambda *args: whole(*args))):
        for action in _drive(robot, step, monitor, ticks + WARM_TICKS, obstacles, paced, seed):
            actions[action] = actions.get(action, 0) + 1
    return Timing(
        {name: np.array(clock.spent_s[WARM_TICKS:])
         for name, clock in (('filter', inner), ('full', whole), ('step', step))}, actions)


def _drive(
    robot: Arm, step: Callable[..., Any], monitor: safety.SafetyMonitor, ticks: int, count: int,
    paced: bool, seed: int,
) -> Any:
    """Yield the action of each tick."""
    rng, pusher = np.random.default_rng(seed), Pusher(robot.limits)
    around = obstacles_around(count, 1)
    velocity, now_s = np.zeros(robot.dof), 100.0
    deadline = time.monotonic()
    for tick in range(ticks):
        if tick % CHANGE_TICKS == 0:
            velocity = rng.uniform(-SHARE, SHARE, robot.dof) * robot.limits.velocity_rad_s
        committed, motion = monitor.committed, None
        state = RobotState(robot.home_rad, np.zeros(robot.dof), now_s)
        if committed is not None:
            motion = pusher.motion(committed, now_s, velocity)
            late = committed.sample(now_s - PERIOD_S)
            state = RobotState(late.position, late.velocity, now_s)
        yield step(state, motion, around, now_s).action
        now_s += PERIOD_S
        deadline += PERIOD_S
        if paced:
            time.sleep(max(0.0, deadline - time.monotonic()))
