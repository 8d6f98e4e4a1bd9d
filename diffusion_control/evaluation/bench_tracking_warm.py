# SPDX-License-Identifier: Apache-2.0
"""Warm starts side by side: the same problems, once from each first guess, class by class.

A tracker follows a made-up shift of work, and each tick's problem is kept with its class. Then
every problem is given to one policy for each warm start, in turn and in one process, so that they
meet the same load; the times include the choosing. The whole is done three times over, and the
least time of each problem counts: what a neighbour took is not ours. `cold` starts from zero
primal and dual with the same factor.

| class | ticks |
|---|---|
| `nominal` | one plan, far from events |
| `plan_switch` | +-5 ticks around a new plan to the same goal, another way |
| `goal_change` | +-5 around a plan to another goal |
| `obstacle_jump` | +-5 around a plan that leaves the old one at once, and twice as fast |
| `recovery` | +-5 around the release after safety braked the robot to rest |
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.bench_tracking_ticks import robot_of
from diffusion_control.evaluation.bench_tracking_world import (
    Follower,
    no_collection,
    quintic_plan,
    random_goal,
)
from diffusion_control.robots.limits import DROOP_RAD
from diffusion_control.solvers.protocol import USABLE
from diffusion_control.tracking.formulation import UNCONSTRAINED, HorizonSolution
from diffusion_control.tracking.parameters import TrackerParameters
from diffusion_control.tracking.pipeline import Policy
from diffusion_control.tracking.prediction import HorizonProblem, Prediction
from diffusion_control.tracking.protocol import WARM_STARTS
from diffusion_control.tracking.reference import ReferenceWindow
from diffusion_control.tracking.registry import TRACKERS, tracker_with

Array = NDArray[np.float64]
Answer = tuple[float, HorizonSolution, str]
NOMINAL = 'nominal'
EVENTS = ('plan_switch', 'goal_change', 'obstacle_jump', 'recovery')
CLASSES = (NOMINAL, *EVENTS)
AROUND, EVENT_TICKS, STOP_TICKS = 5, 45, 25
SHARE, FAST_SHARE = (0.9, 1.3), 2.0
DEADLINE_S = 5e-3
TIMES = 3


@dataclass(frozen=True)
class Asked:
    """One tick as the policy was asked."""

    problem: HorizonProblem
    window: ReferenceWindow
    shifted: Array | None
    kind: str


class _Recorder:
    """A policy that keeps what it is asked."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self.solver_name = policy, policy.solver_name
        self.asked: list[tuple[HorizonProblem, ReferenceWindow, Array | None]] = []

    def choose(
        self, problem: HorizonProblem, window: ReferenceWindow, shifted: Array | None
    ) -> tuple[HorizonSolution, str]:
        """Keep the question and pass it on."""
        self.asked.append((problem, window, shifted))
        return self._policy.choose(problem, window, shifted)


def shift_of_work(robot: Any, ticks: int, seed: int) -> list[Asked]:
    """Return the problems of a tracker that meets an event every 0.45 s."""
    parameters, rng = TrackerParameters(), np.random.default_rng(seed)
    tracker = tracker_with('mpc', robot, Prediction(
        parameters.horizon_steps, parameters.dt_s), parameters)
    recorder = _Recorder(tracker.policy)
    tracker.policy = recorder
    follower = Follower(tracker, robot)
    labels = [NOMINAL] * ticks
    plan, goal, brake_until, event = None, random_goal(robot, rng), -1, 0
    for k in range(ticks):
        if k % EVENT_TICKS == 20:
            kind = EVENTS[event % len(EVENTS)]
            event += 1
            if kind == 'recovery':
                brake_until = k + STOP_TICKS
            else:
                goal = random_goal(robot, rng) if kind == 'goal_change' else goal
                plan = _replanned(follower, rng, goal, kind)
                _label(labels, k, kind)
        if k == brake_until:
            _label(labels, k, 'recovery')
        if plan is None or follower.now_s > plan.end_s - 0.1:
            goal = random_goal(robot, rng)
            plan = _replanned(follower, rng, goal, 'goal_change')
            _label(labels, k, 'goal_change')
        follower.tick(plan, brake=k < brake_until)
    return [Asked(*asked, kind) for asked, kind in zip(recorder.asked, labels, strict=True)]


def _label(labels: list[str], at: int, kind: str) -> None:
    for k in range(max(at - AROUND, 0), min(at + AROUND + 1, len(labels))):
        labels[k] = kind


def _replanned(follower: Follower, rng: np.random.Generator, goal: Array, kind: str) -> Any:
    """Return a plan from the motion a little ahead; a jump of an obstacle asks for twice."""
    notice_s = 0.02 if kind == 'obstacle_jump' else 0.05
    end = goal if kind != 'plan_switch' else goal + rng.uniform(-0.15, 0.15, len(goal))
    end = np.clip(end, follower.robot.limits.lower_rad + 0.1,
                  follower.robot.limits.upper_rad - 0.1)
    share = FAST_SHARE if kind == 'obstacle_jump' else rng.uniform(*SHARE)
    return quintic_plan(
        follower.robot, follower.ahead(notice_s), follower.now_s + notice_s, end, share)


def policies(robot: Any, tracker: str, choices: tuple[str, ...] = WARM_STARTS
             ) -> dict[str, Policy]:
    """Return one policy of a tracker for each warm start."""
    made = {}
    for choice in choices:
        parameters = replace(TrackerParameters(), warm_start=choice)
        limits = robot.limits.scaled(parameters.limits_scale).inset(DROOP_RAD)
        prediction = Prediction(parameters.horizon_steps, parameters.dt_s)
        made[choice] = TRACKERS[tracker](robot, limits, prediction, parameters)
    return made


def warm_starts(
    robot_config: str, tracker: str, load: str, *, ticks: int, seed: int
) -> list[dict[str, Any]]:
    """Return a row for each class that came up and warm start.

    Args:
        robot_config: The robot's name or file.
        tracker: The tracker's name.
        load: `hard`, or `heavy` (with a third of the torque).
        ticks: Length of the shift.
        seed: Of the shift.
    """
    robot = robot_of(robot_config, load)
    asked = shift_of_work(robot, ticks, seed)
    with no_collection():
        found = _quietest([_replay(policies(robot, tracker), asked) for _ in range(TIMES)])
    rows = []
    for kind in CLASSES:
        here = [k for k, one in enumerate(asked) if one.kind == kind]
        for choice, answers in found.items() if here else ():
            rows.append({
                'tracker': tracker, 'load': load, 'class': kind, 'warm_start': choice,
                **_figures([answers[k] for k in here])})
    return rows


def _quietest(runs: list[dict[str, list[Answer]]]) -> dict[str, list[Answer]]:
    """Return for each problem the answer that took least; all runs give the same answers."""
    return {name: [min(same, key=lambda answer: answer[0]) for same in zip(
        *(run[name] for run in runs), strict=True)] for name in runs[0]}


def _replay(made: dict[str, Policy], asked: list[Asked]) -> dict[str, list[Answer]]:
    """Ask every policy every problem, in an order that turns; return time, answer, choice."""
    found: dict[str, list[Answer]] = {name: [] for name in made}
    order = list(made)
    for k, one in enumerate(asked):
        for name in order[k % len(order):] + order[:k % len(order)]:
            # a problem of its own: what the maps keep of the last one must be made anew
            problem = replace(one.problem)
            found[name].append(_timed(made[name].choose, problem, one.window, one.shifted))
    return found


def _timed(choose: Callable[..., tuple[HorizonSolution, str]], *args: Any) -> Answer:
    begin = time.thread_time_ns()
    solution, choice = choose(*args)
    return (time.thread_time_ns() - begin) * 1e-9, solution, choice


def _figures(answers: list[Answer]) -> dict[str, Any]:
    spent = np.array([cpu for cpu, _, _ in answers])
    usable = [s.status in (UNCONSTRAINED, *USABLE) for _, s, _ in answers]
    in_time = [ok and cpu <= DEADLINE_S for ok, cpu in zip(usable, spent, strict=True)]
    return {
        'ticks': len(answers),
        'iterations_mean': float(np.mean([s.iterations for _, s, _ in answers])),
        'limited_share': float(np.mean([bool(s.active.any()) for _, s, _ in answers])),
        'cpu_mean_s': float(spent.mean()), 'cpu_p99_s': float(np.percentile(spent, 99)),
        'plan_share': float(np.mean([choice == 'plan' for _, _, choice in answers])),
        'solved': int(sum(in_time))}
