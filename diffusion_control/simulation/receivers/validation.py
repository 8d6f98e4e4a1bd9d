# SPDX-License-Identifier: Apache-2.0
"""Which trajectories a JointTrajectoryController accepts, as points in its own joint order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diffusion_control.simulation.receivers.messages import Message, Rows, TrajectoryMessage
from diffusion_control.trajectory.trajectory import Array

END_VELOCITY = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Points:
    """A checked trajectory in the controller's joint order; fields as in `TrajectoryMessage`."""

    stamp_s: float
    times_s: list[float]
    position: Array
    velocity: Array | None
    acceleration: Array | None

    def row(self, index: int) -> tuple[Array, Array | None, Array | None]:
        """Return position, velocity and acceleration of one point, each of shape [n] or None."""
        return (
            self.position[index],
            None if self.velocity is None else self.velocity[index],
            None if self.acceleration is None else self.acceleration[index],
        )


def checked_points(message: Message, names: tuple[str, ...], now_s: float) -> Points | str:
    """Return a trajectory's points, or the reason why it is refused whole.

    Reasons: `type`; `names` (not exactly the controller's joints, in any order); `empty`; `size`
    (a point's field has another length than the names; all points carry the same fields);
    `not_finite`; `times` (not strictly increasing); `end_velocity` (the last velocity is not 0
    within the epsilon of a float32); `past` (a non-zero stamp, and the last point before now).
    """
    if not isinstance(message, TrajectoryMessage):
        return 'type'
    if len(message.names) != len(names) or set(message.names) != set(names):
        return 'names'
    if len(message.times_s) == 0:
        return 'empty'
    shape = (len(message.times_s), len(names))
    order = [message.names.index(name) for name in names]
    fields = [_rows(rows, shape, order)
              for rows in (message.position, message.velocity, message.acceleration)]
    times = _rows([message.times_s], (1, shape[0]), list(range(shape[0])))
    if times is None or fields[0] is None or any(isinstance(f, str) for f in [*fields, times]):
        return 'size'
    numbers = [f for f in [*fields, times] if isinstance(f, np.ndarray)]
    if not np.isfinite(message.stamp_s) or not all(np.isfinite(f).all() for f in numbers):
        return 'not_finite'
    position, velocity, acceleration = (f if isinstance(f, np.ndarray) else None for f in fields)
    assert position is not None and isinstance(times, np.ndarray)
    if (np.diff(times[0]) <= 0).any():
        return 'times'
    if velocity is not None and (np.abs(velocity[-1]) > END_VELOCITY).any():
        return 'end_velocity'
    if message.stamp_s != 0.0 and message.stamp_s + times[0, -1] < now_s:
        return 'past'
    return Points(float(message.stamp_s), times[0].tolist(), position, velocity, acceleration)


def _rows(
    rows: Rows | Sequence[Array | Sequence[float]] | None,
    shape: tuple[int, int],
    order: list[int],
) -> Array | str | None:
    """Return rows as an array with its columns in `order`; None for an absent field."""
    if rows is None:
        return None
    try:
        values = np.asarray(rows, dtype=float)
    except (TypeError, ValueError):
        return 'size'
    if values.size == 0:
        return None
    return values[:, order] if values.shape == shape else 'size'
