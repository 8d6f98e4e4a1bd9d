# SPDX-License-Identifier: Apache-2.0
"""Statistics of periods from receive times, and onsets of a condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
GAP_S, SILENT_S = 0.05, 0.5
RATE_KEYS = ('mean_hz', 'period_std_s', 'period_min_s', 'period_max_s', 'period_p99_s',
             'gaps_over_50ms')


def rate_statistics(receive_ns: Sequence[int], end_ns: int = 0) -> dict[str, Any]:
    """Return the statistics of the periods between receive times, null where there are none.

    mean_hz = (m - 1) / (t_m - t_1), periods p_k = t_{k+1} - t_k; the 99th percentile is the
    smallest period that at least 99 % of the periods do not exceed. Silence of more than
    `SILENT_S` from the last message to the end is a gap, too.

    Args:
        receive_ns: Receive times [ns], m of them, increasing.
        end_ns: When the last message of all topics was received [ns]; 0: not to be looked at.
    """
    period = np.diff(np.array(receive_ns, dtype=np.int64)).astype(np.float64) * 1e-9
    if not len(period) or period.sum() <= 0.0:
        return dict.fromkeys(RATE_KEYS)
    return {
        'mean_hz': float(len(period) / period.sum()),
        'period_std_s': float(period.std()),
        'period_min_s': float(period.min()),
        'period_max_s': float(period.max()),
        'period_p99_s': float(np.percentile(period, 99, method='inverted_cdf')),
        'gaps_over_50ms': int((period > GAP_S).sum()) + (end_ns - receive_ns[-1] > 1e9 * SILENT_S),
    }


def onsets(flags: Flags) -> int:
    """Return how often a condition begins: false to true, or true from the first sample on.

    Args:
        flags: Shape [T], or [T, n] for n conditions that are counted one by one.
    """
    flags = np.asarray(flags, dtype=bool)
    if not len(flags):
        return 0
    return int(flags[0].sum() + (flags[1:] & ~flags[:-1]).sum())


def spans(flags: Flags) -> list[tuple[int, int]]:
    """Return (first, last + 1) of every run of true samples in flags of shape [T]."""
    padded = np.concatenate(([False], np.asarray(flags, dtype=bool), [False])).astype(np.int8)
    step = np.diff(padded)
    return list(zip(np.flatnonzero(step == 1).tolist(), np.flatnonzero(step == -1).tolist(),
                    strict=True))


def percentile(values: Array, percent: float) -> float | None:
    """Return a percentile of finite values, None if there are none."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return float(np.percentile(values, percent)) if len(values) else None
