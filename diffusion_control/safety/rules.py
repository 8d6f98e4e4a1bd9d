# SPDX-License-Identifier: Apache-2.0
"""Which conditions are wrong in a tick, how bad each is, and in which words to say it.

Each rule is an inequality on a `Health`; a NaN on either side counts as broken, because a rule
asks whether the good case holds. Rules know nothing of transitions: those are in `state_machine`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from diffusion_control.safety.health import Health, Thresholds, slack_of_time

UNVERIFIED = 'no_verified_step'
NOT_FOLLOWING = 'robot_not_following'
OWN_GAP = 'own_gap'
CLOCK_PAUSED = 'clock_paused'


class Level(IntEnum):
    """How bad a state or a finding is; STOPPING and HOLD are of one level."""

    NOMINAL = 0
    DEGRADED = 1
    FALLBACK = 2
    STOPPING = 3
    EMERGENCY = 4


@dataclass(frozen=True)
class Finding:
    """One broken condition: its level, a stable code and a text with the values."""

    level: Level
    code: str
    cause: str


@dataclass(frozen=True)
class PlanWatch:
    """What the machine remembers about the planner between ticks.

    Attributes:
        expected_s: How long a plan has been expected without interruption [s].
        lost: FALLBACK was entered and the planner has not recovered since.
        degraded_s: Time in the state DEGRADED [s]; 0 in other states.
    """

    expected_s: float = 0.0
    lost: bool = False
    degraded_s: float = 0.0


def emergencies(
    health: Health, limits: Thresholds, running_s: float, seen: tuple[bool, bool]
) -> list[Finding]:
    """Return what latches EMERGENCY.

    Args:
        health: This tick's health.
        limits: Thresholds.
        running_s: Steady time since the clock last stood [s]; an age cannot be held against
            a sender for the time in which its clock stood.
        seen: Whether fresh joint states, a fresh motion have ever been there: what never came
            is missing, not lost.
    """
    found = []
    slack = slack_of_time(health.real_time_factor)
    limit = limits.emergency_s * slack
    if health.emergency_stop:
        found.append(Finding(Level.EMERGENCY, 'emergency_stop', 'emergency_stop is true'))
    if health.stop_requested:
        found.append(Finding(Level.EMERGENCY, 'stop_service', 'safety/stop was called'))
    gap_limit = limits.emergency_s * max(1.0, slack)
    if not health.own_gap_s <= gap_limit:
        found.append(Finding(Level.EMERGENCY, OWN_GAP, (
            f'safety itself did not run for {_ms(health.own_gap_s)} > {_ms(gap_limit)}')))
    if health.clock_paused:
        return found
    ages = (('joint_states', health.state_age_s), ('tracker', health.motion_age_s))
    for (name, age), was_seen in zip(ages, seen, strict=True):
        counted = running_s if age > running_s else age
        if was_seen and not counted <= limit:
            found.append(Finding(Level.EMERGENCY, f'{name}_lost', (
                f'{name} lost for {_ms(age)} > {_ms(limit)}')))
    return found


def stops(health: Health, limits: Thresholds) -> list[Finding]:
    """Return what brings the robot to rest until it is over."""
    found = []
    slack = slack_of_time(health.real_time_factor)
    if not health.armed:
        found.append(Finding(Level.STOPPING, 'not_armed', 'robot has not been seen at rest yet'))
    if health.clock_paused:
        found.append(Finding(Level.STOPPING, CLOCK_PAUSED, 'ROS time stands still'))
    if health.clock_jumped:
        found.append(Finding(Level.STOPPING, 'clock_jumped', 'ROS time went backwards'))
    if health.pause_requested:
        found.append(Finding(Level.STOPPING, 'paused', 'safety/pause is on'))
    for name, age, stale in (
        ('joint_states', health.state_age_s, limits.state_stale_s),
        ('tracker motion', health.motion_age_s, limits.motion_stale_s),
        ('obstacles', health.obstacles_age_s, limits.obstacles_stale_s),
        ('scan', health.scan_age_s, limits.scan_stale_s),
        ('map', health.map_age_s, limits.map_stale_s),
    ):
        if age is not None and (age == math.inf or not age <= stale * slack):
            code = f'{name.replace(" ", "_")}_stale'
            text = 'never received' if age == math.inf else (
                f'stale {_ms(age)} > {_ms(stale * slack)}')
            found.append(Finding(Level.STOPPING, code, f'{name} {text}'))
    if not health.follow_error_rad <= limits.follow_error_rad:
        found.append(Finding(Level.STOPPING, NOT_FOLLOWING, (
            f'robot does not follow: {health.follow_error_rad:.3f} rad > '
            f'{limits.follow_error_rad:.3f} rad')))
    elif not health.answers:
        found.append(Finding(
            Level.STOPPING, NOT_FOLLOWING, 'robot does not answer to a step of the set-point'))
    if not health.unverified_s <= limits.unverified_s:
        found.append(Finding(Level.STOPPING, UNVERIFIED, (
            f'no verified step for {_ms(health.unverified_s)} > {_ms(limits.unverified_s)}')))
    return found


def plan_limit_s(health: Health, limits: Thresholds) -> float:
    """Return how old the last accepted plan may be [s]."""
    allowed = limits.plan_periods * health.planner_period_s + limits.plan_grace_s
    return allowed * slack_of_time(health.real_time_factor)


def plan_expected(health: Health) -> bool:
    """Return whether the planner owes a plan: a goal is open and it has not said 'idle'."""
    return health.goal_active and not health.planner_idle


def plans(health: Health, limits: Thresholds, watch: PlanWatch) -> list[Finding]:
    """Return what is wrong with the plan sources, worst first.

    The age of the last plan counts from when a plan began to be expected, so that a new goal
    after a rest, or the end of a stop, does not find an old plan guilty; not so once the
    planner was lost.
    """
    found = _weaknesses(health, limits, watch)
    slack = slack_of_time(health.real_time_factor)
    if found and watch.degraded_s >= limits.plan_lost_s * slack:
        found.insert(0, Finding(Level.FALLBACK, 'plan_lost', (
            f'DEGRADED for {watch.degraded_s:.2f} s, {found[0].cause}')))
    if health.rejected_in_row >= limits.rejected_limit and plan_expected(health):
        found.insert(0, Finding(Level.FALLBACK, 'plans_rejected', (
            f'{health.rejected_in_row} plans rejected in a row')))
    if not watch.lost:
        return found
    if not plan_expected(health) and not health.planner_alive:
        found.append(Finding(Level.FALLBACK, 'planner_dead', 'planner is not alive'))
    found = [Finding(Level.FALLBACK, item.code, item.cause) for item in found]
    if found and limits.fallback_holds:
        found.insert(0, Finding(Level.STOPPING, 'fallback_hold', (
            f'fallback is hold: {found[0].cause}')))
    elif found and not health.fallback_alive:
        found.insert(0, Finding(Level.STOPPING, 'plan_sources_dead', (
            f'both plan sources dead: {found[0].cause}, no fallback')))
    return found


def _weaknesses(health: Health, limits: Thresholds, watch: PlanWatch) -> list[Finding]:
    """Return what degrades: no plan in time, or a plan without confidence."""
    if not plan_expected(health):
        return []
    found = []
    limit = plan_limit_s(health, limits)
    age = health.accepted_plan_age_s
    if not watch.lost and age > watch.expected_s:
        age = watch.expected_s
    if not age <= limit:
        found.append(Finding(Level.DEGRADED, 'plan_late', (
            f'no accepted plan for {_ms(age)} > {_ms(limit)}')))
    confidence = health.confidence
    if confidence is None or math.isnan(confidence):
        if watch.lost or watch.expected_s > limit:
            found.append(Finding(Level.DEGRADED, 'not_confident', 'planner/confidence missing'))
    elif confidence < limits.confidence_min:
        found.append(Finding(Level.DEGRADED, 'not_confident', (
            f'confidence {confidence:.2f} < {limits.confidence_min:.2f}')))
    return found


def _ms(seconds: float) -> str:
    return f'{seconds * 1e3:.0f} ms' if math.isfinite(seconds) else 'ever'
