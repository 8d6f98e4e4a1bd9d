# SPDX-License-Identifier: Apache-2.0
"""A whole sampling run as a table of numbers: one row per network evaluation.

The table is all that tells one sampler, schedule, number of steps or start level from another, so
an exported graph takes it as an input and never has to be exported again. Float64 here, cast to
the type of the motions when it is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.diffusion.levels import Levels, Schedule, select
from diffusion_control.diffusion.prediction import Prediction
from diffusion_control.diffusion.samplers.moves import Sampler
from diffusion_control.errors import ConfigurationError

Array = NDArray[np.float64]
COLUMNS = (
    'time', 'c_in', 'c_x', 'c_out', 'x', 'clean', 'previous', 'noise', 'base', 'keep', 'guide',
    'alpha', 'sigma')
TIME, C_IN, C_X, C_OUT, A, B, C, D, E, KEEP, GUIDE, ALPHA, SIGMA = range(len(COLUMNS))


@dataclass(frozen=True)
class Table:
    """The coefficients of a run.

    Attributes:
        rows: Shape [K, 13], columns as in `COLUMNS`: what the network is told and how its output
            is read (`prediction`), the move that follows (`samplers.moves`), the factor on the
            guidance, and alpha and sigma at the evaluation.
    """

    rows: Array

    def __post_init__(self) -> None:
        shape = self.rows.shape
        if self.rows.ndim != 2 or shape[0] < 1 or shape[1] != len(COLUMNS):
            raise ConfigurationError(
                'A table of sampler coefficients has one row per evaluation.', where='table',
                value=shape, allowed=f'(>= 1, {len(COLUMNS)})')
        if not np.isfinite(self.rows).all():
            raise ConfigurationError(
                'A table of sampler coefficients holds numbers only.', where='table',
                value=self.rows[~np.isfinite(self.rows).all(1)].tolist())

    @property
    def evaluations(self) -> int:
        """Return the number of network evaluations K."""
        return len(self.rows)

    @property
    def alpha(self) -> float:
        """Return the share of signal in the x that the run starts from."""
        return float(self.rows[0, ALPHA])

    @property
    def sigma(self) -> float:
        """Return the noise scale of the x that the run starts from."""
        return float(self.rows[0, SIGMA])

    def guided(self, factor: Array) -> Table:
        """Return the table with another factor on the guidance of each evaluation, shape [K]."""
        rows = self.rows.copy()
        rows[:, GUIDE] = factor
        return Table(rows)

    @property
    def draws_noise(self) -> bool:
        """Say whether any row adds fresh noise."""
        return bool(np.any(self.rows[:, D] != 0.0))


def tabulate_levels(
    sampler: Sampler, levels: Levels, prediction: Prediction, evaluations: int
) -> Table:
    """Return the table of a run over given levels.

    Raises:
        ConfigurationError: The sampler visits another number of levels in so many evaluations.
    """
    if len(levels.time) != sampler.points(evaluations):
        raise ConfigurationError(
            'The levels do not fit the evaluations of this sampler.', where=sampler.name,
            value=len(levels.time), allowed=str(sampler.points(evaluations)))
    moves = sampler.moves(levels, evaluations)
    at = np.array([move.level for move in moves])
    alpha, sigma = levels.alpha[at], levels.sigma[at]
    reading = prediction.read(alpha, sigma)
    rows = np.zeros((len(moves), len(COLUMNS)))
    rows[:, TIME] = levels.time[at]
    rows[:, C_IN], rows[:, C_X], rows[:, C_OUT] = reading.c_in, reading.c_x, reading.c_out
    rows[:, A:GUIDE] = [
        [m.x, m.clean, m.previous, m.noise, m.base, float(m.keep)] for m in moves]
    rows[:, GUIDE] = 1.0
    rows[:, ALPHA], rows[:, SIGMA] = alpha, sigma
    return Table(rows)


def tabulate(
    sampler: Sampler, schedule: Schedule, prediction: Prediction, evaluations: int,
    start: float = 1.0,
) -> Table:
    """Return the table of a run of so many network evaluations.

    Args:
        sampler: The rule.
        schedule: The forward process that the network was trained for.
        prediction: What the network puts out.
        evaluations: K, at least 1.
        start: Level to start from, in (0, 1]; 1 is pure noise.
    """
    points = sampler.points(evaluations) if evaluations > 0 else evaluations
    return tabulate_levels(sampler, select(schedule, points, start), prediction, evaluations)
