# SPDX-License-Identifier: Apache-2.0
"""One tick of any tracker: state, reference, build, solve, check.

The prediction starts from the committed reference C(tau), tau = now + lead, and not from the
measurement: what safety last sent is what the robot will do, so every motion continues it without
a jump, and measurement noise never enters the command. The measurement enters only through the
disturbance observer, which moves the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import DiffusionControlError
from diffusion_control.robots.state import RobotState
from diffusion_control.solvers.protocol import FAILED, USABLE
from diffusion_control.tracking.formulation import UNCONSTRAINED, HorizonSolution
from diffusion_control.tracking.hand_over import WaitingSlot
from diffusion_control.tracking.history import CommandHistory
from diffusion_control.tracking.model import Model
from diffusion_control.tracking.parameters import TrackerParameters
from diffusion_control.tracking.protocol import (
    STAGES,
    Reference,
    TrackerOutput,
    TrackerReport,
)
from diffusion_control.tracking.reference import ReferenceWindow
from diffusion_control.trajectory.trajectory import Sample, Trajectory

Array = NDArray[np.float64]
OLD_STATE_S = 0.2
ANSWERS = (UNCONSTRAINED, *USABLE)


class Policy(Protocol):
    """Chooses the accelerations of a horizon."""

    solver_name: str

    def choose(
        self, problem: Any, window: ReferenceWindow, shifted: Array | None
    ) -> tuple[HorizonSolution, str]:
        """Return the accelerations at knots 1..N-1, and the warm start that was used.

        Args:
            problem: The tick, as the robot's model poses it; its anchor is already filled.
            window: The reference with the plan's accelerations.
            shifted: Accelerations of the last solution at these knots, shape [N-1, m].
        """
        ...


@dataclass(frozen=True)
class _Start:
    """Where the motion starts, and how well the robot follows."""

    sample: Sample
    correction: Array
    error_rad: float
    follows: bool
    known: bool


class PipelineTracker:
    """A tracker around a policy.

    Args:
        robot: Needs joint_names and home_rad, and what its model needs.
        model: How this kind of robot moves.
        policy: What chooses the accelerations.
        parameters: Of the tracker.
    """

    def __init__(
        self, robot: Any, model: Model, policy: Policy, parameters: TrackerParameters
    ) -> None:
        self._robot, self.policy, self._parameters = robot, policy, parameters
        self._model, self._prediction = model, model.prediction
        self._clock = parameters.clock
        self._builder, self._observer = model.builder, model.observer
        self._reference = model.clock
        self._slot = WaitingSlot()
        self._history = CommandHistory()
        self._knots = np.concatenate(([0.0], model.prediction.times_s))
        self._padded = np.zeros((2 * model.prediction.steps + 2, model.inputs))
        self.reset()

    def reset(self) -> None:
        """Forget plan, phase, last solution and disturbance."""
        self._reference.reset()
        self._slot.reset()
        self._observer.reset()
        self._history.reset()
        self._last: Trajectory | None = None
        self._solved: tuple[float, Array] | None = None
        self._to_goal = False
        self._last_s = -np.inf

    def step(self, state: RobotState, reference: Reference, now_s: float) -> TrackerOutput:
        """Return the motion from C(now + lead) to rest, and how it came about; never raises.

        Args:
            state: The measurement; used by the observer and to see whether the robot follows.
            reference: Plan, committed motion, time scale.
            now_s: ROS time [s].
        """
        marks = [self._clock()]
        tau_s = now_s + self._parameters.lead_s
        start = self._start(state, reference.committed, now_s, tau_s)
        marks.append(self._clock())
        window = self._window(start, reference, tau_s)
        marks.append(self._clock())
        shifted = self._shifted(tau_s)
        problem = self._problem(start, window, shifted)
        marks.append(self._clock())
        solution, choice = self._choose(problem, window, shifted)
        marks.append(self._clock())
        motion, source = self._check(tau_s, start, problem, solution)
        marks.append(self._clock())
        self._last = motion
        return TrackerOutput(motion, TrackerReport(
            solver=self.policy.solver_name, solve_ok=source == 'solution' and start.known,
            status=solution.status if start.known else 'no_state', source=source,
            iterations=solution.iterations, warm_start_choice=choice,
            stage_s={name: marks[k + 1] - marks[k] for k, name in enumerate(STAGES)},
            saturation=float(solution.active.mean()), torque_active=solution.torque_active,
            slack_nm=solution.slack_nm, phase_s=window.phase_s, time_scale=window.rate,
            plan_waiting=self._slot.waiting, plan_lost=window.lost,
            tracking_error_rad=start.error_rad, reference_error_rad=window.error_rad,
            correction_rad=float(np.abs(start.correction).max())))

    def _start(
        self, state: RobotState, committed: Trajectory | None, now_s: float, tau_s: float
    ) -> _Start:
        measured = np.asarray(state.position, dtype=float)
        joints = len(self._robot.joint_names)
        seen = measured.shape == (joints,) and bool(np.isfinite(measured).all())
        elapsed, self._last_s = now_s - self._last_s, now_s
        if committed is None:
            position = measured if seen else np.asarray(self._robot.home_rad, dtype=float)
            rest = np.zeros(joints)
            return _Start(
                Sample(position.copy(), rest, rest), self._observer.correction, 0.0, True, seen)
        self._history.add(committed)
        here = self._model.sample(committed, tau_s)
        if not seen:
            return _Start(here, self._observer.correction, 0.0, False, True)
        fresh = now_s - OLD_STATE_S <= state.stamp_s <= now_s
        measured_s = state.stamp_s if fresh else now_s
        then_s = measured_s - self._parameters.command_delay_s
        commanded = self._model.sample(self._history.motion_at(then_s), then_s)
        correction = self._observer.update(
            commanded.position, commanded.velocity, measured, elapsed)
        error = float(np.abs(self._observer.error(commanded.position, measured)).max())
        return _Start(here, correction, error, error <= self._parameters.follow_rad, True)

    def _window(self, start: _Start, reference: Reference, tau_s: float) -> ReferenceWindow:
        plain = self._model.seen(start.sample, start.correction)
        current = self._slot.current(reference.plan, tau_s)
        self._reference.take(self._model.plan(current, plain), tau_s)
        goal, moves = reference.goal_rad, start.follows and reference.time_scale > 0.0
        self._to_goal = current is None and goal is not None and moves
        if goal is not None and self._to_goal:
            return self._model.goal(goal, plain)
        return self._reference.window(
            tau_s, plain, reference.committed, reference.time_scale, follows=start.follows)

    def _shifted(self, tau_s: float) -> Array | None:
        """Return the accelerations of the last solution at this tick's knots 1..N-1.

        They are linear between knots, and 0 after the last one.
        """
        dt, count = self._prediction.dt_s, self._prediction.steps - 1
        if self._solved is None or not 0.0 <= tau_s - self._solved[0] < count * dt:
            return None
        whole, share = divmod((tau_s - self._solved[0]) / dt, 1.0)
        self._padded[:count + 2] = self._solved[1]
        rows = self._padded[1 + int(whole):]
        return (1.0 - share) * rows[:count] + share * rows[1:count + 1]

    def _problem(
        self, start: _Start, window: ReferenceWindow, shifted: Array | None
    ) -> Any:
        follows_plan = self._to_goal or (
            self._reference.plan is not None and not window.lost)
        return self._model.problem(
            start.sample, window, start.correction if follows_plan else None, shifted)

    def _choose(
        self, problem: Any, window: ReferenceWindow, shifted: Array | None
    ) -> tuple[HorizonSolution, str]:
        try:
            return self.policy.choose(problem, window, shifted)
        except (DiffusionControlError, ValueError, ArithmeticError, np.linalg.LinAlgError):
            inputs, joints = self._prediction.steps - 1, self._model.inputs
            nothing = HorizonSolution(
                np.zeros((inputs, joints)), FAILED, 0, np.zeros(joints, dtype=np.bool_))
            return nothing, 'cold'

    def _check(
        self, tau_s: float, start: _Start, problem: Any, solution: HorizonSolution
    ) -> tuple[Trajectory, str]:
        """Return the motion and where it comes from: solution, shifted or stop."""
        here = start.sample
        if solution.status in ANSWERS and np.isfinite(solution.acceleration).all():
            position, velocity, acceleration, inputs = self._model.motion(
                problem, solution.acceleration)
            if self._builder.inside(here, position, velocity, acceleration):
                motion = self._builder.horizon(
                    tau_s, self._knots, position, velocity, acceleration)
                if motion is not None:
                    self._solved = (tau_s, inputs)
                    return motion, 'solution'
        self._solved = None
        shifted = self._builder.shifted(tau_s, here, self._last)
        if shifted is not None:
            return shifted, 'shifted'
        return self._builder.stop(tau_s, here), 'stop'
