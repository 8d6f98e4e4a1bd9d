# SPDX-License-Identifier: Apache-2.0
"""Closed-form checks of the diffusion engine, in numpy: is what is timed right at all.

The target is a mixture of three Gaussians N(m_i, s^2 I) in the plane. With x = a x0 + b e its
posterior mean, the exact network that predicts clean samples, is known:

    E[x0 | x] = sum_i w_i(x) (m_i + a s^2 / v (x - a m_i)),    v = a^2 s^2 + b^2,
    w_i(x) ~ w_i exp(-|x - a m_i|^2 / (2 v)).

Every expected value comes from these formulas or from scipy's integrator, none from the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.stats import ks_2samp

from diffusion_control.diffusion import sampling
from diffusion_control.diffusion.guidance import classifier_free
from diffusion_control.diffusion.inpainting import Known
from diffusion_control.diffusion.prediction import Prediction
from diffusion_control.diffusion.samplers import SAMPLERS, make_sampler
from diffusion_control.diffusion.schedules import make_schedule
from diffusion_control.diffusion.table import Table, tabulate
from diffusion_control.evaluation.bench_inference_setup import Row, Setup, Task

Array = NDArray[np.float64]
MODES = np.array([[-1.0, 0.5], [0.8, -0.2], [0.9, 1.1]])
WEIGHTS = np.array([0.2, 0.5, 0.3])
OTHER_WEIGHTS = np.array([0.05, 0.05, 0.9])
DEVIATION = 0.15
MEAN = WEIGHTS @ MODES
COVARIANCE = (MODES - MEAN).T @ (WEIGHTS[:, None] * (MODES - MEAN)) + DEVIATION**2 * np.eye(2)
DRAWS, LONG, ORDER_EVALUATIONS, ENDS = 4000, 250, 51, 40
MOST_LAW_ERROR, MOST_ORDER_RATIO, MOST_KNOWN_ERROR, LEAST_P = 0.04, 0.7, 1e-6, 0.01
SIGMA_MAX = 80.0


def posterior_mean(x: Array, alpha: float, sigma: float, weights: Array) -> Array:
    """Return E[x0 | x], shape [..., 2]."""
    variance = alpha**2 * DEVIATION**2 + sigma**2
    apart = x[..., None, :] - alpha * MODES
    log = np.log(weights) - (apart**2).sum(-1) / (2.0 * variance)
    share = np.exp(log - log.max(-1, keepdims=True))
    share /= share.sum(-1, keepdims=True)
    mean: Array = (share[..., None] * (MODES + alpha * DEVIATION**2 / variance * apart)).sum(-2)
    return mean


def flow_network(x: Array, time: Any, weights: Array = WEIGHTS) -> Array:
    """Return the exact network of flow matching: a = 1 - t / 1000, b = t / 1000."""
    level = float(time) / 1000.0
    return posterior_mean(x, 1.0 - level, level, weights)


def edm_network(x: Array, time: Any) -> Array:
    """Return the exact network of the schedule `edm`: a = 1, b = exp(t / 250), x scaled."""
    sigma = float(np.exp(float(time) / 250.0))
    return posterior_mean(x * np.sqrt(1.0 + sigma**2), 1.0, sigma, WEIGHTS)


def drawn(table: Table, network: Callable[[Array, Any], Array], seed: int, **how: Any) -> Array:
    """Return samples [DRAWS, 2]."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(DRAWS, 1, 2))
    fresh: Any = None
    if table.draws_noise:
        fresh = generator.normal(size=(table.evaluations, DRAWS, 1, 2))
    found: Array = np.asarray(sampling.sample(network, table, noise, fresh=fresh, **how))[:, 0]
    return found


def law_error(sampler: str) -> float:
    """Return the largest error of mean, covariance and mode weights after a long run."""
    table = tabulate(make_sampler(sampler), make_schedule('flow'), Prediction('sample'), LONG)
    found = drawn(table, flow_network, 0)
    nearest = ((found[:, None] - MODES) ** 2).sum(-1).argmin(1)
    share = np.bincount(nearest, minlength=len(MODES)) / DRAWS
    wrong = (found.mean(0) - MEAN, np.cov(found.T) - COVARIANCE, share - WEIGHTS)
    return max(float(np.abs(part).max()) for part in wrong)


def order_ratio(sampler: str) -> float:
    """Return the error of a second-order sampler over Euler's at equal evaluations.

    The mean distance to where the probability-flow ODE leads, by scipy.
    """
    noise = np.random.default_rng(5).normal(size=(ENDS, 1, 2))

    def slope(log_sigma: float, flat: Array) -> Array:
        x = flat.reshape(noise.shape)
        return (x - posterior_mean(x, 1.0, float(np.exp(log_sigma)), WEIGHTS)).ravel()
    exact = solve_ivp(slope, (np.log(SIGMA_MAX), np.log(1e-4)), (SIGMA_MAX * noise).ravel(),
                      rtol=1e-7, atol=1e-9).y[:, -1].reshape(noise.shape)

    def error(name: str) -> float:
        table = tabulate(make_sampler(name), make_schedule('edm'), Prediction('sample'),
                         ORDER_EVALUATIONS)
        found = sampling.sample(edm_network, table, noise)
        return float(np.linalg.norm(found - exact, axis=-1).mean())
    return error(sampler) / error('euler')


def known_error(sampler: str) -> float:
    """Return how far known values are from what they should be, after a run of 7 evaluations."""
    mask = np.zeros((1, 1, 2))
    mask[..., 0] = 1.0
    values = np.full((1, 1, 2), 0.37)
    table = tabulate(make_sampler(sampler), make_schedule('flow'), Prediction('sample'), 7)
    found = drawn(table, flow_network, 3, known=Known(mask, values))
    return float(np.abs(found[:, 0] - 0.37).max())


def unconditional_p(scale: float) -> float:
    """Return the least p-value of the hypothesis that guidance of this scale changes no law.

    Two-sample Kolmogorov-Smirnov (N. Smirnov, Ann. Math. Stat. 19, 1948) for each coordinate.
    """
    table = tabulate(make_sampler('ddpm'), make_schedule('flow'), Prediction('sample'), 40)
    guided = classifier_free(partial(flow_network, weights=OTHER_WEIGHTS), flow_network, scale)
    one, other = drawn(table, flow_network, 1), drawn(table, guided, 2)
    return min(float(ks_2samp(one[:, axis], other[:, axis]).pvalue) for axis in range(2))


ORACLES: dict[str, tuple[Callable[[], float], float, bool]] = {
    **{f'law of {name}': (partial(law_error, name), MOST_LAW_ERROR, False) for name in SAMPLERS},
    **{f'order of {name}': (partial(order_ratio, name), MOST_ORDER_RATIO, False)
       for name in ('heun', 'dpm_solver_pp_2m')},
    **{f'known values, {name}': (partial(known_error, name), MOST_KNOWN_ERROR, False)
       for name in ('ddim', 'ddpm')},
    'guidance scale 0': (partial(unconditional_p, 0.0), LEAST_P, True),
    'guidance scale 1 is noticed': (partial(unconditional_p, 1.0), LEAST_P, False)}
"""Name -> (value, bound, whether the value has to be at least the bound, else at most)."""


def consult(setup: Setup, task: Task) -> Row:
    """Return the value of one oracle, its bound, and whether it holds."""
    del setup
    function, bound, at_least = ORACLES[task.name]
    value = function()
    return {'value': value, 'bound': bound, 'at_least': at_least,
            'holds': value >= bound if at_least else value <= bound}
