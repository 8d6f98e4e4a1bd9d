# SPDX-License-Identifier: Apache-2.0
"""The state machine: NOMINAL, DEGRADED, FALLBACK, STOPPING, HOLD, EMERGENCY.

`advance` is a pure function of (machine, health, time step). A worse finding acts in the same
tick; a better state is entered only after `recovery_cycles` ticks in a row without a finding as
bad as the present state, and out of a stop only over HOLD, that is from standing. EMERGENCY is
left by the operator's reset alone, at rest and with its cause gone, and leads to HOLD.

    NOMINAL < DEGRADED < FALLBACK < STOPPING -> HOLD < EMERGENCY
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from diffusion_control.safety.health import Health, Thresholds
from diffusion_control.safety.rules import (
    OWN_GAP,
    UNVERIFIED,
    Finding,
    Level,
    PlanWatch,
    emergencies,
    plan_expected,
    plans,
    stops,
)

NOMINAL, DEGRADED, FALLBACK = 'NOMINAL', 'DEGRADED', 'FALLBACK'
STOPPING, HOLD, EMERGENCY = 'STOPPING', 'HOLD', 'EMERGENCY'
STATES = (NOMINAL, DEGRADED, FALLBACK, STOPPING, HOLD, EMERGENCY)
LEVEL = {NOMINAL: Level.NOMINAL, DEGRADED: Level.DEGRADED, FALLBACK: Level.FALLBACK,
         STOPPING: Level.STOPPING, HOLD: Level.STOPPING, EMERGENCY: Level.EMERGENCY}
ENTERED_AS = {Level.NOMINAL: NOMINAL, Level.DEGRADED: DEGRADED, Level.FALLBACK: FALLBACK,
              Level.STOPPING: STOPPING, Level.EMERGENCY: EMERGENCY}
ACTION = {
    NOMINAL: 'follow planner/plan', DEGRADED: 'last valid plan, slower',
    FALLBACK: 'follow fallback/plan', STOPPING: 'braking, hold', HOLD: 'stands',
    EMERGENCY: 'braking, stands until safety/reset'}
RECOVERED = 'recovered'


@dataclass(frozen=True)
class Machine:
    """The machine between two ticks; a new one begins in HOLD.

    Attributes:
        state: One of `STATES`.
        reason_code: Stable code of why it is in this state.
        cause: The same in words, with values and limits.
        action: What the robot does about it.
        good_cycles: Ticks in a row without a finding as bad as the state.
        in_state_s: Time in this state [s].
        running_s: Time since the clock last stood [s].
        seen: Whether fresh joint states, a fresh motion have ever been there.
        watch: What is remembered about the planner.
        reset_refusal: Why the last requested reset was refused; empty if it was not.
    """

    state: str = HOLD
    reason_code: str = 'start'
    cause: str = 'just started'
    action: str = ACTION[HOLD]
    good_cycles: int = 0
    in_state_s: float = 0.0
    running_s: float = math.inf
    seen: tuple[bool, bool] = (False, False)
    watch: PlanWatch = field(default_factory=PlanWatch)
    reset_refusal: str = ''

    @property
    def level(self) -> Level:
        """How bad the state is."""
        return LEVEL[self.state]

    @property
    def stopping(self) -> bool:
        """Whether the robot is to brake and stand."""
        return self.level >= Level.STOPPING

    @property
    def mode(self) -> str:
        """Whom the tracker follows: `planner`, `fallback` or `stop`.

        While it stands only because no step could be verified, the tracker keeps proposing:
        a motion that verifies is how this state ends.
        """
        source = 'fallback' if self.watch.lost else 'planner'
        if self.stopping:
            return source if self.state == HOLD and self.reason_code == UNVERIFIED else 'stop'
        return 'fallback' if self.state == FALLBACK else 'planner'

    @property
    def silent(self) -> bool:
        """Whether nothing may be sent: a monitor that was away must not go on as if it had not."""
        return self.state == EMERGENCY and self.reason_code == OWN_GAP

    def text(self) -> str:
        """Return cause and action, as `joint_states stale 52 ms > 50 ms -> braking, hold`."""
        return f'{self.cause} -> {self.action}'


def time_scale(machine: Machine, health: Health, limits: Thresholds) -> float:
    """Return the speed along the reference as a share of the planned one.

    Slower in DEGRADED, and in FALLBACK until the fallback's plan is there.
    """
    waiting = machine.state == FALLBACK and not (
        health.fallback_plan_age_s <= machine.in_state_s)
    return limits.degraded_time_scale if machine.state == DEGRADED or waiting else 1.0


def advance(machine: Machine, health: Health, dt_s: float, limits: Thresholds) -> Machine:
    """Return the machine after one tick.

    Args:
        machine: The machine after the tick before.
        health: What is known now.
        dt_s: Steady time since the tick before [s].
        limits: Thresholds.
    """
    running_s = 0.0 if health.clock_paused else machine.running_s + dt_s
    seen = (machine.seen[0] or health.state_age_s <= limits.state_stale_s,
            machine.seen[1] or health.motion_age_s <= limits.motion_stale_s)
    stop_findings = emergencies(health, limits, running_s, seen) + stops(health, limits)
    machine = Machine(
        machine.state, machine.reason_code, machine.cause, machine.action,
        machine.good_cycles + 1, machine.in_state_s + dt_s, running_s, seen,
        _expect(machine, health, dt_s, bool(stop_findings)))
    findings = stop_findings + plans(health, limits, machine.watch)
    if machine.state == EMERGENCY:
        moved = _emergency(machine, health, findings)
    else:
        moved = _transit(machine, health, findings, limits)
    return _remember_lost(moved, findings)


def _expect(machine: Machine, health: Health, dt_s: float, stopped: bool) -> PlanWatch:
    """Count how long a plan has been expected; a stop for another reason starts the count anew."""
    counting = plan_expected(health) and not stopped
    return PlanWatch(
        machine.watch.expected_s + dt_s if counting else 0.0, machine.watch.lost,
        machine.in_state_s + dt_s if machine.state == DEGRADED else 0.0)


def _remember_lost(machine: Machine, findings: list[Finding]) -> Machine:
    """Latch that the planner was lost until a state better than FALLBACK is reached."""
    lost = machine.watch.lost and machine.state not in (NOMINAL, DEGRADED)
    lost = lost or machine.state == FALLBACK or any(
        item.level == Level.FALLBACK for item in findings)
    if lost == machine.watch.lost:
        return machine
    return replace(machine, watch=replace(machine.watch, lost=lost))


def _transit(
    machine: Machine, health: Health, findings: list[Finding], limits: Thresholds
) -> Machine:
    """Return the machine moved by the worst finding, or towards better after enough good ticks."""
    worst = max(findings, key=lambda item: item.level, default=None)
    level = worst.level if worst is not None else Level.NOMINAL
    if worst is not None and level > machine.level:
        return _enter(machine, ENTERED_AS[level], worst)
    if worst is not None and level == machine.level:
        machine = replace(
            machine, good_cycles=0, reason_code=worst.code,
            cause=machine.cause if worst.code == machine.reason_code else worst.cause)
    if machine.state == STOPPING:
        if not health.at_rest:
            return machine
        return replace(
            machine, state=HOLD, action=ACTION[HOLD], in_state_s=0.0, good_cycles=0)
    if level < machine.level and machine.good_cycles >= limits.recovery_cycles:
        recovered = Finding(level, RECOVERED, f'{machine.good_cycles} good cycles')
        return _enter(machine, ENTERED_AS[level], worst or recovered)
    return machine


def _enter(machine: Machine, state: str, finding: Finding) -> Machine:
    return replace(
        machine, state=state, reason_code=finding.code, cause=finding.cause,
        action=ACTION[state], in_state_s=0.0, good_cycles=0)


def _emergency(machine: Machine, health: Health, findings: list[Finding]) -> Machine:
    """Stay, unless the operator resets a robot that stands and whose cause is gone."""
    gap = next((item for item in findings if item.code == OWN_GAP), None)
    if gap is not None:
        return _enter(machine, EMERGENCY, gap)
    if not health.reset_requested:
        return machine
    active = next((item for item in findings if item.level == Level.EMERGENCY), None)
    if active is not None:
        return replace(machine, reset_refusal=f'still: {active.cause}')
    if not health.at_rest:
        return replace(machine, reset_refusal='the robot does not stand')
    return _enter(machine, HOLD, Finding(Level.STOPPING, 'reset', 'reset by the operator'))


def emergency(machine: Machine, code: str, cause: str) -> Machine:
    """Return the machine latched in EMERGENCY for a reason that no rule knows."""
    if machine.state == EMERGENCY:
        return machine
    return _enter(machine, EMERGENCY, Finding(Level.EMERGENCY, code, cause))
