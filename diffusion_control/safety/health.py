# SPDX-License-Identifier: Apache-2.0
"""Everything that the state machine judges, as one frozen value per tick.

Ages are measured on steady time, because a message clock may stop or jump; what was never
received has the age infinity. The defaults are the bad case: a field that nobody fills in stops
the robot and cannot keep it moving.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

NEVER = math.inf


@dataclass(frozen=True)
class Health:
    """What is known about inputs, plan sources, operator and clock at one tick.

    The first group is filled in by whoever receives the messages (the safety node, or
    `inputs.InputFilter` in process), the second one by `monitor.SafetyMonitor` itself.

    Attributes:
        state_age_s: Age of the newest joint states [s].
        motion_age_s: Time since the tracker's newest motion arrived [s].
        obstacles_age_s: Age of the newest obstacles [s]; None where the robot uses none.
        scan_age_s: Age of the newest laser scan [s]; None where the robot uses none.
        map_age_s: Age of the newest map [s]; None where the robot uses none.
        accepted_plan_age_s: Time since the tracker last accepted a plan of the planner [s].
        planner_period_s: The planner's period, 1 / planner.rate_hz [s].
        confidence: Confidence of the newest plan in [0, 1]; None where it is missing.
        rejected_in_row: Announced plans of the planner rejected since the last accepted one.
        goal_active: A goal is set and not reached: a plan is expected.
        planner_idle: The newest planner report is fresh and says that no plan is needed.
        planner_alive: The planner's reports arrive.
        fallback_alive: The fallback process is there.
        fallback_plan_age_s: Age of the newest accepted plan of the fallback [s].
        emergency_stop: The last `emergency_stop` said true (it must say false before a reset).
        stop_requested: `safety/stop` was called since the last tick.
        reset_requested: `safety/reset` was called since the last tick.
        pause_requested: `safety/pause` is on.
        own_gap_s: Steady time since the monitor's own last tick [s].
        clock_paused: ROS time stands still.
        real_time_factor: ROS seconds per steady second; all steady thresholds are divided by it.
        armed: A first command was found: the robot stood at a known position.
        follow_error_rad: Largest distance of a joint from the committed motion, delay considered.
        answers: The robot is known to move along, see `trust`.
        at_rest: The committed motion has ended and the measured speed says so too.
        unverified_s: How long no step of the tracker could be verified [s].
        clock_jumped: ROS time went backwards since the last tick.
    """

    state_age_s: float = NEVER
    motion_age_s: float = NEVER
    obstacles_age_s: float | None = NEVER
    scan_age_s: float | None = None
    map_age_s: float | None = None
    accepted_plan_age_s: float = NEVER
    planner_period_s: float = 0.2
    confidence: float | None = None
    rejected_in_row: int = 0
    goal_active: bool = True
    planner_idle: bool = False
    planner_alive: bool = False
    fallback_alive: bool = False
    fallback_plan_age_s: float = NEVER
    emergency_stop: bool = False
    stop_requested: bool = False
    reset_requested: bool = False
    pause_requested: bool = False
    own_gap_s: float = NEVER
    clock_paused: bool = False
    real_time_factor: float = 1.0

    armed: bool = False
    follow_error_rad: float = 0.0
    answers: bool = True
    at_rest: bool = False
    unverified_s: float = 0.0
    clock_jumped: bool = False


@dataclass(frozen=True)
class Thresholds:
    """Limits of the state machine; times are divided by the real-time factor.

    Attributes:
        state_stale_s: Joint states older than this stop the robot [s].
        motion_stale_s: A tracker silent for longer stops the robot [s].
        obstacles_stale_s: Obstacles older than this stop the robot [s].
        scan_stale_s: A laser scan older than this stops the robot [s].
        map_stale_s: A map older than this stops the robot [s]; infinite for a map sent once.
        emergency_s: Joint states or tracker lost, or an own gap, for longer: EMERGENCY [s].
        plan_periods: Planner periods without an accepted plan that are allowed.
        plan_grace_s: Time added to those periods [s].
        plan_lost_s: Time in DEGRADED after which FALLBACK follows [s].
        confidence_min: Least confidence of a plan.
        rejected_limit: Rejected plans in a row that lead to FALLBACK.
        follow_error_rad: A joint farther from the committed motion does not follow [rad].
        unverified_s: Time without a verified step that leads to STOPPING [s].
        recovery_cycles: Good cycles in a row before a state is left for a better one.
        degraded_time_scale: Speed along the last valid plan in DEGRADED.
        fallback_holds: The fallback is `hold`: there is no plan to follow in FALLBACK.
    """

    state_stale_s: float = 0.05
    motion_stale_s: float = 0.04
    obstacles_stale_s: float = 0.2
    scan_stale_s: float = 0.3
    map_stale_s: float = math.inf
    emergency_s: float = 0.2
    plan_periods: float = 2.0
    plan_grace_s: float = 0.05
    plan_lost_s: float = 1.0
    confidence_min: float = 0.1
    rejected_limit: int = 3
    follow_error_rad: float = 0.1
    unverified_s: float = 0.1
    recovery_cycles: int = 10
    degraded_time_scale: float = 0.5
    fallback_holds: bool = False


def slack_of_time(real_time_factor: float) -> float:
    """Return what steady thresholds are multiplied by: 1 / max(real-time factor, 0.1).

    A factor that is not a finite number loosens nothing.
    """
    return 1.0 / max(real_time_factor, 0.1) if math.isfinite(real_time_factor) else 1.0
