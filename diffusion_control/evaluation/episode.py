# SPDX-License-Identifier: Apache-2.0
"""One episode of an evaluation as a row: what the contract names, and why it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

EPISODE_S = 20.0


@dataclass(frozen=True)
class Episode:
    """The row of one planner in one scene.

    Attributes:
        episode: Number of the episode in its tier.
        seed: Seed of the scene.
        planner: Name of the planner.
        success: All goals of the scene were reached and held within the time.
        time_s: Time at which the last goal was reached [s]; None if it was not.
        contact_moving: Onsets of contacts with an obstacle while the robot moved.
        contacts_at_rest: Onsets of contacts with an obstacle while the robot stood.
        violations: Onsets by name; None where a robot has no such limit.
        clearance_min_m: Least distance to an obstacle by the simulator's geometry [m].
        evaluations: Roll-outs of the planner, mean over its plans.
        plan_p50_s: Median processor latency of a plan [s]; None without a plan.
        tier: Tier of the scene; None for a scene file without.
        plan_latency_s: Processor latency of every plan [s].
        plans: Plans that the planner returned.
        plans_rejected: By reason code of the admission.
        final_state: Of the safety monitor.
        states_s: Time in each state of the safety monitor [s].
        end: Why the episode ended: `reached`, `time`, or the planner's refusal.
        goals_reached: Of the scene's goals.
    """

    episode: int
    seed: int
    planner: str
    success: bool
    time_s: float | None
    contact_moving: int
    contacts_at_rest: int
    violations: dict[str, int | None]
    clearance_min_m: float | None
    evaluations: float
    plan_p50_s: float | None
    tier: str | None
    plan_latency_s: list[float] = field(default_factory=list)
    plans: int = 0
    plans_rejected: dict[str, int] = field(default_factory=dict)
    final_state: str = ''
    states_s: dict[str, float] = field(default_factory=dict)
    end: str = ''
    goals_reached: int = 0

    @property
    def violation_count(self) -> int:
        """Sum of all violations, contacts with obstacles apart."""
        return sum(count or 0 for count in self.violations.values())

    def row(self) -> dict[str, Any]:
        """Return the row with `return` = -time in the episode [s]; `score` is filled later."""
        spent = EPISODE_S if self.time_s is None else self.time_s
        return {**asdict(self), 'return': -spent, 'score': None}

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Episode:
        """Return the episode of a row."""
        return cls(**{item.name: row[item.name] for item in fields(cls)})


def scored(rows: list[dict[str, Any]], expert_time_s: float | None) -> list[dict[str, Any]]:
    """Return rows of one scene with their score: 100 x expert's time / time, 0 if not reached.

    It is null where the expert did not reach the goal: there is nothing to compare with.
    """
    if expert_time_s is None:
        return rows
    return [{**row, 'score': 100.0 * expert_time_s / row['time_s'] if row['success'] else 0.0}
            for row in rows]
