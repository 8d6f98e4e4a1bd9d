# SPDX-License-Identifier: Apache-2.0
"""Samplers by name."""

from __future__ import annotations

from typing import Any

from diffusion_control.diffusion.samplers.ancestral import Ancestral
from diffusion_control.diffusion.samplers.ddim import Ddim
from diffusion_control.diffusion.samplers.ddpm import Ddpm
from diffusion_control.diffusion.samplers.dpm_solver_pp_2m import DpmSolverPp2M
from diffusion_control.diffusion.samplers.euler import Euler
from diffusion_control.diffusion.samplers.heun import Heun
from diffusion_control.diffusion.samplers.moves import Sampler
from diffusion_control.errors import require_known

SAMPLERS: dict[str, Any] = {
    'ddpm': Ddpm,
    'ddim': Ddim,
    'dpm_solver_pp_2m': DpmSolverPp2M,
    'heun': Heun,
    'euler': Euler,
    'ancestral': Ancestral,
}


def make_sampler(name: str, **options: Any) -> Sampler:
    """Return the sampler of that name.

    Raises:
        ConfigurationError: An unknown name.
    """
    require_known('Unknown sampler.', 'sampler', name, SAMPLERS)
    sampler: Sampler = SAMPLERS[name](**options)
    return sampler
