# SPDX-License-Identifier: Apache-2.0
"""Trackers of a base by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from diffusion_control.errors import require_known
from diffusion_control.tracking.pipeline import PipelineTracker, Policy
from diffusion_control.tracking.prediction import Prediction
from diffusion_control.tracking.twist_limits import TwistLimits
from diffusion_control.tracking.unicycle_model import UnicycleModel
from diffusion_control.tracking.unicycle_mpc import UnicycleMpc
from diffusion_control.tracking.unicycle_parameters import BaseTrackerParameters
from diffusion_control.tracking.unicycle_pd import UnicyclePd
from diffusion_control.tracking.unicycle_problem import Horizon

Maker = Callable[[Horizon, TwistLimits, BaseTrackerParameters], Policy]
LONGEST_DELAY_S = 0.2


def _pd(horizon: Horizon, limits: TwistLimits, parameters: BaseTrackerParameters) -> Policy:
    return UnicyclePd(horizon, limits)


BASE_TRACKERS: dict[str, Maker] = {'mpc': UnicycleMpc, 'pd': _pd}


def make_base(name: str, robot: Any, params: dict[str, Any]) -> PipelineTracker:
    """Return the tracker of a base; the delay of its commands includes the motors' lag.

    Args:
        name: One of `BASE_TRACKERS`.
        robot: A base: drive, plant, limits, joint_names, base_frame.
        params: Fields of `BaseTrackerParameters`.

    Raises:
        ConfigurationError: Unknown name or parameter, or a value outside its range.
    """
    require_known(
        'this tracker is not for a base', 'tracker.type', name, sorted(BASE_TRACKERS))
    parameters = BaseTrackerParameters.read(params)
    parameters = replace(parameters, command_delay_s=min(
        parameters.command_delay_s + robot.plant.motor_lag_s, LONGEST_DELAY_S))
    limits = TwistLimits(robot, parameters.limits_scale)
    prediction = Prediction(parameters.horizon_steps, parameters.dt_s)
    model = UnicycleModel(robot, limits, prediction, parameters)
    policy = BASE_TRACKERS[name](model.horizon, limits, parameters)
    return PipelineTracker(robot, model, policy, parameters)
