# SPDX-License-Identifier: Apache-2.0
"""Planner and fallback of a closed loop: asked at their rates, heard after their latency."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from diffusion_control.evaluation.side import Sight
from diffusion_control.planners.behind import falls_behind
from diffusion_control.planners.problem import PlanningError, PlanningProblem, PlanSet
from diffusion_control.planners.protocol import Planner
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.state import RobotState
from diffusion_control.trajectory.trajectory import Sample, Trajectory

DELIVERY_S = 0.03


@dataclass(frozen=True)
class Seen:
    """What a planner sees at one instant.

    Attributes:
        now_s: ROS time [s].
        state: Measured state.
        motion: The tracker's newest motion, which predicts where the robot will be.
        goal: Goal.
        sight: What is around, as it was at `sight_s`; obstacles with velocities.
        sight_s: ROS time of the obstacles [s].
        stopped: Safety's mode is `stop`: the robot does not follow the tracker's motion.
    """

    now_s: float
    state: RobotState
    motion: Trajectory | None
    goal: Goal
    sight: Sight
    sight_s: float
    stopped: bool = False


@dataclass(frozen=True)
class Delivery:
    """One answer of a planner on its way.

    Attributes:
        at_s: ROS time at which it arrives [s].
        answer: What the planner said; None = it refused.
    """

    at_s: float
    answer: PlanSet | None

    @property
    def plan(self) -> Trajectory | None:
        """The best candidate, or None."""
        return None if self.answer is None else self.answer.trajectory

    @property
    def confidence(self) -> float:
        """As the planner node reports it."""
        return 0.0 if self.answer is None else confidence_of(self.answer)

    def report(self) -> dict[str, Any]:
        """Return the JSON object of `planner/report`."""
        answer, plan = self.answer, self.plan
        stamp = None if plan is None else plan.stamp_s
        if answer is None:
            return {'plan_stamp': None, 'confidence': 0.0, 'candidates': 0, 'scores': [],
                    'costs': {}, 'evaluations': 0, 'latency_s': None, 'source': ''}
        return {'plan_stamp': stamp, 'confidence': self.confidence,
                'candidates': len(answer.candidates), 'scores': answer.scores,
                'costs': answer.costs, 'evaluations': answer.evaluations,
                'latency_s': answer.latency_s, 'source': answer.source}


class PlannerSide:
    """Ask a planner and deliver its answers late.

    Args:
        planner: Planner or fallback.
        latency_s: Simulated time from question to arrival [s].
        deadline_s: Processor time it is given; None = its own [s].
        naive: Plan from the state as it was measured, as if the plan were there at once.
    """

    def __init__(
        self, planner: Planner, *, latency_s: float, deadline_s: float | None, naive: bool = False,
    ) -> None:
        """Begin with nothing asked."""
        self._planner, self._latency_s, self._deadline_s = planner, latency_s, deadline_s
        self._naive = naive
        self._waiting: list[Delivery] = []
        self._previous: Trajectory | None = None
        self._accepted: Trajectory | None = None
        self.latencies_s: list[float] = []
        self.evaluations: list[int] = []
        self.refusal = ''
        self.refused_in_row = 0

    def forget(self) -> None:
        """Drop the plan that would be kept and what is on its way (the goal has changed)."""
        self._previous = self._accepted = None
        self._waiting.clear()

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way: until then the planner is at work."""
        return bool(self._waiting)

    def ask(self, seen: Seen) -> None:
        """Plan from where the robot will be when the plan arrives."""
        problem = self._problem(seen)
        try:
            answer = self._planner.plan(problem, self._deadline_s)
        except PlanningError as error:
            self.refusal, self.refused_in_row = error.reason, self.refused_in_row + 1
            self._waiting.append(Delivery(seen.now_s + self._latency_s, None))
            return
        self.refusal, self.refused_in_row = '', 0
        self.latencies_s.append(answer.latency_s)
        self.evaluations.append(answer.evaluations)
        if answer.trajectory is not None:
            self._previous = answer.trajectory
        self._waiting.append(Delivery(seen.now_s + self._latency_s, answer))

    def accepted(self, plan: Trajectory) -> None:
        """Take note that a plan passed the admission."""
        self._accepted = plan

    def arrived(self, now_s: float) -> list[Delivery]:
        """Return the answers that have arrived by now, oldest first."""
        due = [item for item in self._waiting if item.at_s <= now_s + 1e-9]
        self._waiting = [item for item in self._waiting if item.at_s > now_s + 1e-9]
        return due

    def _problem(self, seen: Seen) -> PlanningProblem:
        """Return the question, from the state predicted for the start of the plan.

        The tracker's motion predicts it, unless the plan that was accepted last has not begun:
        then that plan will be followed by that time, if the robot does not fall behind. A robot
        that is stopped stands. A naive side does not predict: it plans from here and now.
        """
        start_s = seen.now_s if self._naive else seen.now_s + self._latency_s + DELIVERY_S
        rest = np.zeros_like(seen.state.position)
        start = Sample(seen.state.position, rest, rest)
        accepted = self._accepted
        begins = accepted is not None and accepted.start_s >= seen.now_s and not falls_behind(
            seen.motion, accepted)
        if self._naive and not seen.stopped:
            start = Sample(seen.state.position, seen.state.velocity, rest)
        elif accepted is not None and begins and not seen.stopped:
            start = accepted.sample(start_s)
        elif seen.motion is not None and not seen.stopped:
            start = seen.motion.sample(start_s)
        ahead = start_s - seen.sight_s
        obstacles = tuple(
            replace(item, position_m=item.position_m + ahead * item.velocity_m_s)
            if item.may_move else item for item in seen.sight.obstacles)
        return PlanningProblem(
            RobotState(start.position, start.velocity, start_s), seen.goal, obstacles,
            map=seen.sight.map, scan=seen.sight.scan, previous=self._previous, start_s=start_s,
            acceleration=start.acceleration)


def confidence_of(answer: PlanSet) -> float:
    """Return 0 without a free plan, else 1/2 + 1/2 the share of candidates that are free."""
    if answer.best is None:
        return 0.0
    return 0.5 + 0.5 * float(np.mean(np.asarray(answer.scores) > -1e3))
