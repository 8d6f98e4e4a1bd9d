# SPDX-License-Identifier: Apache-2.0
"""Violations that the ground truth alone shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.rates import onsets, spans
from diffusion_control.evaluation.truth_file import Truth
from diffusion_control.robots.limits import JointLimits

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
TORQUE_S = 0.02
SPEED_WINDOW_S = 0.02
MOVING_M_S = 0.005
POSITION_ROUNDING_RAD = 1e-9
REST_RAD_S, REST_SAMPLES = 0.02, 200


def position_onsets(truth: Truth, limits: JointLimits) -> int:
    """Count, joint by joint, how often the true position leaves the robot file's limits."""
    outside = ((truth.q < limits.lower_rad - POSITION_ROUNDING_RAD)
               | (truth.q > limits.upper_rad + POSITION_ROUNDING_RAD))
    return onsets(outside & ~truth.exempt[:, None])


def velocity_onsets(truth: Truth, limits: JointLimits) -> int:
    """Count, joint by joint, how often the true speed exceeds the robot file's limit."""
    return onsets((np.abs(truth.dq) > limits.velocity_rad_s) & ~truth.exempt[:, None])


def torque_onsets(truth: Truth, limits: JointLimits) -> int:
    """Count the times a drive's demand before clamping exceeds its limit for > 20 ms.

    The samples k .. l of a run stand for the time t_l - t_k + dt.
    """
    over = (np.abs(truth.tau_demand) > limits.torque_nm) & ~truth.exempt[:, None]
    period = truth.period_s
    return sum(
        truth.t_s[last - 1] - truth.t_s[first] + period > TORQUE_S + 1e-9
        for joint in range(over.shape[1]) for first, last in spans(over[:, joint]))


def moving(truth: Truth) -> Flags:
    """Say for each sample, shape [T], whether the robot moves.

    It does where the speed of its fastest point, averaged over the last 20 ms, is > 5 mm/s.
    """
    width = max(1, round(SPEED_WINDOW_S / truth.period_s))
    total = np.concatenate(([0.0], np.cumsum(truth.point_speed_max_m_s)))
    last = np.arange(1, len(truth.t_s) + 1)
    first = np.maximum(last - width, 0)
    result: Flags = (total[last] - total[first]) / (last - first) > MOVING_M_S
    return result


def stands_at_s(truth: Truth, after_s: float) -> float | None:
    """Return the ROS time [s] at or after another from which every joint stands for 0.2 s.

    Returns:
        None if the robot never stands that long.
    """
    after = truth.t_s >= after_s
    still = np.abs(truth.dq[after]).max(axis=1) < REST_RAD_S
    if len(still) < REST_SAMPLES:
        return None
    whole = np.convolve(still, np.ones(REST_SAMPLES), mode='valid') >= REST_SAMPLES
    first = np.flatnonzero(whole)
    return float(truth.t_s[after][first[0]]) if len(first) else None


def contact_counts(truth: Truth) -> dict[str, int]:
    """Count contacts: with an obstacle while moving, with one at rest, with itself or a wall.

    Each beginning of a penetration of two bodies counts once: as `contact_moving` if the robot
    moves at any instant until it is free of obstacles again, else as `contacts_at_rest`.
    """
    is_moving = moving(truth)
    counts = {'self_or_wall': 0, 'contact_moving': 0, 'contacts_at_rest': 0}
    counts['self_or_wall'] = sum(
        len(begun) for _, _, begun in _contact_spans(truth, with_obstacle=False))
    for first, last, begun in _contact_spans(truth, with_obstacle=True):
        for start in begun:
            moves = is_moving[max(start, first):last].any()
            counts['contact_moving' if moves else 'contacts_at_rest'] += 1
    return counts


def _contact_spans(
    truth: Truth, *, with_obstacle: bool
) -> list[tuple[int, int, list[int]]]:
    """Return (first, last + 1, beginnings) of every time of contact that is not exempt.

    A time of contact in which no pair was noted as beginning has one beginning, its first sample.
    """
    flags = (truth.obstacle_contact if with_obstacle else truth.own_contact) & ~truth.exempt
    starts = np.array([np.searchsorted(truth.t_s, c.start_s - 0.5 * truth.period_s)
                       for c in truth.contacts if c.with_obstacle is with_obstacle], dtype=int)
    found = []
    for first, last in spans(flags):
        inside = starts[(starts >= first) & (starts < last)]
        found.append((first, last, inside.tolist() or [first]))
    return found


def set_point_steps(truth: Truth, limits: JointLimits, tolerance_rad: float) -> Array:
    """Return the times [s] at which the receiver's set-point jumps.

    A jump is a step between two samples larger than the velocity limit allows in that time plus
    `tolerance_rad`.
    """
    allowed = limits.velocity_rad_s * np.diff(truth.t_s)[:, None] * 1.01 + tolerance_rad
    jumped = (np.abs(np.diff(truth.cmd, axis=0)) > allowed).any(axis=1) & ~truth.exempt[1:]
    return truth.t_s[1:][jumped]
