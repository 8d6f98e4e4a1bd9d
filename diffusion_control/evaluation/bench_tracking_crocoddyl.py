# SPDX-License-Identifier: Apache-2.0
"""Crocoddyl's BoxFDDP as a peer of part `quality`, asked through a process of its own.

The peer needs `pin==4.0.0` and so an environment of its own (`benchmarks/peers/README.md`); the
variable `DIFFUSION_CONTROL_CROCODDYL` names its python. It is given the window of `mpc`, starts
where `mpc` starts and has the same observer; what it answers is sent as it is, its limits being
penalties and boxes of its own. Its accelerations are constant between knots: ours at a knot is
the mean of both sides.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import MissingDependencyError
from diffusion_control.robots.limits import DROOP_RAD
from diffusion_control.solvers.protocol import SOLVED
from diffusion_control.tracking.formulation import HorizonSolution
from diffusion_control.tracking.model import JointModel
from diffusion_control.tracking.motion import MotionBuilder
from diffusion_control.tracking.parameters import TrackerParameters
from diffusion_control.tracking.pipeline import PipelineTracker
from diffusion_control.tracking.prediction import HorizonProblem, Prediction
from diffusion_control.tracking.reference import ReferenceWindow
from diffusion_control.trajectory.trajectory import Sample

Array = NDArray[np.float64]
VARIABLE = 'DIFFUSION_CONTROL_CROCODDYL'
SCRIPT = Path(__file__).resolve().parents[2] / 'benchmarks' / 'peers' / 'crocoddyl_tracker.py'
NAMES = {'crocoddyl 1 iteration': 1, 'crocoddyl converged': 100}
WEIGHTS: dict[str, float] = {'position': 1.0, 'velocity': 1e-3, 'input': 1e-9, 'limits': 10.0}


class CrocoddylPolicy:
    """Ask the peer; a context manager that ends it.

    Args:
        robot: The arm.
        parameters: Of the tracker: knots and the share of the limits.
        iterations: At most.
        weights: Of the peer's cost.

    Raises:
        MissingDependencyError: The peer is not installed, or its dynamics are not ours.
    """

    solver_name = 'crocoddyl'

    def __init__(
        self, robot: Any, parameters: TrackerParameters, iterations: int,
        weights: Mapping[str, float] = WEIGHTS,
    ) -> None:
        python = os.environ.get(VARIABLE, '')
        if not python or not Path(python).exists() or not SCRIPT.exists():
            raise MissingDependencyError(
                'crocoddyl is not installed', where=VARIABLE, value=python or 'not set',
                allowed='the python of an environment with crocoddyl and pin==4.0.0',
                remedy='see benchmarks/peers/README.md')
        self._dt_s, self._shape = parameters.dt_s, (parameters.horizon_steps, robot.dof)
        self._errors = tempfile.TemporaryFile()
        environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
        self._process = subprocess.Popen(
            [python, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors, env=environment)
        self._out, self._in = self._process.stdin, self._process.stdout
        self.cpu_s: list[float] = []
        self._started, self._elapsed_s = False, 0.01
        self._begin(question(robot, parameters, iterations, weights))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *why: object) -> None:
        """End the peer."""
        assert self._out is not None
        with contextlib.suppress(BrokenPipeError):
            self._out.close()
        self._process.terminate()
        self._process.wait()
        self._errors.close()

    def choose(
        self, problem: HorizonProblem, window: ReferenceWindow, shifted: Array | None
    ) -> tuple[HorizonSolution, str]:
        """Return the peer's accelerations at knots 1..N-1, the mean of both sides of a knot."""
        elapsed = self._elapsed_s if self._started else -1.0
        self._started = True
        offset = problem.reference_position - window.position[1:]
        position = window.position + offset[0]
        answer = self._ask(np.concatenate((
            [elapsed], problem.position, problem.velocity, position.ravel(),
            window.velocity.ravel(), window.acceleration.ravel())))
        rates = answer[2:].reshape(self._shape)
        self.cpu_s.append(float(answer[1]))
        return HorizonSolution(
            0.5 * (rates[:-1] + rates[1:]), SOLVED, int(answer[0]),
            np.zeros(self._shape[1], dtype=np.bool_)), 'shifted'

    def _begin(self, asked: dict[str, Any]) -> None:
        assert self._out is not None and self._in is not None
        self._out.write(json.dumps(asked).encode() + b'\n')
        self._out.flush()
        said = self._in.readline()
        problem = json.loads(said).get('error') if said else self._last_words()
        if problem is not None:
            self.__exit__()
            raise MissingDependencyError(
                'crocoddyl cannot be used', where=VARIABLE, value=problem,
                allowed='crocoddyl with pin==4.0.0', remedy='see benchmarks/peers/README.md')

    def _ask(self, frame: Array) -> Array:
        assert self._out is not None and self._in is not None
        self._out.write(frame.tobytes())
        self._out.flush()
        size = 8 * (2 + self._shape[0] * self._shape[1])
        data = self._in.read(size)
        if len(data) < size:
            raise MissingDependencyError(
                'crocoddyl ended', where=VARIABLE, value=self._last_words())
        return np.frombuffer(data)

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors='replace').strip().splitlines()
        return lines[-1] if lines else 'it said nothing'


class _AsItIs(MotionBuilder):
    """Takes any finite motion."""

    def inside(self, start: Sample, position: Array, velocity: Array, acceleration: Array) -> bool:
        """Return whether everything is finite."""
        return bool(np.isfinite(position).all() and np.isfinite(acceleration).all())


def question(
    robot: Any, parameters: TrackerParameters, iterations: int, weights: Mapping[str, float]
) -> dict[str, Any]:
    """Return the first line for the peer: robot, limits as the trackers use them, weights."""
    limits = robot.limits.scaled(parameters.limits_scale).inset(DROOP_RAD)
    return {
        'urdf': robot.urdf_text, 'joint_names': list(robot.joint_names),
        'locked': robot.locked_joints, 'position': list(robot.home_rad),
        'gravity_nm': robot.bias(np.asarray(robot.home_rad), np.zeros(robot.dof)).tolist(),
        'steps': parameters.horizon_steps, 'dt_s': parameters.dt_s, 'iterations': iterations,
        'weights': dict(weights), **{name: getattr(limits, name).tolist() for name in (
            'lower_rad', 'upper_rad', 'velocity_rad_s', 'torque_nm')}}


def tracker_around(robot: Any, policy: CrocoddylPolicy) -> PipelineTracker:
    """Return the tracker whose motions are the peer's."""
    parameters = TrackerParameters()
    limits = robot.limits.scaled(parameters.limits_scale).inset(DROOP_RAD)
    model = JointModel(
        robot, limits, Prediction(parameters.horizon_steps, parameters.dt_s), parameters)
    model.builder = _AsItIs(limits, tuple(robot.joint_names), robot.base_frame)
    return PipelineTracker(robot, model, policy, parameters)
