# SPDX-License-Identifier: Apache-2.0
"""DPM-Solver++(2M): second order from the estimate of the step before, one evaluation a step.

With l = ln(alpha / sigma), h = l' - l and r = h_before / h,

    D  = (1 + 1 / (2 r)) x0 - 1 / (2 r) x0_before,
    x' = (sigma' / sigma) x + alpha' (1 - exp(-h)) D,

with exp(-h) = alpha sigma' / (alpha' sigma). The first step and the step to the clean
end (h infinite) take D = x0.

`stochastic` is the same order for the reverse SDE (SDE-DPM-Solver++):

    x' = (sigma' / sigma) exp(-h) x + alpha' (1 - exp(-2 h)) D + sigma' sqrt(1 - exp(-2 h)) noise.

Original: C. Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic
Models", 2022, arXiv:2211.01095 (algorithm 2, and the SDE in its
appendix).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from diffusion_control.diffusion.levels import Levels
from diffusion_control.diffusion.samplers.moves import Move


@dataclass(frozen=True)
class DpmSolverPp2M:
    """Second-order multistep sampler for the ODE or, if `stochastic`, the SDE."""

    stochastic: bool = False
    name: str = 'dpm_solver_pp_2m'

    def points(self, evaluations: int) -> int:
        """Return one level per evaluation."""
        return evaluations

    def moves(self, levels: Levels, evaluations: int) -> list[Move]:
        """Return the multistep moves."""
        with np.errstate(divide='ignore'):
            log_snr = np.log(levels.alpha) - np.log(levels.sigma)
        found = []
        for i in range(evaluations):
            middle = 0 < i < evaluations - 1
            before = 0.0  # 1 / (2 r)
            if middle:
                step, step_before = log_snr[i + 1] - log_snr[i], log_snr[i] - log_snr[i - 1]
                before = float(step / (2.0 * step_before))
            found.append(self._move(levels, i, before))
        return found

    def _move(self, levels: Levels, i: int, before: float) -> Move:
        alpha, next_alpha = float(levels.alpha[i]), float(levels.alpha[i + 1])
        shrink = float(levels.sigma[i + 1] / levels.sigma[i])
        decay = alpha * shrink / next_alpha  # exp(-h)
        if not self.stochastic:
            gain = next_alpha * (1.0 - decay)
            return Move(i, shrink, gain * (1.0 + before), -gain * before)
        gain = next_alpha * (1.0 - decay**2)
        noise = float(levels.sigma[i + 1]) * math.sqrt(1.0 - decay**2)
        return Move(i, shrink * decay, gain * (1.0 + before), -gain * before, noise)
