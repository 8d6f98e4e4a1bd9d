# SPDX-License-Identifier: Apache-2.0
"""What became of each injected fault: times from commands and truth, judged by the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.demo.fault_table import FaultSpecification, judge_path
from diffusion_control.demo.injector import Fired
from diffusion_control.evaluation.monitor_states import AT_REST
from diffusion_control.evaluation.run_data import TRAJECTORY, RunData
from diffusion_control.evaluation.truth_checks import REST_RAD_S, stands_at_s
from diffusion_control.nodes.demo_monitor import Seen
from diffusion_control.robots.limits import JointLimits

Array = NDArray[np.float64]

TICK_S = 0.01
SLACK_S = 0.1
STOP_STATES = ('STOPPING', 'HOLD', 'EMERGENCY')
BRAKING = ('brake', 'tail')


@dataclass(frozen=True)
class Conditions:
    """What the outcome depends on besides the run.

    Attributes:
        limits: Of the joints.
        braking_fraction: Share of the acceleration that the monitor brakes with.
        command_delay_s: From a command to the robot's motion [s].
        end_steady_s: Steady time of the next fault, or at which the run was ended; later states
            do not count [s].
    """

    limits: JointLimits
    braking_fraction: float
    command_delay_s: float
    end_steady_s: float


def outcome(
    fired: Fired, specification: FaultSpecification, run: RunData, seen: Seen,
    conditions: Conditions,
) -> dict[str, Any]:
    """Return one row of `summary.faults`, with `reason` where it is not ok.

    Times count from the fault: `detection_s` to the first change of state, `first_brake_s` to the
    first braking command (or the first command made in a slower state), `rest_s` to where the
    truth stands for good.
    """
    states = [item for item in seen.states
              if fired.steady_s < item[0] <= conditions.end_steady_s]
    before = [item[1] for item in seen.states if item[0] <= fired.steady_s]
    path = ((before[-1] if before else ''), *(state for _, state, _ in states))
    detection = states[0][0] - fired.steady_s if states else None
    brake = first_brake_s(fired, run, specification)
    if specification.brake_if_any and brake is not None and (
            brake > (specification.first_brake_s or np.inf)):
        brake = None
    rest = rest_s(fired, run)
    reasons = [judge_path(specification, path)]
    if specification.end == AT_REST:
        reasons.append(_judge_silence(fired, run, rest, conditions))
        path = (*path, AT_REST) if rest is not None else path
    else:
        reasons += _judge_times(fired, specification, run, brake, rest, conditions)
    if specification.goals and not _goal_after(fired, seen):
        reasons.append('no goal was reached after the fault')
    found = [reason for reason in reasons if reason]
    return {
        'name': fired.name, 't_s': fired.t_s, 'speed_at_fault': fired.speed_share,
        'detection_s': detection, 'first_brake_s': brake, 'rest_s': rest,
        'state_path': list(path), 'expected_state': specification.end, 'ok': not found,
        'reason': '; '.join(found)}


def first_brake_s(
    fired: Fired, run: RunData, specification: FaultSpecification
) -> float | None:
    """Return the time to the first command sent after the monitor said that it brakes [s].

    The monitor says so when its action changes, right after the command of that tick. Where the
    table wants the robot slower rather than at rest, the first command made in a slower state
    counts likewise.
    """
    status = run.recording.stream('safety/status')
    for sent, report in zip(status.publish_s, status.reports, strict=True):
        slower = report.get('state') in STOP_STATES or report.get('action') in BRAKING
        if 'DEGRADED' in specification.path:
            slower = slower or (report.get('time_scale') or 1.0) < 1.0
        if sent > fired.system_s and slower:
            commands = run.command_stream.publish_s
            near = commands[commands >= sent - TICK_S / 2]
            near = near[near > fired.system_s]
            return float(near[0] - fired.system_s) if len(near) else None
    return None


def rest_s(fired: Fired, run: RunData) -> float | None:
    """Return the time after which the true robot first stands for 0.2 s [s]."""
    stands = stands_at_s(run.truth, fired.ros_s)
    return None if stands is None else stands - fired.ros_s


def stop_bound_s(fired: Fired, run: RunData, until_s: float, conditions: Conditions) -> float:
    """Return max over joints of v / (k a) + k a / j [s], v the speed between fault and brake.

    Of a base x and y count together: it brakes along its way.
    """
    truth, limits, k = run.truth, conditions.limits, conditions.braking_fraction
    span = (truth.t_s >= fired.ros_s) & (truth.t_s <= fired.ros_s + until_s + 0.05)
    speeds = np.abs(truth.dq[span])
    if run.robot.kind == 'base':
        speeds[:, :2] = np.hypot(speeds[:, 0], speeds[:, 1])[:, None]
    speed = speeds.max(axis=0) if span.any() else limits.velocity_rad_s
    ramp = k * limits.acceleration_rad_s2
    return float((speed / ramp + ramp / limits.jerk_rad_s3).max())


def _judge_times(
    fired: Fired, specification: FaultSpecification, run: RunData, brake: float | None,
    rest: float | None, conditions: Conditions,
) -> list[str]:
    reasons = []
    bound = specification.first_brake_s
    if bound is not None and brake is None and not specification.brake_if_any:
        reasons.append('no braking command')
    elif bound is not None and brake is not None and brake > bound + specification.late_s:
        reasons.append(f'first braking command after {brake:.3f} s > {bound:.3f} s')
    if specification.rests and brake is not None:
        allowed = brake + stop_bound_s(fired, run, brake, conditions) + (
            conditions.command_delay_s + SLACK_S)
        if rest is None or rest > allowed:
            text = 'never' if rest is None else f'after {rest:.3f} s'
            reasons.append(f'at rest {text}, bound {allowed:.3f} s')
    return reasons


def _judge_silence(
    fired: Fired, run: RunData, rest: float | None, conditions: Conditions
) -> str:
    """Return what is wrong after the monitor's death: late commands, or a late rest."""
    sent = run.command_stream.publish_s
    late = sent[sent > fired.system_s + TICK_S]
    if len(late):
        return f'{len(late)} commands later than one tick after the fault'
    tail = tail_s(run, fired)
    bound = tail + conditions.command_delay_s + SLACK_S
    if rest is None or rest > bound:
        return f'at rest {"never" if rest is None else f"after {rest:.3f} s"}, bound {bound:.3f} s'
    return ''


def tail_s(run: RunData, fired: Fired) -> float:
    """Return the time from the fault until what was sent last has ended [s].

    A trajectory moves until its last knot with a velocity; for single samples it is the `tail_s`
    that the monitor last reported.
    """
    if run.command_type == TRAJECTORY and run.commands:
        last = run.commands[-1]
        velocity = np.zeros(1) if last.velocity is None else np.abs(last.velocity).max(axis=1)
        moving = np.flatnonzero(velocity > REST_RAD_S)
        until = min(int(moving[-1]) + 1, len(last.times_s) - 1) if len(moving) else 0
        return max(0.0, last.stamp_s + float(last.times_s[until]) - fired.ros_s)
    status = run.recording.stream('safety/status')
    value = 0.0
    for sent, report in zip(status.publish_s, status.reports, strict=True):
        if sent <= fired.system_s:
            value = float(report.get('tail_s') or 0.0)
    return value


def _goal_after(fired: Fired, seen: Seen) -> bool:
    return any(
        event['event'] == 'goal_reached' and event['t_steady_s'] > fired.steady_s
        for event in seen.events)
