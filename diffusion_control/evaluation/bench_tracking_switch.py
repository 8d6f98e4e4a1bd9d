# SPDX-License-Identifier: Apache-2.0
"""Hand-over between plans of a late planner, beside naive switching.

A planner looks at t, plans from where the robot will be at t + latency, and its plan arrives
earlier or later than that by up to half the latency. Plans go to random goals (`random`), to and
fro between two equally good goals with every plan (`flips`), or start 50 mrad and 0.3 rad/s away
from where the robot will be (`broken`). None is refused: what the admission would keep out is
here too.

Naive switching plays each plan from its first point as soon as it arrives; it was made from where
the robot was when the planner looked.

Measured as in `check-run`: position and velocity of consecutive commands at equal time, across a
change of plan; and the change of the command's velocity from tick to tick over a_max T.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.bench_tracking_world import (
    TICK_S,
    Follower,
    command_violations,
    executed,
    quintic_plan,
    random_goal,
)
from diffusion_control.evaluation.workers import warm_arm
from diffusion_control.tracking.parameters import TrackerParameters
from diffusion_control.tracking.prediction import Prediction
from diffusion_control.tracking.registry import tracker_with
from diffusion_control.trajectory.trajectory import Sample, Trajectory

Array = NDArray[np.float64]
KINDS = ('random', 'flips', 'broken')
LATENCIES_MS = (0, 100, 200, 400, 800)
REPLAN_TICKS, SHARE = 15, (0.4, 1.2)
OFFSET_RAD, OFFSET_RAD_S = 0.05, 0.3
SWITCH_TICKS = 25


def switching(
    robot: Any, tracker: str, kind: str, latency_s: float, *, ticks: int, seed: int
) -> dict[str, Any]:
    """Return the jumps of one kind of plans at one latency.

    Args:
        robot: The robot.
        tracker: The tracker's name.
        kind: One of `KINDS`.
        latency_s: Of the planner [s].
        ticks: Length.
        seed: Of plans and delays.
    """
    parameters, rng = TrackerParameters(), np.random.default_rng(seed)
    follower = Follower(tracker_with(tracker, robot, Prediction(
        parameters.horizon_steps, parameters.dt_s), parameters), robot)
    planner = _Planner(robot, kind, latency_s, rng)
    naive = _Naive()
    plan: Trajectory | None = None
    changed = [-SWITCH_TICKS]
    for k in range(ticks):
        planner.look(follower, plan, k)
        for ours, plain in planner.arrived(k):
            plan = ours
            changed.append(k)
            naive.take(replace(plain, stamp_s=follower.now_s), follower.now_s)
        follower.tick(plan)
    return {'tracker': tracker, 'kind': kind, 'latency_ms': round(1e3 * latency_s),
            'switches': len(changed) - 1, 'ticks': ticks,
            **jumps(follower, changed), **steps(robot, follower),
            'naive_jump_rad': naive.jump_rad, 'naive_velocity_jump_rad_s': naive.jump_rad_s}


def switch_row(
    robot_config: str, tracker: str, kind: str, latency_ms: int, *, ticks: int, seed: int
) -> dict[str, Any]:
    """Return the row of a case; see `switching`."""
    return switching(
        warm_arm(robot_config), tracker, kind, 1e-3 * latency_ms, ticks=ticks, seed=seed)


class _Planner:
    """Makes plans that arrive later."""

    def __init__(
        self, robot: Any, kind: str, latency_s: float, rng: np.random.Generator
    ) -> None:
        self._robot, self._kind, self._latency_s, self._rng = robot, kind, latency_s, rng
        self._under_way: list[tuple[int, Trajectory, Trajectory]] = []
        self._modes = [random_goal(robot, rng) for _ in range(2)]
        self._count = 0

    def look(self, follower: Follower, plan: Trajectory | None, tick: int) -> None:
        """Begin a plan every 0.15 s; its arrival is drawn now."""
        if tick % REPLAN_TICKS:
            return
        rng, now_s = self._rng, follower.now_s
        start_s = now_s + max(self._latency_s, 0.02)
        ahead = follower.ahead(start_s - now_s)
        if plan is not None and plan.start_s <= start_s:
            ahead = plan.sample(start_s)
        goal = self._modes[self._count % 2] if self._kind == 'flips' else random_goal(
            self._robot, rng)
        self._count += 1
        if self._kind == 'broken':
            n = self._robot.dof
            ahead = Sample(
                ahead.position + rng.uniform(-OFFSET_RAD, OFFSET_RAD, n),
                ahead.velocity + rng.uniform(-OFFSET_RAD_S, OFFSET_RAD_S, n), ahead.acceleration)
        share = rng.uniform(*SHARE)
        made = quintic_plan(self._robot, ahead, start_s, goal, share)
        plain = quintic_plan(self._robot, follower.ahead(0.0), now_s, goal, share)
        late = self._latency_s * rng.uniform(0.5, 1.5)
        self._under_way.append((tick + round(late / TICK_S), made, plain))

    def arrived(self, tick: int) -> list[tuple[Trajectory, Trajectory]]:
        """Return what arrives by this tick: our plan, and the one from where the robot was."""
        here = [(made, plain) for at, made, plain in self._under_way if at <= tick]
        self._under_way = [item for item in self._under_way if item[0] > tick]
        return here


class _Naive:
    """Plays the newest plan, and remembers how far it jumped."""

    def __init__(self) -> None:
        self._plan: Trajectory | None = None
        self.jump_rad = self.jump_rad_s = 0.0

    def take(self, plan: Trajectory, now_s: float) -> None:
        """Switch to a plan now."""
        if self._plan is not None:
            old, new = self._plan.sample(now_s), plan.sample(now_s)
            self.jump_rad = max(
                self.jump_rad, float(np.abs(new.position - old.position).max()))
            self.jump_rad_s = max(
                self.jump_rad_s, float(np.abs(new.velocity - old.velocity).max()))
        self._plan = plan


def jumps(follower: Follower, changed: list[int]) -> dict[str, float]:
    """Return the largest jumps between consecutive motions within 0.25 s after a change."""
    position = velocity = 0.0
    near = {k for at in changed for k in range(at, at + SWITCH_TICKS)}
    for k in range(1, len(follower.sent)):
        before, after = follower.sent[k - 1], follower.sent[k]
        if k not in near or before is None or after is None:
            continue
        old, new = before.sample(after.start_s), after.sample(after.start_s)
        position = max(position, float(np.abs(new.position - old.position).max()))
        velocity = max(velocity, float(np.abs(new.velocity - old.velocity).max()))
    return {'jump_rad': position, 'velocity_jump_rad_s': velocity}


def steps(robot: Any, follower: Follower) -> dict[str, Any]:
    """Return the largest change of velocity in a tick over a_max T, and the violations."""
    rows = executed(follower.sent)
    steps = np.abs(np.diff(rows[1][::5], axis=0))
    share = steps / (robot.limits.acceleration_rad_s2 * TICK_S)
    tick, joint = np.unravel_index(int(share.argmax()), share.shape)
    return {
        'velocity_step_share': float(share.max()),
        'velocity_step_rad_s': float(steps[tick, joint]),
        'velocity_step_bound_rad_s': float(robot.limits.acceleration_rad_s2[joint] * TICK_S),
        'violations': command_violations(robot, *rows)}
