# SPDX-License-Identifier: Apache-2.0
"""Sampling against a deadline: the best clean estimate so far, never less than one evaluation.

An evaluation is begun only if it is expected to end in time: it is taken to last as long as the
longest one of this run, or as the caller measured before. Two ways to spend a budget:

    `sample_until`   runs the given table and stops early;
    `affordable`     says beforehand how many evaluations fit, so that a shorter table can be
                     tabulated, whose larger steps end at the clean end: the better use of a known
                     budget. Both together: tabulate what is affordable, and stop early if even
                     that comes late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from diffusion_control.diffusion.sampling import Estimate
from diffusion_control.errors import ConfigurationError


def affordable(budget_s: float, evaluation_s: float, most: int) -> int:
    """Return how many evaluations fit into a budget, in 1 .. most.

    Args:
        budget_s: Time left [s].
        evaluation_s: A high percentile of the time of one evaluation [s], above 0.
        most: The number that is wanted.

    Raises:
        ConfigurationError: An evaluation that takes no time, or none wanted.
    """
    if not evaluation_s > 0.0 or most < 1:
        raise ConfigurationError(
            'The time of one evaluation must be measured first.', where='evaluation_s',
            value=(evaluation_s, most), allowed='evaluation_s > 0, most >= 1')
    return int(min(max(budget_s / evaluation_s + 1e-9, 1.0), float(most)))


def sample_until(
    estimates: Iterator[Estimate], deadline_s: float, clock: Callable[[], float],
    evaluation_s: float = 0.0,
) -> Estimate:
    """Return the last estimate that was ready, or could be expected to be, by the deadline.

    Args:
        estimates: From `sampling.run`; each step costs one evaluation.
        deadline_s: On the clock [s].
        clock: Steady time [s].
        evaluation_s: Expected time of one evaluation [s]; the longest one seen counts if longer.

    Returns:
        The estimate, tagged with its evaluations, at least 1.
    """
    longest, began = evaluation_s, clock()
    best = next(estimates)
    while not best.complete:
        now = clock()
        longest = max(longest, now - began)
        if now + longest > deadline_s:
            break
        began = now
        best = next(estimates)
    return best
