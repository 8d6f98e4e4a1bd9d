# SPDX-License-Identifier: Apache-2.0
"""What the monitor says in each tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from diffusion_control.safety.outputs import CommandSample
from diffusion_control.trajectory.trajectory import Trajectory

FOLLOWED, FILTERED, SLOWED = 'followed', 'filtered', 'slowed'
TAIL, BRAKE, STAND = 'tail', 'brake', 'hold'


@dataclass(frozen=True)
class Counters:
    """Totals since construction.

    Attributes:
        ticks: Calls of `step`.
        interventions: Ticks in which the command differs from the tracker's by > 1e-3 rad/s.
        filtered: Ticks in which the barriers changed the tracker's motion.
        slowed: Ticks in which a slower motion than the tracker's was sent.
        fallback_ticks: Ticks in which the stored tail was sent for lack of a verified step.
        tail_invalidated: Ticks in which an obstacle made the stored tail fail its check.
        stood_in_contact: Ticks in which the robot stood nearer to something than nothing.
        malformed: Inputs refused (NaN, Inf, shape, type, names).
        errors: Unexpected exceptions, each turned into EMERGENCY.
        refused: Reason codes of the tracker's motions that were not followed.
    """

    ticks: int = 0
    interventions: int = 0
    filtered: int = 0
    slowed: int = 0
    fallback_ticks: int = 0
    tail_invalidated: int = 0
    stood_in_contact: int = 0
    malformed: int = 0
    errors: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SafetyDecision:
    """The decision of one tick.

    Attributes:
        state: NOMINAL, DEGRADED, FALLBACK, STOPPING, HOLD or EMERGENCY.
        cause: Why, in words with values.
        command: The committed motion from now on, complete to rest, at most 40 points; None only
            before the robot was first seen at rest.
        verified: The command passed the check in this tick. (A stored tail passed it when it was
            committed; False says that the world has changed against it since.)
        h_min: Least distance minus margin and deviation over the command [m].
        slack: Largest softening of a barrier [m/s]; 0 where all hold.
        reason_code: Stable code of the cause.
        response: What the robot does about the cause, in words.
        action: `followed`, `filtered`, `slowed`, `tail`, `brake` or `hold`.
        clearance_m: Least distance now [m].
        tail_s: Time until the robot stands if nothing more is sent [s].
        mode: Whom the tracker follows: `planner`, `fallback` or `stop`.
        time_scale: Speed along the reference as a share of the planned one.
        intervention: The command differs from the tracker's by more than 1e-3 rad/s.
        send: Whether anything may be published: not in shadow, nor after an own gap.
        sample: The set-point for receivers of single samples; None where `command` is sent.
        refusal: Why the tracker's motion was not followed; empty if it was.
        reset_refusal: Why a requested reset was refused; empty if it was not.
        input_age_s: Ages of the inputs [s].
        counters: Totals.
    """

    state: str
    cause: str
    command: Trajectory | None
    verified: bool
    h_min: float
    slack: float
    reason_code: str
    response: str
    action: str
    clearance_m: float
    tail_s: float
    mode: str
    time_scale: float
    intervention: bool
    send: bool
    sample: CommandSample | None
    refusal: str
    reset_refusal: str
    input_age_s: Mapping[str, float | None]
    counters: Counters

    def text(self) -> str:
        """Return cause and response, as `joint_states stale 52 ms > 50 ms -> braking, hold`."""
        return f'{self.cause} -> {self.response}'
