# SPDX-License-Identifier: Apache-2.0
"""What the tracker says of its ticks: gathered over a tenth of a second, then published."""

from __future__ import annotations

from collections import deque
from typing import Any

from diffusion_control.tracking.protocol import STAGES, TrackerReport

ALL_STAGES = ('receive', *STAGES, 'publish')
TICKS_PER_REPORT = 10
WINDOW = 100
BUDGET_SHARES = {
    'receive': 0.15, 'state': 0.05, 'reference': 0.1, 'build': 0.05, 'solve': 0.45, 'check': 0.1,
    'publish': 0.1}
"""Share of the period that each stage may take; together they are one period."""


class TickLog:
    """Collect reports of ticks, count overruns by stage, keep a success rate over 100 ticks.

    Each stage has a budget. A tick that takes longer than the period is missed by the stage that
    exceeded its own by most; stages beyond their budget in ticks that were in time are counted
    apart.

    Args:
        period_s: Period of the loop [s].

    Attributes:
        budgets_s: Budget of each stage [s].
        missed: Late ticks by stage, from the start.
        over_budget: Ticks in which a stage exceeded its budget, by stage, from the start.
    """

    def __init__(self, period_s: float) -> None:
        """Begin empty."""
        self._period_s = period_s
        self._ticks: list[tuple[TrackerReport, dict[str, float], float, float]] = []
        self._good: deque[bool] = deque(maxlen=WINDOW)
        self.budgets_s = {name: BUDGET_SHARES[name] * period_s for name in ALL_STAGES}
        self.missed = dict.fromkeys(ALL_STAGES, 0)
        self.over_budget = dict.fromkeys(ALL_STAGES, 0)

    def add(
        self, report: TrackerReport, stages: dict[str, float], cpu_s: float, wall_s: float
    ) -> None:
        """Take one tick: its report, stage times, thread CPU time and wall time [s]."""
        self._ticks.append((report, stages, cpu_s, wall_s))
        late = wall_s > self._period_s
        beyond = {name: spent - self.budgets_s[name] for name, spent in stages.items()}
        for name, excess in beyond.items():
            self.over_budget[name] += excess > 0
        if late:
            self.missed[max(beyond, key=lambda name: beyond[name])] += 1
        self._good.append(not late and report.solve_ok)

    def failed(self) -> None:
        """Count a tick that raised."""
        self._good.append(False)

    def success_rate(self) -> float:
        """Return the share of good ticks among the last 100, as libfranka reports it."""
        return sum(self._good) / len(self._good) if self._good else 1.0

    def ready(self) -> bool:
        """Tell whether a report is due."""
        return len(self._ticks) >= TICKS_PER_REPORT

    def take(self) -> dict[str, Any]:
        """Return the JSON object of `tracker/report` for the gathered ticks, and begin anew."""
        ticks, self._ticks = self._ticks, []
        last = ticks[-1][0]
        return {
            'event': 'ticks', 'count': len(ticks),
            'cpu_s': [round(cpu, 7) for _, _, cpu, _ in ticks],
            'wall_s': [round(wall, 7) for _, _, _, wall in ticks],
            'iterations': [report.iterations for report, _, _, _ in ticks],
            'warm_start': [report.warm_start_choice for report, _, _, _ in ticks],
            'solve_s': [round(stages.get('solve', 0.0), 7) for _, stages, _, _ in ticks],
            'stages_s': {
                name: max(stages.get(name, 0.0) for _, stages, _, _ in ticks)
                for name in ALL_STAGES},
            'missed': dict(self.missed), 'over_budget': dict(self.over_budget),
            'success_rate': self.success_rate(),
            'status': last.status, 'source': last.source, 'solver': last.solver,
            'phase_s': last.phase_s, 'time_scale': last.time_scale,
            'plan_lost': last.plan_lost, 'tracking_error_rad': last.tracking_error_rad,
            'reference_error_rad': last.reference_error_rad,
            'correction_rad': last.correction_rad, 'saturation': last.saturation}
