# SPDX-License-Identifier: Apache-2.0
"""Sampling against a deadline: the best clean estimate so far, never less than one evaluation.

An evaluation is begun only if it is expected to end in time: it is taken to last as long as the
longest one of this run, or as the caller measured before. Two ways to spend a budget:

    `take_until`   runs the given table and stops early;
    `affordable`   says beforehand how many evaluations fit, so that a shorter table can be
                   tabulated, whose larger steps end at the clean end: the better use of a known
                   budget. Both together: tabulate what is affordable, and stop early if even
                   that comes late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from diffusion_control.errors import ConfigurationError

Item = TypeVar('Item')


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


@dataclass(frozen=True)
class Taken(Generic[Item]):
    """What was ready in time.

    Attributes:
        last: What the last evaluation gave.
        evaluations: How many were made, at least 1.
        longest_s: The longest of them, or what was expected if that is longer [s].
    """

    last: Item
    evaluations: int
    longest_s: float


def take_until(
    steps: Iterator[Item], until_s: float, clock: Callable[[], float], longest_s: float = 0.0,
) -> Taken[Item]:
    """Return the last result that was ready, or could be expected to be, by the deadline.

    A further evaluation is begun if the time now plus the longest one is not after `until_s`.

    Args:
        steps: One result per evaluation, at least one; `sampling.run` makes such an iterator.
        until_s: On the clock [s]; infinity is no deadline.
        clock: Steady time [s].
        longest_s: Expected time of one evaluation [s]; the longest one seen counts if longer.
    """
    began = clock()
    last, evaluations = next(steps), 1
    while True:
        now = clock()
        longest_s = max(longest_s, now - began)
        if now + longest_s > until_s:
            break
        began = now
        found = next(steps, None)
        if found is None:
            break
        last, evaluations = found, evaluations + 1
    return Taken(last, evaluations, longest_s)
