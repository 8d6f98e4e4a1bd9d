# SPDX-License-Identifier: Apache-2.0
"""What a learned planner of an arm learns from: rest-to-rest motions among standing obstacles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.obstacles import ObstacleArrays

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """From where to where among what.

    Attributes:
        scene: Seed of the scene it is from.
        tier: Tier of the scene.
        start: Shape [n] [rad].
        goal: Shape [n] [rad].
        obstacles: All of them stand.
    """

    scene: int
    tier: str
    start: Array
    goal: Array
    obstacles: ObstacleArrays


@dataclass(frozen=True)
class Demonstration:
    """One motion that answers a question.

    Attributes:
        question: What it answers.
        free: Free control points of the spline, shape [F, n] [rad].
        duration_s: Shortest duration inside the limits that were planned with [s].
    """

    question: Question
    free: Array
    duration_s: float
