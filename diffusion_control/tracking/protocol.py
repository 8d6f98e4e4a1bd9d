# SPDX-License-Identifier: Apache-2.0
"""What goes into a tracker and what comes out, whatever its formulation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.state import RobotState
from diffusion_control.trajectory.trajectory import Trajectory

STAGES: tuple[str, ...] = ('state', 'reference', 'build', 'solve', 'check')
WARM_STARTS: tuple[str, ...] = ('best', 'plan', 'shifted', 'cold')


@dataclass(frozen=True)
class Reference:
    """What the tracker follows in one tick.

    Attributes:
        plan: The admitted plan; None = hold (finish the committed motion and stand).
        committed: What safety last sent to the robot, C(t); None before the first command.
        time_scale: Rate at which the plan is followed: 1 as planned, 0 stop on the path.
        obstacles: What was last seen of them; trackers may use it, the MPC does not.
        goal_rad: Where there is no plan: go to this configuration, shape [n], by the tracker's
            own optimisation alone; it knows limits, but no obstacles. Of a base: x, y, yaw,
            where a yaw that is not a number is free.
    """

    plan: Trajectory | None = None
    committed: Trajectory | None = None
    time_scale: float = 1.0
    obstacles: tuple[Obstacle, ...] = ()
    goal_rad: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class TrackerReport:
    """How one tick went.

    Attributes:
        solver: Name of the solver that was asked.
        solve_ok: The motion comes from a checked solution; False = shifted last motion or stop.
        status: `unconstrained`, `solved`, `suboptimal`, or why the solution was not used.
        source: Where the motion comes from: `solution`, `shifted` or `stop`.
        iterations: Of the solver; 0 where the unconstrained optimum was already inside.
        warm_start_choice: `plan`, `shifted` or `cold`.
        stage_s: Time of each of `STAGES` by the injected clock [s].
        saturation: Share of the joints that have an active limit in the prediction, in [0, 1].
        torque_active: A torque row was active, so the joints were solved together.
        slack_nm: Relaxation of the torque rows [Nm].
        phase_s: Position on the plan, in the plan's own time [s]; 0 without a plan.
        time_scale: Rate at which the plan is followed now, in [0, 1].
        plan_waiting: A plan that starts in the future waits in its slot.
        plan_lost: The robot is too far from the plan; it holds instead of following.
        tracking_error_rad: max |C(now - delay) - measured position| [rad].
        reference_error_rad: max |C(tau) - reference(tau)| [rad].
        correction_rad: Largest position correction by the disturbance observer [rad].
    """

    solver: str
    solve_ok: bool
    status: str
    source: str
    iterations: int
    warm_start_choice: str
    stage_s: dict[str, float] = field(default_factory=dict)
    saturation: float = 0.0
    torque_active: bool = False
    slack_nm: float = 0.0
    phase_s: float = 0.0
    time_scale: float = 0.0
    plan_waiting: bool = False
    plan_lost: bool = False
    tracking_error_rad: float = 0.0
    reference_error_rad: float = 0.0
    correction_rad: float = 0.0


@dataclass(frozen=True)
class TrackerOutput:
    """A complete motion that starts on the committed one and ends at rest, and its report."""

    motion: Trajectory
    report: TrackerReport


@runtime_checkable
class Tracker(Protocol):
    """Turns a plan into the next motion, once per tick; never raises on what it is given."""

    def step(self, state: RobotState, reference: Reference, now_s: float) -> TrackerOutput:
        """Return the motion that starts at now + lead, and how it came about."""
        ...

    def reset(self) -> None:
        """Forget plan, phase, last solution and disturbance."""
        ...
