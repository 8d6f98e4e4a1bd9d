# SPDX-License-Identifier: Apache-2.0
"""What a planner is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError, DiffusionControlError
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.state import RobotState
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
REASONS = ('goal_unreachable', 'goal_in_collision', 'no_path')


class PlanningError(DiffusionControlError):
    """A goal or scene for which there is no plan; `reason` is one of `REASONS`."""

    def __init__(self, reason: str, what: str, **details: Any) -> None:
        self.reason = reason
        super().__init__(what, **details)


@dataclass(frozen=True)
class Start:
    """The exact beginning of a plan: time [s], position, velocity, acceleration, each [n]."""

    stamp_s: float
    position: Array
    velocity: Array
    acceleration: Array

    @property
    def at_rest(self) -> bool:
        """Whether the robot stands (every speed below 1e-3 rad/s)."""
        return float(np.abs(self.velocity).max()) < 1e-3


@dataclass(frozen=True)
class PlanningProblem:
    """One question to a planner.

    Attributes:
        state: State of the robot at `start_s`, as predicted by the caller.
        goal: Joint goal or tool pose.
        obstacles: In the base frame, as seen at `start_s`; movers with their velocity.
        map: Occupancy map of a base, in `odom`; None for an arm.
        horizon_s: Longest duration of a plan [s].
        dt_s: Wanted spacing of knots where the planner has a choice [s].
        frozen_prefix: Motion that will be executed whatever comes: the plan begins where and
            when it ends.
        previous: The plan that is followed now, for the warm start and the keep rule.
        condition: Further inputs of learned planners.
        start_s: ROS time at which the plan begins [s]; None = stamp of the state.
        acceleration: Acceleration at the start [rad/s^2], shape [n]; None = 0.
        scan: What a base's laser saw, in `odom`; None for an arm.
    """

    state: RobotState
    goal: Goal
    obstacles: tuple[Obstacle, ...] = ()
    map: Any = None
    horizon_s: float = 30.0
    dt_s: float = 0.05
    frozen_prefix: Trajectory | None = None
    previous: Trajectory | None = None
    condition: dict[str, Any] | None = None
    start_s: float | None = None
    acceleration: Array | None = None
    scan: Any = None

    def __post_init__(self) -> None:
        """Refuse states that are not finite and horizons that are not positive."""
        for name in ('position', 'velocity'):
            if not np.isfinite(getattr(self.state, name)).all():
                raise ConfigurationError(
                    f'{name} of the start is not finite', where=f'PlanningProblem.state.{name}',
                    value=getattr(self.state, name), allowed='finite numbers')
        if self.acceleration is not None and not np.isfinite(self.acceleration).all():
            raise ConfigurationError(
                'acceleration of the start is not finite', where='PlanningProblem.acceleration',
                value=self.acceleration, allowed='finite numbers')
        if not self.horizon_s > 0:
            raise ConfigurationError(
                'the horizon must be positive', where='PlanningProblem.horizon_s',
                value=self.horizon_s, allowed='> 0 s')

    @property
    def start(self) -> Start:
        """Where and when the plan begins: at the end of the frozen prefix, or at the state."""
        prefix = self.frozen_prefix
        if prefix is not None:
            return Start(
                prefix.end_s, prefix.position[-1], prefix.velocity[-1], prefix.acceleration[-1])
        stamp = self.state.stamp_s if self.start_s is None else self.start_s
        position = np.asarray(self.state.position, dtype=float)
        acceleration = np.zeros_like(position)
        if self.acceleration is not None:
            acceleration = np.asarray(self.acceleration, dtype=float)
        return Start(stamp, position, np.asarray(self.state.velocity, dtype=float), acceleration)


@dataclass(frozen=True)
class PlanSet:
    """K candidate motions, best first, each at rest at its end.

    Attributes:
        candidates: The motions, each of at most 40 knots.
        scores: Higher is better, shape [K]: minus the duration [s] of a free motion, far lower
            for one that collides.
        best: Index of the best candidate, or None if none of them is free.
        costs: Terms by name, each of shape [K].
        evaluations: Roll-outs (or network evaluations) that were spent.
        latency_s: Time from question to answer [s].
        source: Where the best candidate came from (`training_free`, `classical`, ...).
        seed: Seed of the planner's random numbers.
    """

    candidates: tuple[Trajectory, ...]
    scores: Array
    best: int | None
    costs: dict[str, Array] = field(default_factory=dict)
    evaluations: int = 0
    latency_s: float = 0.0
    source: str = ''
    seed: int = 0

    @property
    def trajectory(self) -> Trajectory | None:
        """The best candidate, or None."""
        return None if self.best is None else self.candidates[self.best]
