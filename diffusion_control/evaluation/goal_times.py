# SPDX-License-Identifier: Apache-2.0
"""Which goals were reached and when, judged by the ground truth.

A goal counts as reached once the tool is within 0.01 m and 0.05 rad of it (or every joint within
0.02 rad) with every joint slower than 0.02 rad/s, for 0.3 s without a break. A goal ends when
another one is set; at 100 Hz, and set by somebody who looks at other moments, a hold of 0.3 s may
show as 0.28 s. The one still open at the end counts as attempted, and missed, only if it was
open for 20 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.rates import spans
from diffusion_control.evaluation.truth_file import Truth
from diffusion_control.robots.goal import SPEED_TOLERANCE, Goal
from diffusion_control.robots.planar import compose, quaternion_of, yaw_of
from diffusion_control.robots.protocol import Robot
from diffusion_control.robots.state import RobotState

Array = NDArray[np.float64]
HELD_S = 0.3
OPEN_S = 20.0
RATE_HZ = 100.0
SAMPLING_S = 2.0 / RATE_HZ + 1e-9


@dataclass(frozen=True)
class SetGoal:
    """A goal and the ROS time at which it was set [s]."""

    set_s: float
    goal: Goal


def parse_goal_pose(message: Any) -> Goal:
    """Return the goal of a decoded PoseStamped; a quaternion of zeros leaves the angle free."""
    place, turn = message.pose.position, message.pose.orientation
    quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
    free = float(np.linalg.norm(quaternion)) < 0.5
    return Goal(position_m=np.array([place.x, place.y, place.z]),
                quaternion=None if free else quaternion)


def parse_goal_joints(message: Any, names: tuple[str, ...]) -> Goal:
    """Return the goal of a decoded JointState, joints in the robot's order."""
    places = {name: k for k, name in enumerate(message.name)}
    return Goal(joints_rad=np.array([message.position[places[name]] for name in names]))


def goal_in_world(goal: Goal, pose: Array) -> Goal:
    """Return the goal of a base that was given in the frame at a pose x, y, yaw."""
    if goal.joints_rad is not None:
        return Goal(joints_rad=compose(pose, goal.joints_rad))
    assert goal.position_m is not None
    place = compose(pose, np.array([*goal.position_m[:2], 0.0]))
    turn = None if goal.quaternion is None else quaternion_of(
        float(pose[2]) + yaw_of(goal.quaternion))
    return Goal(position_m=np.array([*place[:2], goal.position_m[2]]), quaternion=turn)


def goal_statistics(
    goals: Sequence[SetGoal], truth: Truth, robot: Robot,
    states: Sequence[tuple[float, str]],
) -> dict[str, Any]:
    """Return reached, reached_by_planner, attempted and the mean time from setting to reaching.

    A goal that is set again while it is open is the same goal.

    Args:
        goals: In the order in which they were set.
        truth: Ground truth of the run.
        robot: The robot that was driven.
        states: (ROS time [s], state) of the safety monitor, in order.
    """
    goals = _without_repeats(goals)
    times, by_planner, attempted = [], 0, 0
    for k, item in enumerate(goals):
        last = k == len(goals) - 1
        until = float(truth.t_s[-1]) if last else goals[k + 1].set_s
        reached = reached_s(item, truth, robot, until)
        if reached is not None:
            times.append(reached - item.set_s)
            by_planner += not _in_fallback(states, item.set_s, reached)
        attempted += reached is not None or not last or until - item.set_s >= OPEN_S
    return {'reached': len(times), 'reached_by_planner': by_planner, 'attempted': attempted,
            'time_mean_s': float(np.mean(times)) if times else None}


def reached_s(item: SetGoal, truth: Truth, robot: Robot, until_s: float) -> float | None:
    """Return the ROS time at which a goal had been held for 0.3 s, None if it never was."""
    step = max(1, round(1.0 / (RATE_HZ * truth.period_s)))
    first, last = np.searchsorted(truth.t_s, [item.set_s, until_s])
    index = np.arange(first, last, step)
    slow = np.abs(truth.dq[index]).max(axis=1) < SPEED_TOLERANCE
    there = np.zeros(len(index), dtype=bool)
    for k in np.flatnonzero(slow):
        state = RobotState(truth.q[index[k]], truth.dq[index[k]], float(truth.t_s[index[k]]))
        there[k] = item.goal.reached(robot, state)
    for begin, end in spans(there):
        held = truth.t_s[index[begin:end]]
        long_enough = np.flatnonzero(held - held[0] >= HELD_S - SAMPLING_S)
        if len(long_enough):
            return float(held[long_enough[0]])
    return None


def _in_fallback(states: Sequence[tuple[float, str]], set_s: float, reached_at_s: float) -> bool:
    """Say whether the monitor was in or went into FALLBACK while a goal was open."""
    current = ''
    for time, state in states:
        if time <= set_s:
            current = state
        elif time <= reached_at_s and state == 'FALLBACK':
            return True
    return current == 'FALLBACK'


def _without_repeats(goals: Sequence[SetGoal]) -> list[SetGoal]:
    kept: list[SetGoal] = []
    for item in goals:
        if not kept or not _same(kept[-1].goal, item.goal):
            kept.append(item)
    return kept


def _same(one: Goal, other: Goal) -> bool:
    pairs = ((one.joints_rad, other.joints_rad), (one.position_m, other.position_m),
             (one.quaternion, other.quaternion))
    return all((a is None and b is None) or (a is not None and b is not None
                                             and np.array_equal(a, b)) for a, b in pairs)
