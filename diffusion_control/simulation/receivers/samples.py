# SPDX-License-Identifier: Apache-2.0
"""The check that all receivers of single samples share."""

from __future__ import annotations

import numpy as np

from diffusion_control.simulation.receivers.messages import Message, SampleMessage
from diffusion_control.trajectory.trajectory import Array


def ordered_values(message: Message, names: tuple[str, ...]) -> Array | str:
    """Return the values of a sample in the order of `names` [n], or the reason of refusal.

    Values without names are taken in the controller's order. Named values may be a part of the
    joints (the others are NaN); `names`, `size`, `type` and `not_finite` are the reasons.
    """
    if not isinstance(message, SampleMessage):
        return 'type'
    try:
        values = np.array(message.values, dtype=float)
    except (TypeError, ValueError):
        return 'size'
    if not message.names:
        return _finite(values) if values.shape == (len(names),) else 'size'
    if values.shape != (len(message.names),):
        return 'size'
    if len(set(message.names)) != len(message.names) or not set(message.names) <= set(names):
        return 'names'
    if not np.isfinite(values).all():
        return 'not_finite'
    ordered = np.full(len(names), np.nan)
    ordered[[names.index(name) for name in message.names]] = values
    return ordered


def _finite(values: Array) -> Array | str:
    return values if bool(np.isfinite(values).all()) else 'not_finite'
