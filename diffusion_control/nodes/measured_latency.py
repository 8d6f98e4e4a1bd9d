# SPDX-License-Identifier: Apache-2.0
"""How far ahead a plan has to begin, from how long plans took of late.

What the robot does until then is fixed: a plan begins where it will be, not where it was asked
for, so none is blended into motion that has already been executed.
"""

from __future__ import annotations

LONGEST_LEAD_S, FORGET = 1.5, 0.8


class MeasuredLatency:
    """The longest of the latencies noted, each forgotten by a fifth with every later one."""

    def __init__(self) -> None:
        self._longest_s = 0.0

    def note(self, latency_s: float) -> None:
        """Remember how long a plan took [s]."""
        self._longest_s = max(latency_s, FORGET * self._longest_s)

    def lead_s(self, least_s: float) -> float:
        """Return how far ahead the next plan has to begin, `LONGEST_LEAD_S` at most [s].

        Args:
            least_s: What is left in any case, also before anything was measured.
        """
        return max(least_s, min(self._longest_s, LONGEST_LEAD_S))
