# SPDX-License-Identifier: Apache-2.0
"""Samplers on a Gaussian mixture, whose denoiser and law are known in closed form."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import ks_2samp

from diffusion_control.diffusion import sampling
from diffusion_control.diffusion.guidance import classifier_free
from diffusion_control.diffusion.learned_times import fit_times
from diffusion_control.diffusion.prediction import Prediction
from diffusion_control.diffusion.samplers import SAMPLERS, make_sampler
from diffusion_control.diffusion.samplers.dpm_solver_pp_2m import DpmSolverPp2M
from diffusion_control.diffusion.schedules import make_schedule
from diffusion_control.diffusion.table import Table, tabulate
from diffusion_control.errors import ConfigurationError

Array = np.ndarray
MODES = np.array([[-1.0, 0.5], [0.8, -0.2], [0.9, 1.1]])
WEIGHTS = np.array([0.2, 0.5, 0.3])
DEVIATION = 0.15
MEAN = WEIGHTS @ MODES
COVARIANCE = (MODES - MEAN).T @ (WEIGHTS[:, None] * (MODES - MEAN)) + DEVIATION**2 * np.eye(2)
DRAWS = 6000
SCHEDULES = ('linear', 'cosine', 'edm', 'flow')


def scales(schedule: str, time: float) -> tuple[float, float]:
    """Return alpha and sigma at a time, from the definitions."""
    if schedule == 'edm':
        return 1.0, float(np.exp(time / 250.0))
    if schedule == 'flow':
        return 1.0 - time / 1000.0, time / 1000.0
    if schedule == 'linear':
        signal = np.prod(1.0 - np.linspace(1e-4, 0.02, 1000)[: round(time) + 1])
    else:
        f = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
        signal = np.prod(np.maximum(f[1:] / f[:-1], 0.001)[: round(time) + 1])
    return float(np.sqrt(signal)), float(np.sqrt(1.0 - signal))


def posterior_mean(x: Array, alpha: float, sigma: float, weights: Array = WEIGHTS) -> Array:
    """Return E[x0 | x] of the mixture, shape [..., 2]."""
    variance = alpha**2 * DEVIATION**2 + sigma**2
    apart = x[..., None, :] - alpha * MODES
    log = np.log(weights) - (apart**2).sum(-1) / (2.0 * variance)
    share = np.exp(log - log.max(-1, keepdims=True))
    share /= share.sum(-1, keepdims=True)
    mean = MODES + alpha * DEVIATION**2 / variance * apart
    return (share[..., None] * mean).sum(-2)


def denoiser(schedule: str, weights: Array = WEIGHTS) -> Callable[[Array, Any], Array]:
    """Return the exact network that predicts the clean sample."""
    def denoise(x: Array, time: Any) -> Array:
        alpha, sigma = scales(schedule, float(time))
        seen = 1.0 / np.sqrt(max(1.0, alpha**2 + sigma**2))
        return posterior_mean(x / seen, alpha, sigma, weights)
    return denoise


def draw(table: Table, denoise: Any, seed: int = 0, **options: Any) -> Array:
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(DRAWS, 1, 2))
    fresh = generator.normal(size=(table.evaluations, DRAWS, 1, 2)) if table.draws_noise else None
    return np.asarray(sampling.sample(denoise, table, noise, fresh=fresh, **options))


def shares(motions: Array) -> Array:
    nearest = ((motions[:, 0, None] - MODES) ** 2).sum(-1).argmin(1)
    return np.bincount(nearest, minlength=len(MODES)) / len(motions)


@pytest.mark.parametrize('schedule', SCHEDULES)
@pytest.mark.parametrize('name', [*SAMPLERS, 'sde'])
def test_moments_and_mode_weights(name: str, schedule: str) -> None:
    """Means to 0.025, covariance to 0.03, mode weights to 0.02, spread in a mode to 8 %."""
    sampler = DpmSolverPp2M(stochastic=True) if name == 'sde' else make_sampler(name)
    table = tabulate(sampler, make_schedule(schedule), Prediction('sample'), 250)
    motions = draw(table, denoiser(schedule))
    assert np.abs(motions.mean((0, 1)) - MEAN).max() < 0.025
    assert np.abs(np.cov(motions[:, 0].T) - COVARIANCE).max() < 0.03
    assert np.abs(shares(motions) - WEIGHTS).max() < 0.02
    apart = motions[:, 0, None] - MODES
    nearest = (apart**2).sum(-1).argmin(1)
    inside = apart[np.arange(DRAWS), nearest]
    assert inside.std() == pytest.approx(DEVIATION, rel=0.08)


def exact_ends(noise: Array, sigma_max: float) -> Array:
    """Return where the probability-flow ODE (alpha = 1) leads, by scipy."""
    def slope(log_sigma: float, flat: Array) -> Array:
        x = flat.reshape(noise.shape)
        return (x - posterior_mean(x, 1.0, np.exp(log_sigma))).ravel()
    solved = solve_ivp(
        slope, (np.log(sigma_max), np.log(1e-4)), (sigma_max * noise).ravel(), rtol=1e-7,
        atol=1e-9)
    return np.asarray(solved.y[:, -1]).reshape(noise.shape)


@pytest.fixture(scope='module')
def ends() -> tuple[Array, Array]:
    noise = np.random.default_rng(5).normal(size=(60, 1, 2))
    return noise, exact_ends(noise, 80.0)


def error(name: str, evaluations: int, ends: tuple[Array, Array]) -> float:
    """Return the mean distance to the exact end of the ODE."""
    noise, exact = ends
    table = tabulate(make_sampler(name), make_schedule('edm'), Prediction('sample'), evaluations)
    found = sampling.sample(denoiser('edm'), table, noise)
    return float(np.linalg.norm(found - exact, axis=-1).mean())


@pytest.mark.parametrize(('name', 'from_'), [('heun', 35), ('dpm_solver_pp_2m', 15)])
def test_second_order_is_better_at_equal_evaluations(
    name: str, from_: int, ends: tuple[Array, Array]
) -> None:
    """Heun, at two evaluations a step, needs more of them before its order counts."""
    for evaluations in (from_, 51, 101):
        assert error(name, evaluations, ends) < 0.7 * error('euler', evaluations, ends)
    assert error(name, 101, ends) < 0.2 * error('euler', 101, ends)


def test_order_of_convergence(ends: tuple[Array, Array]) -> None:
    """Twice the evaluations: half the error at first order, a quarter at second."""
    def order(name: str) -> float:
        return float(np.log2(error(name, 101, ends) / error(name, 201, ends)))
    assert 0.8 < order('euler') < 1.3
    assert order('heun') > 1.6
    assert order('dpm_solver_pp_2m') > 1.6


@pytest.mark.parametrize('name', ['ddim', 'dpm_solver_pp_2m'])
def test_more_evaluations_are_better(name: str, ends: tuple[Array, Array]) -> None:
    """A run cut short gets better with its length; a table that was short is better still."""
    noise, exact = ends
    table = tabulate(make_sampler(name), make_schedule('edm'), Prediction('sample'), 20)
    far = [float(np.linalg.norm(found.clean - exact, axis=-1).mean())
           for found in sampling.run(denoiser('edm'), table, noise)]
    assert all(later < earlier + 0.003 for earlier, later in pairwise(far))
    assert far[-1] < 0.1 * far[0]
    for evaluations in (4, 6, 8):
        assert error(name, evaluations, ends) < 0.7 * far[evaluations - 1]


@pytest.mark.parametrize(('schedule', 'name', 'evaluations', 'share'), [
    ('linear', 'ddim', 3, 0.7), ('linear', 'dpm_solver_pp_2m', 5, 0.5), ('edm', 'euler', 5, 0.6),
    ('edm', 'dpm_solver_pp_2m', 5, 0.5), ('flow', 'dpm_solver_pp_2m', 5, 0.9),
    ('cosine', 'dpm_solver_pp_2m', 5, 0.85),
    ('flow', 'euler', 4, 1.02), ('cosine', 'ddim', 5, 1.02)])  # the last two: nothing to gain
def test_fitted_times_beat_those_of_the_schedule(
    schedule: str, name: str, evaluations: int, share: float
) -> None:
    """Five evaluations or fewer, fresh noise: error to 400 evaluations, as a share of before."""
    sampler, made = make_sampler(name), make_schedule(schedule)
    generator = np.random.default_rng(11)
    fitted = fit_times(
        denoiser(schedule), sampler, made, Prediction('sample'), evaluations,
        generator.normal(size=(200, 1, 2)), whole=schedule in ('linear', 'cosine'))
    assert fitted.error < fitted.error_before
    noise = generator.normal(size=(400, 1, 2))
    def run(table: Table) -> Array:
        return np.asarray(sampling.sample(denoiser(schedule), table, noise))
    ends = run(tabulate(sampler, made, Prediction('sample'), 400))
    plain = tabulate(sampler, made, Prediction('sample'), evaluations)
    def distance(table: Table) -> float:
        return float(np.sqrt(((run(table) - ends)**2).mean()))
    assert fitted.table.evaluations == evaluations and np.all(np.diff(fitted.time) < 0.0)
    assert distance(fitted.table) < share * distance(plain)


def test_times_are_fitted_without_noise_only() -> None:
    with pytest.raises(ConfigurationError, match='deterministic'):
        fit_times(denoiser('flow'), make_sampler('ddpm'), make_schedule('flow'),
                  Prediction('sample'), 3, np.zeros((2, 1, 2)))


@pytest.mark.parametrize('schedule', ['linear', 'flow'])
def test_guidance_scale_zero_is_the_unconditional_law(schedule: str) -> None:
    """Two-sample Kolmogorov-Smirnov per coordinate; scale 1 is another law, and is noticed."""
    condition = np.array([0.05, 0.05, 0.9])
    table = tabulate(
        make_sampler('ddpm'), make_schedule(schedule), Prediction('sample'), 40)
    with_, without = denoiser(schedule, condition), denoiser(schedule)
    unconditional = draw(table, without, seed=1)
    def lowest(scale: float) -> float:
        motions = draw(table, classifier_free(with_, without, scale), seed=2)
        return min(ks_2samp(motions[:, 0, i], unconditional[:, 0, i]).pvalue for i in range(2))
    assert lowest(0.0) > 0.01
    assert lowest(1.0) < 1e-6
    motions = draw(table, classifier_free(with_, without, 1.0), seed=3)
    assert np.abs(shares(motions) - condition).max() < 0.035


def test_warm_start_keeps_its_mode() -> None:
    """From a low level the plan's mode stays; from a high one the law is forgotten again."""
    plan = np.repeat(MODES[:1][None], DRAWS, axis=0) + 0.0
    kept = []
    for start in (0.2, 0.45, 1.0):
        table = tabulate(
            make_sampler('ddim'), make_schedule('flow'), Prediction('sample'), 40, start)
        kept.append(shares(draw(table, denoiser('flow'), plan=plan))[0])
    assert kept[0] > 0.99
    assert kept[0] >= kept[1] > kept[2]
    assert kept[2] == pytest.approx(WEIGHTS[0], abs=0.03)


def test_warm_start_needs_fewer_evaluations() -> None:
    """A plan drawn from the law, noised half way and denoised, follows the law again."""
    table = tabulate(make_sampler('heun'), make_schedule('flow'), Prediction('sample'), 9, 0.5)
    generator = np.random.default_rng(4)
    mode = generator.choice(len(MODES), DRAWS, p=WEIGHTS)
    plan = (MODES[mode] + DEVIATION * generator.normal(size=(DRAWS, 2)))[:, None]
    motions = draw(table, denoiser('flow'), seed=6, plan=plan)
    assert np.abs(shares(motions) - WEIGHTS).max() < 0.025
    assert np.abs(np.cov(motions[:, 0].T) - COVARIANCE).max() < 0.05
