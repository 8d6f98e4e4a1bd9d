# SPDX-License-Identifier: Apache-2.0
"""The coefficient table of a run, for a model whose card says how it was trained."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from diffusion_control.diffusion.prediction import Prediction
from diffusion_control.diffusion.samplers import make_sampler
from diffusion_control.diffusion.schedules import make_schedule
from diffusion_control.diffusion.table import Table, tabulate
from diffusion_control.errors import ConfigurationError
from diffusion_control.inference.card import ModelCard

DEFAULT_SAMPLER = 'ddim'


def table_of(
    card: ModelCard, evaluations: int, *, start: float = 1.0, sampler: str = DEFAULT_SAMPLER
) -> Table:
    """Return the table of a run of so many evaluations.

    Args:
        card: Its key `diffusion` names `schedule` and `prediction`.
        evaluations: K, at least 1.
        start: Level to start from, in (0, 1]; 1 is pure noise.
        sampler: A name of `diffusion.samplers`.

    Raises:
        ConfigurationError: The card does not say, or names what this version does not know.
    """
    about = card.extra.get('diffusion')
    if not isinstance(about, Mapping) or not {'schedule', 'prediction'} <= set(about):
        raise ConfigurationError(
            'the model card does not say how the model was trained', where='card.json: diffusion',
            value=about, allowed='{schedule, prediction}', remedy='export the model again')
    return tabulate(
        make_sampler(sampler), make_schedule(about['schedule']), Prediction(about['prediction']),
        evaluations, start)


def rows32(table: Table) -> NDArray[np.float32]:
    """Return the rows as a graph takes them."""
    return table.rows.astype(np.float32)
