# SPDX-License-Identifier: Apache-2.0
"""Trackers by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from diffusion_control.errors import require_known
from diffusion_control.robots.limits import DROOP_RAD, JointLimits
from diffusion_control.tracking.bounds import HorizonBounds
from diffusion_control.tracking.condensed import CondensedFormulation
from diffusion_control.tracking.cost import TrackingCost
from diffusion_control.tracking.model import JointModel
from diffusion_control.tracking.motion import MAX_POINTS
from diffusion_control.tracking.mpc import MpcPolicy
from diffusion_control.tracking.parameters import TrackerParameters
from diffusion_control.tracking.pd import PdPolicy
from diffusion_control.tracking.pipeline import PipelineTracker, Policy
from diffusion_control.tracking.prediction import Prediction
from diffusion_control.tracking.protocol import Tracker
from diffusion_control.tracking.torque import TorqueFormulation
from diffusion_control.tracking.unicycle import BASE_TRACKERS, make_base

Maker = Callable[[Any, JointLimits, Prediction, TrackerParameters], Policy]


def _mpc(formulation: Any, *, dynamics: bool = False) -> Maker:
    def build(
        robot: Any, limits: JointLimits, prediction: Prediction, parameters: TrackerParameters
    ) -> Policy:
        cost = TrackingCost(prediction, parameters.weights())
        bounds = HorizonBounds(
            limits, prediction.steps, prediction.dt_s, parameters.braking_fraction)
        posed = formulation(
            prediction, cost, limits, bounds, max_iterations=parameters.max_iterations,
            **({'robot': robot} if dynamics else {}))
        return MpcPolicy(prediction, cost, limits, posed, parameters.warm_start)
    return build


def _sparse(*given: Any, **named: Any) -> Any:
    """Return the formulation of OSQP, which takes a quarter of a second to import."""
    from diffusion_control.tracking.sparse import SparseFormulation
    return SparseFormulation(*given, **named)


def _pd(
    robot: Any, limits: JointLimits, prediction: Prediction, parameters: TrackerParameters
) -> Policy:
    return PdPolicy(prediction, limits)


TRACKERS: dict[str, Maker] = {
    'mpc': _mpc(CondensedFormulation),
    'mpc_osqp': _mpc(_sparse),
    'mpc_torque': _mpc(TorqueFormulation, dynamics=True),
    'pd': _pd,
}


def available() -> list[str]:
    """Return the names of all trackers."""
    return sorted({*TRACKERS, *BASE_TRACKERS})


def make(name: str, *, robot: Any, dt_s: float | None = None, **params: Any) -> Tracker:
    """Return a tracker by name.

    Args:
        name: One of `available()`; a base has `mpc` and `pd`.
        robot: The robot it drives.
        dt_s: Time between knots of the prediction [s] (`mpc.dt_s`); the rate of calls is free.
            None: as suits the kind of robot (arm 0.02, base 0.05).
        **params: The other fields of `TrackerParameters` (of a base: `BaseTrackerParameters`),
            with or without the prefix `mpc.`.

    Raises:
        ConfigurationError: Unknown name, unknown parameter, or a value outside its range.
    """
    require_known('unknown tracker', 'tracker.type', name, available())
    if dt_s is not None:
        params = {**params, 'dt_s': dt_s}
    return KINDS[robot.kind](name, robot, params)


def _arm(name: str, robot: Any, params: dict[str, Any]) -> Tracker:
    require_known('this tracker is not for an arm', 'tracker.type', name, sorted(TRACKERS))
    parameters = TrackerParameters.read(params)
    prediction = Prediction(parameters.horizon_steps, parameters.dt_s)
    return tracker_with(name, robot, prediction, parameters)


def tracker_with(
    name: str, robot: Any, prediction: Prediction, parameters: TrackerParameters, *,
    max_points: int = MAX_POINTS,
) -> PipelineTracker:
    """Return a tracker with a prediction of any length, for measurements.

    Args:
        name: One of `available()`.
        robot: The robot it drives.
        prediction: Takes the place of the parameters' horizon.
        parameters: Of the tracker.
        max_points: Longest motion; the wire takes 40.
    """
    limits = robot.limits.scaled(parameters.limits_scale).inset(DROOP_RAD)
    policy = TRACKERS[name](robot, limits, prediction, parameters)
    model = JointModel(robot, limits, prediction, parameters, max_points=max_points)
    return PipelineTracker(robot, model, policy, parameters)


KINDS: dict[str, Callable[[str, Any, dict[str, Any]], Tracker]] = {
    'arm': _arm, 'base': make_base}


def settings_for(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return node parameters without those at their default, where that is another kind's.

    The declared defaults of `mpc.*` are the arm's; left there, they mean those of this kind.

    Args:
        kind: Of the robot that is driven.
        values: Fields of `TrackerParameters`, with or without the prefix `mpc.`.
    """
    if kind == 'arm':
        return values
    usual = {field.name: field.default for field in fields(TrackerParameters)}
    return {name: value for name, value in values.items()
            if value != usual.get(name.removeprefix('mpc.'))}
