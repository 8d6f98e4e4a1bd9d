# SPDX-License-Identifier: Apache-2.0
"""What of a tracker depends on the kind of robot: how it moves, drifts, stops and is compared.

`PipelineTracker` is the same for all robots; this is the arm's model (joints that each are a
double integrator behind a position drive). The base's is `unicycle_model.py`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.tracking.motion import MAX_POINTS, MotionBuilder
from diffusion_control.tracking.observer import DisturbanceObserver
from diffusion_control.tracking.parameters import TrackerParameters
from diffusion_control.tracking.prediction import HorizonProblem, Prediction
from diffusion_control.tracking.reference import ReferenceClock, ReferenceWindow, goal_window
from diffusion_control.trajectory.trajectory import Sample, Trajectory

Array = NDArray[np.float64]


class Observer(Protocol):
    """Estimates where the robot really is, beside what was commanded."""

    correction: Array

    def reset(self) -> None:
        """Forget everything."""
        ...

    def error(self, commanded: Array, measured: Array) -> Array:
        """Return commanded minus measured position, in the units that errors are compared in."""
        ...

    def update(
        self, commanded: Array, velocity: Array, measured: Array, elapsed_s: float
    ) -> Array:
        """Return the correction after one more measurement."""
        ...


class Model(Protocol):
    """How one kind of robot moves; N steps of dt, m inputs."""

    inputs: int
    prediction: Prediction
    clock: ReferenceClock
    builder: MotionBuilder
    observer: Observer

    def plan(self, plan: Trajectory | None, here: Sample) -> Trajectory | None:
        """Return the plan as this robot follows it from `here`; one object for one plan."""
        ...

    def sample(self, motion: Trajectory, at_s: float) -> Sample:
        """Return the state of a motion at a ROS time [s], as `Trajectory.sample`."""
        ...

    def seen(self, here: Sample, correction: Array) -> Sample:
        """Return where the robot will be when its command is `here`."""
        ...

    def goal(self, goal: Array, here: Sample) -> ReferenceWindow:
        """Return the reference straight to a goal [n], for a tracker without a plan."""
        ...

    def problem(
        self, here: Sample, window: ReferenceWindow, correction: Array | None,
        shifted: Array | None,
    ) -> Any:
        """Return the horizon problem, the reference moved by the correction (None: left)."""
        ...

    def motion(self, problem: Any, inputs: Array) -> tuple[Array, Array, Array, Array]:
        """Return positions, velocities, accelerations, [N+1, n] each, and all inputs [N+1, m].

        Args:
            problem: What `problem` returned.
            inputs: Accelerations at knots 1..N-1, shape [N-1, m].
        """
        ...


class JointModel:
    """An arm: n independent double integrators, and the torque they take.

    Args:
        robot: Needs joint_names, base_frame, mass_matrix(q), bias(q, v).
        limits: What the motions keep.
        prediction: The prediction maps.
        parameters: Of the tracker.
        max_points: Longest motion.
    """

    def __init__(
        self, robot: Any, limits: JointLimits, prediction: Prediction,
        parameters: TrackerParameters, *, max_points: int = MAX_POINTS,
    ) -> None:
        self._robot, self.prediction = robot, prediction
        self.inputs = len(robot.joint_names)
        self.builder = MotionBuilder(
            limits, tuple(robot.joint_names), robot.base_frame, max_points=max_points)
        self.observer: Observer = DisturbanceObserver(
            self.inputs, enabled=parameters.observer,
            time_constant_s=parameters.observer_time_constant_s,
            bound_rad=parameters.observer_bound_rad, ignore_rad=parameters.follow_rad)
        self.clock = ReferenceClock(
            prediction.steps, prediction.dt_s, scale_rate=parameters.scale_rate)

    def plan(self, plan: Trajectory | None, here: Sample) -> Trajectory | None:
        """Return the plan."""
        return plan

    def sample(self, motion: Trajectory, at_s: float) -> Sample:
        """Return the state of a motion at a ROS time [s]."""
        return motion.sample(at_s)

    def seen(self, here: Sample, correction: Array) -> Sample:
        """Return the command less the drive's position error."""
        return Sample(here.position - correction, here.velocity, here.acceleration)

    def goal(self, goal: Array, here: Sample) -> ReferenceWindow:
        """Return the reference that stands ahead on the straight line of the joints."""
        return goal_window(goal, here, self.prediction.steps)

    def problem(
        self, here: Sample, window: ReferenceWindow, correction: Array | None,
        shifted: Array | None,
    ) -> HorizonProblem:
        """Return the problem with mass and bias at its start."""
        offset = 0.0 if correction is None else correction
        return HorizonProblem(
            here.position, here.velocity, here.acceleration,
            window.position[1:] + offset, window.velocity[1:],
            window.acceleration[1:-1] if shifted is None else shifted,
            self._robot.mass_matrix(here.position),
            self._robot.bias(here.position, here.velocity))

    def motion(self, problem: Any, inputs: Array) -> tuple[Array, Array, Array, Array]:
        """Return positions, velocities and accelerations at knots 0..N; inputs are the last."""
        position, velocity, acceleration = self.prediction.motion(problem, inputs)
        return position, velocity, acceleration, acceleration
