# SPDX-License-Identifier: Apache-2.0
"""When an answer is due, and how much of the time has to be left for ranking and judging.

Every answer ends with its motions being ranked, all of them, and one or more being judged. What
comes before may be cut short, these may not: with r and j the times that ranking and judging one
motion took of late, the last call for other work on N motions is until - 1.5 (N r + j): no two
runs take the same time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Clock = Callable[[], float]
DRAW, RANK, JUDGE = 'draw', 'rank', 'judge'
FORGET, SPARE = 0.97, 1.5


@dataclass
class Deadline:
    """A time to answer by; without one, everything is allowed.

    Attributes:
        clock: Steady time [s].
        until_s: When the answer is due, a reading of the clock.
        each_s: What a part took of late for one motion (a draw: for one evaluation of it) [s].
    """

    clock: Clock = time.perf_counter
    until_s: float = math.inf
    each_s: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys((DRAW, RANK, JUDGE), 0.0))

    def last_call_s(self, ranked: int) -> float:
        """Return when so many motions have to be ranked, at the latest, for one to be judged."""
        return self.until_s - SPARE * (ranked * self.each_s[RANK] + self.each_s[JUDGE])

    def allows(self, ranked: int) -> bool:
        """Say whether so many motions can still be ranked, and one judged, in time."""
        return self.clock() <= self.last_call_s(ranked)

    @contextmanager
    def timed(self, part: str, count: int = 1) -> Iterator[None]:
        """Take note of how long a part takes for so many motions."""
        began = self.clock()
        yield
        self.note(part, self.clock() - began, count)

    def note(self, part: str, spent_s: float, count: int) -> None:
        """Take note that a part took so long for so many motions."""
        self.each_s[part] = max(spent_s / max(count, 1), FORGET * self.each_s[part])
