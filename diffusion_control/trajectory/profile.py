# SPDX-License-Identifier: Apache-2.0
"""Knots of motions with piecewise constant jerk, and the states there (numba kernels).

A profile is a sequence of phases of constant jerk j; within one, after time t from its start,

    a = a0 + j t,   v = v0 + a0 t + j t^2 / 2,   q = q0 + v0 t + a0 t^2 / 2 + j t^3 / 6.

After the last phase the velocity stays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diffusion_control.robots.jit import kernel

TIME_GRID_S = 1e-6
GAP = 20
"""Least distance of two knots, in steps of the time grid."""


@kernel()
def knot_times(phases: Any, duration_s: float, end_s: float, period_s: float) -> Any:
    """Return the times of 0, the jerk switches, the end, and knots between as the period asks.

    Args:
        phases: Durations of the phases of each joint, shape [n, P] [s].
        duration_s: Where the target is reached [s].
        end_s: Last knot, rounded up to the grid [s].
        period_s: Largest gap [s].
    """
    count = phases.shape[0] * phases.shape[1]
    switches = np.empty(count + 1, dtype=np.int64)
    switches[count] = int(round(duration_s / TIME_GRID_S))
    for i in range(phases.shape[0]):
        passed = 0.0
        for p in range(phases.shape[1]):
            passed += phases[i, p]
            switches[i * phases.shape[1] + p] = int(round(passed / TIME_GRID_S))
    switches.sort()
    last = max(int(math.ceil(end_s / TIME_GRID_S - 1e-6)), GAP)
    kept, found = 0, 0
    widths = np.empty(count + 2, dtype=np.int64)
    for switch in switches:
        if switch >= kept + GAP and GAP <= switch <= last - GAP:
            widths[found] = switch - kept
            kept, found = switch, found + 1
    widths[found] = last - kept
    found += 1
    knots = 1
    for k in range(found):
        knots += max(1, int(math.ceil(widths[k] * TIME_GRID_S / period_s - 1e-6)))
    times = np.zeros(knots)
    at, row = 0, 1
    for k in range(found):
        parts = max(1, int(math.ceil(widths[k] * TIME_GRID_S / period_s - 1e-6)))
        for part in range(1, parts):
            times[row] = at * TIME_GRID_S + widths[k] * TIME_GRID_S * part / parts
            row += 1
        at += widths[k]
        times[row] = at * TIME_GRID_S
        row += 1
    return times


@kernel()
def states_at(times: Any, start: Any, phases: Any, jerks: Any) -> Any:
    """Return positions, velocities and accelerations at ascending times [T], shape [3, T, n].

    Args:
        times: From 0 on [s].
        start: Position, velocity and acceleration at 0, shape [3, n].
        phases: Durations of the phases of each joint, shape [n, P] [s].
        jerks: In these phases, shape [n, P].
    """
    out = np.empty((3, len(times), start.shape[1]))
    for i in range(start.shape[1]):
        q, v, a = start[0, i], start[1, i], start[2, i]
        since, phase = 0.0, 0
        for k in range(len(times)):
            while phase < phases.shape[1] and times[k] >= since + phases[i, phase]:
                t, j = phases[i, phase], jerks[i, phase]
                q += t * (v + t * (a / 2 + t * j / 6))
                v += t * (a + t * j / 2)
                a += t * j
                since += t
                phase += 1
            t = times[k] - since
            if phase == phases.shape[1]:
                out[0, k, i], out[1, k, i], out[2, k, i] = q + t * v, v, 0.0
                continue
            j = jerks[i, phase]
            out[0, k, i] = q + t * (v + t * (a / 2 + t * j / 6))
            out[1, k, i] = v + t * (a + t * j / 2)
            out[2, k, i] = a + t * j
    return out


@kernel()
def knots_of(
    start: Any, phases: Any, jerks: Any, duration_s: float, end_s: float, period_s: float
) -> Any:
    """Return the knots [T] and the states [3, T, n] there; see `knot_times` and `states_at`."""
    times = knot_times(phases, duration_s, end_s, period_s)
    return times, states_at(times, start, phases, jerks)


@kernel()
def leaves(start: Any, position: Any, low: Any, high: Any) -> bool:
    """Tell whether a joint that starts in [low, high] is outside at one of the rows [T, n]."""
    for j in range(position.shape[1]):
        if not low[j] <= start[j] <= high[j]:
            continue
        for k in range(position.shape[0]):
            if position[k, j] < low[j] or position[k, j] > high[j]:
                return True
    return False
