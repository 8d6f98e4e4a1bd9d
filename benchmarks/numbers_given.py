# SPDX-License-Identifier: Apache-2.0
"""Numbers on the command line of these scripts: a wrong one is refused before anything runs."""

from __future__ import annotations

from argparse import ArgumentTypeError

LARGEST = 2**31 - 1


def positive(text: str) -> int:
    """Return how many of something there are to be, at least one."""
    return _whole(text, 1)


def seed_number(text: str) -> int:
    """Return a seed, 0 or more."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    allowed = f'allowed: a whole number from {least} to {LARGEST}'
    try:
        value = int(text)
    except ValueError:
        raise ArgumentTypeError(f'{text!r} is no whole number; {allowed}') from None
    if not least <= value <= LARGEST:
        raise ArgumentTypeError(f'{value} is out of range; {allowed}')
    return value
