# SPDX-License-Identifier: Apache-2.0
"""What the recorded plans and commands say about how one plan takes over from another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.rates import percentile

Array = NDArray[np.float64]
SOURCES = ('diffusion', 'training_free', 'library', 'classical', 'other')
SWITCH_WINDOW_S = 0.25
MODE_FLIP = 0.5


def switch_jumps(
    commands: list[Command], plan_s: Array
) -> tuple[float | None, float | None]:
    """Return the largest step of position and velocity between consecutive commands at a switch.

    Both commands are evaluated at the same time: when the later one was sent, or at its first
    point where that is later. A pair counts as a change of plan if the later one was sent within
    0.25 s after a plan was received: the tracker takes a plan over within that time.

    Args:
        commands: Commands that are motions, in order.
        plan_s: ROS times at which plans were received [s], increasing.
    """
    jumps: list[tuple[float, float]] = []
    for before, after in zip(commands, commands[1:], strict=False):
        last = np.searchsorted(plan_s, after.sent_s, side='right') - 1
        if last < 0 or after.sent_s - plan_s[last] > SWITCH_WINDOW_S:
            continue
        at = np.array([max(after.sent_s, after.first_s)])
        jumps.append((
            float(np.abs(after.position_at(at) - before.position_at(at)).max()),
            float(np.abs(after.velocity_at(at) - before.velocity_at(at)).max())))
    if not jumps:
        return None, None
    position, velocity = np.array(jumps).max(axis=0)
    return float(position), float(velocity)


def mode_flips(
    plans: list[Command], goal_s: Array, columns: slice = slice(None)  # noqa: B008 (immutable)
) -> int:
    """Count consecutive plans to the same goal that take another way.

    The way of a plan is its path, whatever the timing. A plan flips if some point of its path is
    further than 0.5 rad or m (largest joint) from every point of the path of the plan before.

    Args:
        plans: In the order in which they were received.
        goal_s: ROS times at which goals were set [s], increasing.
        columns: Joints that count.
    """
    flips = 0
    for before, after in zip(plans, plans[1:], strict=False):
        same_goal = (np.searchsorted(goal_s, before.sent_s)
                     == np.searchsorted(goal_s, after.sent_s))
        if same_goal and _path_distance(after, before, columns) > MODE_FLIP:
            flips += 1
    return flips


def _path_distance(plan: Command, reference: Command, columns: slice) -> float:
    """Return the largest distance of a plan's points to a densely sampled reference."""
    dense = reference.position_at(np.linspace(reference.first_s, reference.last_s, 120))
    apart = np.abs(plan.position[:, None, columns] - dense[None, :, columns]).max(axis=2)
    return float(apart.min(axis=1).max())


def verdicts(reports: list[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the verdicts on plans: reports with `event: verdict`, or those under `verdicts`."""
    for report in reports:
        if report.get('event') == 'verdict':
            yield report
        found = report.get('verdicts')
        yield from (item for item in (found if isinstance(found, list) else [])
                    if isinstance(item, Mapping))


def plan_statistics(
    planner_reports: list[dict[str, Any]], tracker_reports: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return latency, evaluations, sources and rejections as the reports tell them.

    Latencies and evaluations are of all answers of the planner, sources of those with a plan
    (`plan_stamp` is not null), rejections of all verdicts with `accepted` false by `reason_code`.
    """
    latency = _numbers(planner_reports, 'latency_s')
    evaluations = _numbers([r for r in planner_reports if r.get('latency_s') is not None],
                           'evaluations')
    named = [str(r.get('source')) for r in planner_reports if r.get('plan_stamp') is not None]
    sources = Counter(name if name in SOURCES else 'other' for name in named)
    rejected = Counter(
        str(item.get('reason_code') or 'UNKNOWN')
        for item in verdicts(tracker_reports) if item.get('accepted') is False)
    return {
        'latency_p50_s': percentile(latency, 50), 'latency_p99_s': percentile(latency, 99),
        'evaluations_mean': float(evaluations.mean()) if len(evaluations) else None,
        'source_fraction': {
            name: sources[name] / len(named) if named else None for name in SOURCES},
        'rejected': dict(sorted(rejected.items())),
    }


def _numbers(reports: list[dict[str, Any]], key: str) -> Array:
    values = [report.get(key) for report in reports]
    return np.array([v for v in values if isinstance(v, int | float)], dtype=float)
