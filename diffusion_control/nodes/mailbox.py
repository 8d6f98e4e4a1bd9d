# SPDX-License-Identifier: Apache-2.0
"""Latest-value mailboxes: the newest message of a kind, and how old it is."""

from __future__ import annotations

import threading
import time
from typing import Generic, TypeVar

Value = TypeVar('Value')


class Mailbox(Generic[Value]):
    """Hold the newest value and the steady time of its arrival.

    One thread may put while another looks: both see a consistent pair.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._lock = threading.Lock()
        self._value: Value | None = None
        self._arrival_s = -float('inf')

    def put(self, value: Value, age_s: float = 0.0) -> None:
        """Replace the value by one that arrived `age_s` ago [s]."""
        arrival = time.monotonic() - age_s
        with self._lock:
            self._value, self._arrival_s = value, arrival

    def look(self) -> Value | None:
        """Return the newest value, or None."""
        with self._lock:
            return self._value

    def age_s(self, now_steady_s: float | None = None) -> float:
        """Return the age of the newest value on steady time [s]; infinite when empty."""
        now = time.monotonic() if now_steady_s is None else now_steady_s
        with self._lock:
            return now - self._arrival_s
