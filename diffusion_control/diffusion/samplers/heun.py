# SPDX-License-Identifier: Apache-2.0
"""Heun's method on the probability-flow ODE: a step is tried, and its slopes are averaged.

In z = x / w with w = `levels.scale`, p = alpha / w and q = sigma / w, the ODE is

    dz = dp x0 + dq e,     e = (z - p x0) / q,

and with hp = p' - p, hq = q' - q a step of two evaluations is

    z~ = z + hp x0 + hq e                                            (Euler, at z)
    z' = z + hp (x0 + x0~) / 2 + hq (e + e~) / 2                     (corrected, at z~).

The second move sees z as the base and x0 as the previous estimate. The last step, to the clean
end, is an Euler step, so M levels take 2 M - 1 evaluations; with an even number of evaluations the
first step is an Euler step too.

Original: T. Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models",
NeurIPS 2022 (algorithm 1).
"""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.diffusion.levels import Levels
from diffusion_control.diffusion.samplers.euler import euler_move
from diffusion_control.diffusion.samplers.moves import Move


def corrected_move(levels: Levels, i: int) -> Move:
    """Return the second half of the step from level i, evaluated at level i + 1."""
    scale, next_scale = levels.scale[i], levels.scale[i + 1]
    p, q = levels.alpha[i] / scale, levels.sigma[i] / scale
    next_p, next_q = levels.alpha[i + 1] / next_scale, levels.sigma[i + 1] / next_scale
    half_p, half_q = (next_p - p) / 2.0, (next_q - q) / 2.0
    x = half_q / next_q  # e~ = (z~ - p' x0~) / q', and x~ = w' z~
    clean = next_scale * (half_p - half_q * next_p / next_q)
    previous = next_scale * (half_p - half_q * p / q)
    base = next_scale / scale * (1.0 + half_q / q)
    return Move(i + 1, float(x), float(clean), float(previous), base=float(base))


@dataclass(frozen=True)
class Heun:
    """Second-order ODE sampler, two evaluations a step."""

    name: str = 'heun'

    def points(self, evaluations: int) -> int:
        """Return the levels that so many evaluations visit."""
        return evaluations // 2 + 1

    def moves(self, levels: Levels, evaluations: int) -> list[Move]:
        """Return Euler and corrected moves in turn."""
        last = len(levels.time) - 1
        found: list[Move] = []
        for i in range(last):
            plain = evaluations % 2 == 0 and i == 0
            found.append(euler_move(levels, i, keep=not plain))
            if not plain:
                found.append(corrected_move(levels, i))
        return [*found, euler_move(levels, last)]
