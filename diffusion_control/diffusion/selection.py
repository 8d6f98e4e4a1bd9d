# SPDX-License-Identifier: Apache-2.0
"""Sample and select: draw several motions, keep the ones of the lowest score.

Original: H. Lu et al., "What Makes a Good Diffusion Planner for Decision Making?", ICLR 2025
(Monte-Carlo sampling with selection, often better than guidance).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Selected:
    """The chosen motions, best first.

    Attributes:
        motions: Shape [count, H, D].
        score: Shape [count].
        index: Where they were among the candidates, shape [count].
    """

    motions: Array
    score: Array
    index: NDArray[np.int64]


def select_best(motions: Array, score: Array, count: int = 1) -> Selected:
    """Return the `count` motions of the lowest score; a score that is not a number never wins.

    Args:
        motions: Shape [B, H, D].
        score: Shape [B]; ties go to the earlier motion, so the choice is reproducible.
        count: How many, in 1 .. B.

    Raises:
        ConfigurationError: Scores and motions differ in number, too many are asked for, or fewer
            than `count` have a finite score.
    """
    if score.shape != motions.shape[:1] or not 1 <= count <= len(score):
        raise ConfigurationError(
            'Selection needs one score per motion, and more motions than it chooses.',
            where='select_best', value=(motions.shape, score.shape, count))
    usable = np.isfinite(score) & np.isfinite(motions).all((1, 2))
    if int(usable.sum()) < count:
        raise ConfigurationError(
            'Too few candidates have a finite score.', where='select_best',
            value=int(usable.sum()), allowed=f'>= {count}')
    index = np.argsort(np.where(usable, score, np.inf), kind='stable')[:count]
    return Selected(motions[index], score[index], index)
