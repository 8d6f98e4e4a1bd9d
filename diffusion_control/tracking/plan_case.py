# SPDX-License-Identifier: Apache-2.0
"""A plan under examination, and the reasons to refuse it (the table is in `admission.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
ADMITTED = 'admitted'
MALFORMED = 'malformed'
WRONG_JOINTS = 'wrong_joints'
NOT_FINITE = 'not_finite'
TIMES_NOT_INCREASING = 'times_not_increasing'
STALE = 'stale'
FUTURE = 'future'
NO_PROGRESS = 'no_progress'
NO_REST = 'no_rest'
LIMIT_POSITION = 'limit_position'
LIMIT_VELOCITY = 'limit_velocity'
RESIDUAL = 'residual'
LIMIT_ACCELERATION = 'limit_acceleration'
DISCONTINUOUS = 'discontinuous'
COLLISION = 'collision'
REASONS: tuple[str, ...] = (
    MALFORMED, WRONG_JOINTS, NOT_FINITE, TIMES_NOT_INCREASING, STALE, FUTURE, NO_PROGRESS,
    NO_REST, LIMIT_POSITION, LIMIT_VELOCITY, RESIDUAL, LIMIT_ACCELERATION, DISCONTINUOUS,
    COLLISION)


@dataclass(frozen=True)
class Tolerances:
    """How much a plan may be off.

    Attributes:
        position_jump: Distance to the committed motion at the start [rad]; of a base [m].
        velocity_jump: The same of velocities [rad/s or m/s].
        velocity: Share by which a velocity may exceed its limit.
        acceleration: Share by which the interpolation's acceleration may.
    """

    position_jump: float
    velocity_jump: float
    velocity: float
    acceleration: float

    @property
    def fast(self) -> float:
        """Factor of the velocity limits."""
        return 1.0 + self.velocity

    @property
    def hard(self) -> float:
        """Factor of the acceleration limits."""
        return 1.0 + self.acceleration


@dataclass(frozen=True)
class PlanCase:
    """A plan under examination; arrays are filled once its shape is known."""

    times: Array
    position: Array
    velocity: Array
    start_s: float
    now_s: float
    committed: Trajectory | None
    obstacles: tuple[Obstacle, ...] | ObstacleArrays
    stamp_s: float


def worst(names: Sequence[str], values: Array, unit: str) -> str:
    """Return the largest of values [n], with its name and unit."""
    at = int(np.argmax(values))
    return f'{names[at]}: {float(values[at]):.4f} {unit}'
