# SPDX-License-Identifier: Apache-2.0
"""Read the JSON objects of the report topics; what is not one is None, never an error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from diffusion_control.trajectory.trajectory import Trajectory

SAME_STAMP_S = 1e-6


@dataclass(frozen=True)
class PlanVerdict:
    """What `tracker/report` says became of one plan.

    Attributes:
        source: `planner` or `fallback`.
        stamp_s: The plan's stamp [s].
        accepted: Whether it may be followed.
    """

    source: str
    stamp_s: float
    accepted: bool


def verdict_on(text: str, source: str, plan: Trajectory | None) -> PlanVerdict | None:
    """Return the verdict on a source's last plan in a text of `tracker/report`, or None."""
    verdict = read_verdict(text)
    if verdict is None or plan is None or verdict.source != source:
        return None
    return verdict if abs(verdict.stamp_s - plan.stamp_s) < SAME_STAMP_S else None


def read_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object of a text, or None."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def read_verdict(text: str) -> PlanVerdict | None:
    """Return the verdict on a plan in a text of `tracker/report`, or None if it holds another."""
    report = read_object(text) or {}
    stamp_s = report.get('plan_stamp')
    if report.get('event') != 'verdict' or not isinstance(stamp_s, int | float):
        return None
    return PlanVerdict(
        str(report.get('source')), float(stamp_s), bool(report.get('accepted')))
