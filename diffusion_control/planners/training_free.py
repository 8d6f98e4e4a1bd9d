# SPDX-License-Identifier: Apache-2.0
"""Model-based diffusion over spline motions: a reverse diffusion that needs no data.

C. Pan, Z. Yi, G. Shi, G. Qu, "Model-Based Diffusion for Trajectory Optimization", NeurIPS 2024.

The motions P (free control points of a spline) are drawn from p0(P) ~ exp(-J(P) / temperature),
J = the cost of `spline_problem`. With noise of scale sigma and covariance S the density is
p_sigma = p0 * N(0, sigma^2 S). Its score at P is estimated by Monte Carlo from the robot's own
model, without gradients: with samples Y_i = P + sigma e_i, e_i ~ N(0, S) and weights
w_i = softmax(-J(Y_i) / (temperature * std J)),

    sigma^2 S grad log p_sigma(P) = sum_i w_i Y_i - P,

so that one reverse step is P <- P + sigma^2 S grad log p_sigma(P) = sum_i w_i Y_i, and sigma
falls geometrically to 0.05 rad. S is smooth. M chains run side by side, so that several ways
around the obstacles are held at once: the cheapest of 16 M random smooth starts (sigma 1), with
sigma 0.5 from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.parameters import parameter
from diffusion_control.planners.selection import Pool, by_cost, polish, rank
from diffusion_control.planners.spline_planner import Request, SplineParameters, SplinePlanner
from diffusion_control.planners.trace import SHOWN_MOTIONS, Denoised, Observer, knot_norms

Array = NDArray[np.float64]
SIGMA_MAX, SIGMA_MIN = 1.0, 0.05
SIGMA_START = 0.5
SCREENED = 16
WARM_SAMPLE_SHARE = 0.5
WARM_POLISH_SHARE = 0.5
GOALS_AT_ONCE = 3
ENOUGH_FREE = 3
ENOUGH_SIGMA = 0.3
RESERVE_S = 0.025


@dataclass(frozen=True)
class TrainingFreeParameters(SplineParameters):
    """Settings of the model-based diffusion."""

    num_inference_steps: int = parameter(14, 1, 500, 'reverse steps without a warm start')
    warm_start_level: float = parameter(
        0.5, 0.05, 1.0, 'noise put on the previous plan: share of the schedule that is run')
    guidance_scale: float = parameter(
        1.0, 0.01, 100.0, 'weight of the collision cost in the score')
    num_chains: int = parameter(32, 1, 256, 'chains side by side')
    num_warm_chains: int = parameter(4, 1, 256, 'chains while the previous plan is free')
    num_samples: int = parameter(256, 2, 65536, 'roll-outs per reverse step, over all chains')
    temperature: float = parameter(0.05, 0.001, 10.0, 'of the softmax, in deviations of the cost')
    polish_count: int = parameter(24, 0, 64, 'motions that are polished by gradient steps')
    polish_steps: int = parameter(30, 0, 200, 'gradient steps of the polish')


@dataclass
class Chains:
    """M chains: means [M, F, n], goals [M, n], durations [M] [s], noise [M] [rad]."""

    mean: Array
    goal: Array
    duration: Array
    sigma: Array


def sigma_at(level: float) -> float:
    """Return the noise scale [rad] at a level in [0, 1] of the geometric schedule."""
    return float(SIGMA_MIN * (SIGMA_MAX / SIGMA_MIN) ** level)


def score_step(samples: Array, cost: Array, temperature: float) -> Array:
    """Return the weighted means of the samples: where one reverse step leads each chain.

    Args:
        samples: Motions Y_i, shape [M, s, F, n].
        cost: J(Y_i), shape [M, s].
        temperature: In standard deviations of the cost of a chain.
    """
    spread = temperature * cost.std(1, keepdims=True) + 1e-9
    weight = np.exp(-(cost - cost.min(1, keepdims=True)) / spread)
    weight /= weight.sum(1, keepdims=True)
    mean: Array = np.einsum('ms,msfn->mfn', weight, samples)
    return mean


def _show(
    observer: Observer, request: Request, chains: Chains, before: Array,
    noised: NDArray[np.float32],
) -> None:
    """Tell an observer of a step from means `before`, with one noised motion of each chain."""
    kept = slice(SHOWN_MOTIONS)
    goal, duration = chains.goal[kept], chains.duration[kept]
    shown = request.splines.shown
    observer(Denoised(
        float(chains.sigma.mean()), shown(noised[kept].astype(float), goal, duration),
        shown(chains.mean[kept], goal, duration),
        knot_norms((chains.mean - before)[kept], chains.sigma[kept])))


class TrainingFreePlanner(SplinePlanner):
    """Plans by model-based diffusion, warm-started from its previous plan.

    Without a usable previous plan M chains start from smooth noise around the line to the
    goal. While the previous plan is free, a few chains start from it at `warm_start_level`, and
    it stays a candidate that only a clearly shorter motion replaces. When it is blocked, half of
    the chains start from it and half from noise.
    """

    name = 'training_free'
    rounds = 3
    parameters_type = TrainingFreeParameters

    def propose(self, request: Request, until: float) -> Pool:
        """Run the reverse diffusion until the deadline and polish what came out."""
        lines = request.lines(GOALS_AT_ONCE)
        if request.at_goal:
            return lines
        chains, steps, samples = self._begin(request, lines)
        pool = self._reverse(
            request, chains, steps, samples, self.search_until(until, RESERVE_S)).join(lines)
        self.searched = self.clock()
        if self.values.polish_count == 0:
            return pool
        share = WARM_POLISH_SHARE if request.kept_free else 1.0  # a free plan is there already
        return polish(
            request.splines, pool, count=max(1, round(share * self.values.polish_count)),
            steps=max(1, round(share * self.values.polish_steps)), due=self.due)

    def _begin(self, request: Request, lines: Pool) -> tuple[Chains, int, int]:
        """Return the chains, the number of reverse steps and of samples per step."""
        values: Any = self.values
        warm = request.kept_spline()
        if warm is not None and request.kept_free:
            chains = self._warm(request, warm, values.num_warm_chains, values.warm_start_level)
            steps = max(1, round(values.warm_start_level * values.num_inference_steps))
            return chains, steps, max(2, int(WARM_SAMPLE_SHARE * values.num_samples))
        chains = self._cold(request, lines, values.num_chains)
        if warm is not None and values.num_chains > 1:
            half = values.num_chains // 2
            old = self._warm(request, warm, half, max(values.warm_start_level, 0.7))
            chains = Chains(*(
                np.concatenate([getattr(old, name), getattr(chains, name)[half:]])
                for name in ('mean', 'goal', 'duration', 'sigma')))
        return chains, values.num_inference_steps, values.num_samples

    def _cold(self, request: Request, lines: Pool, count: int) -> Chains:
        """Return the cheapest of many smooth random starts around the lines.

        Half of them lead to the nearest goal, the other half to the others in turn.
        """
        draws = SCREENED * count
        which = np.zeros(draws, dtype=np.int64)
        which[1::2] = np.arange(len(which[1::2])) % len(lines.free)
        mean = lines.free[which]
        mean[1:] += SIGMA_MAX * request.splines.noise(self.generator, (draws - 1,))
        pool = Pool(request.splines.clip(mean), lines.goal[which], lines.duration[which])
        best = pool.take(by_cost(request.splines, pool)[:count])
        return Chains(best.free, best.goal, best.duration, np.full(count, SIGMA_START))

    def _warm(self, request: Request, warm: Pool, count: int, level: float) -> Chains:
        """Return chains from the previous plan, all but the first two re-noised."""
        index = np.zeros(count, dtype=np.int64)
        mean, sigma = warm.free[index], sigma_at(level)
        mean[2:] += sigma * request.splines.noise(self.generator, (len(mean[2:]),))
        return Chains(
            request.splines.clip(mean), warm.goal[index], warm.duration[index],
            np.full(count, sigma))

    def _reverse(
        self, request: Request, chains: Chains, steps: int, samples: int, until: float
    ) -> Pool:
        """Run the reverse steps; fewer and larger ones where time gets short.

        Returns:
            The clean estimates of all chains, and the cheapest sample of each.
        """
        splines, count = request.splines, len(chains.mean)
        each = max(2, samples // count)
        best, cheapest = chains.mean.copy(), np.full(count, np.inf)
        began, done = self.clock(), 0
        while done < steps:
            draws = np.empty((count, each, *chains.mean.shape[1:]), dtype=np.float32)
            draws[:] = splines.noise(self.generator, (count, each))
            draws[:, 0] = 0.0
            draws *= chains.sigma[:, None, None, None].astype(np.float32)
            draws += chains.mean[:, None].astype(np.float32)
            np.clip(draws, splines.lower32, splines.upper32, out=draws)
            cost = self._cost(request, draws, chains)
            lowest = cost.argmin(1)
            lower = cost.min(1) < cheapest
            best[lower] = draws[lower, lowest[lower]]
            cheapest = np.minimum(cheapest, cost.min(1))
            before = chains.mean
            chains.mean = score_step(draws, cost, self.values.temperature).astype(float)
            if self.observer is not None:
                _show(self.observer, request, chains, before, draws[:, -1])
            done += 1
            now = self.clock()
            fitting = int((until - now) / max((now - began) / done, 1e-9)) if (
                np.isfinite(until)) else steps
            steps = done + max(0, min(steps - done, fitting))
            chains.sigma = chains.sigma * (SIGMA_MIN / chains.sigma) ** (
                1.0 / max(steps - done, 1))
            _, chains.duration = splines.fit_duration(
                chains.mean, chains.goal, chains.duration)
            watched = self.observer is not None  # is shown the whole schedule
            if not watched and done % 3 == 0 and done < steps and self._enough(request, chains):
                break
        return Pool(chains.mean, chains.goal, chains.duration).join(
            Pool(best, chains.goal, chains.duration))

    def _cost(self, request: Request, draws: NDArray[np.float32], chains: Chains) -> Array:
        """Return the cost of samples [M, s, F, n] with the goals and durations of their chains."""
        count, each = draws.shape[:2]
        goal, duration = np.repeat(chains.goal, each, 0), np.repeat(chains.duration, each)
        points = request.splines.assemble(
            draws.reshape(count * each, *draws.shape[2:]), goal, duration)
        return request.splines.cost(points, duration).reshape(count, each)

    def _enough(self, request: Request, chains: Chains) -> bool:
        """Say whether several chains are already free, so that the polish can take over."""
        if len(chains.mean) <= ENOUGH_FREE or chains.sigma.max() > ENOUGH_SIGMA:
            return False
        _, key = rank(request.splines, Pool(chains.mean, chains.goal, chains.duration))
        return bool((key < 1000.0).sum() >= ENOUGH_FREE)
