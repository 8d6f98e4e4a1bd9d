# SPDX-License-Identifier: Apache-2.0
"""The times of a short run, fitted so that it ends where a long run ends.

With few evaluations it matters where on the schedule they are spent. For K times between the
start time and the last one, with the first held, the error

    E(t_2, ..., t_K) = mean |short run(e) - long run(e)|^2      over start noises e

is lowered by coordinate search: each time in turn is tried between its neighbours, in shrinking
steps. No gradient and no training; the denoiser is evaluated, so this is done once per model,
offline, and the result goes into `levels.at_times`.

Original: D. Watson, J. Ho, M. Norouzi, W. Chan, "Learning to Efficiently Sample from Diffusion
Probabilistic Models", 2021, arXiv:2106.03802 (choosing the times of few steps, there by dynamic
programming on the likelihood); A. Sabour, S. Fidler, K. Kreis, "Align Your Steps: Optimizing
Sampling Schedules in Diffusion Models", ICML 2024 (against the end of a long run).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.diffusion.levels import Schedule, at_times
from diffusion_control.diffusion.prediction import Prediction
from diffusion_control.diffusion.samplers.moves import Sampler
from diffusion_control.diffusion.sampling import Denoise, sample
from diffusion_control.diffusion.table import Table, tabulate, tabulate_levels
from diffusion_control.errors import ConfigurationError

Array = NDArray[np.float64]
SHRINK = 0.6


@dataclass(frozen=True)
class Fitted:
    """Times for a short run.

    Attributes:
        time: Falling, shape [K].
        table: The coefficients of the run at these times.
        error: Root mean square distance to the long run, in units of the motions.
        error_before: The same at the times of the schedule itself.
    """

    time: Array
    table: Table
    error: float
    error_before: float


def fit_times(
    denoise: Denoise, sampler: Sampler, schedule: Schedule, prediction: Prediction,
    evaluations: int, noise: Array, long: int = 100, rounds: int = 12, whole: bool = False,
) -> Fitted:
    """Return the times that bring a short deterministic run closest to a long one.

    Args:
        denoise: The network with its conditions.
        sampler: A deterministic one.
        schedule: The forward process.
        prediction: What the network puts out.
        evaluations: Of the short run.
        noise: Start noises to fit at, shape [B, H, D].
        long: Evaluations of the long run.
        rounds: Of the search, each over all times.
        whole: Whether times are integers, as a discrete schedule needs.

    Raises:
        ConfigurationError: A sampler that draws noise, whose ends cannot be compared.
    """
    reference = tabulate(sampler, schedule, prediction, long)
    if reference.draws_noise:
        raise ConfigurationError(
            'Times are fitted for deterministic samplers only.', where='sampler',
            value=sampler.name, allowed='ddim with eta 0, dpm_solver_pp_2m, heun, euler')
    ends = sample(denoise, reference, noise)

    def table_at(time: Array) -> Table:
        return tabulate_levels(sampler, at_times(schedule, time), prediction, evaluations)

    def error(time: Array) -> float:
        found = sample(denoise, table_at(time), noise)
        return float(np.sqrt(np.mean((found - ends) ** 2)))

    points = sampler.points(evaluations)
    time = np.array(schedule.times(points, 1.0), dtype=np.float64)
    lowest = float(schedule.times(long, 1.0)[-1])
    best = before = error(time)
    reach = 0.5
    for _ in range(rounds):
        for i in range(1, points):
            below = time[i + 1] if i + 1 < points else lowest
            for way in (time[i - 1] - time[i], below - time[i]):
                trial = time.copy()
                trial[i] += reach * way
                trial = np.rint(trial) if whole else trial
                if np.any(np.diff(trial) >= 0.0):
                    continue
                reached = error(trial)
                if reached < best:
                    time, best = trial, reached
        reach *= SHRINK
    return Fitted(time, table_at(time), best, before)
