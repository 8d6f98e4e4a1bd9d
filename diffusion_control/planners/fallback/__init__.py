# SPDX-License-Identifier: Apache-2.0
"""Conservative policies to the same goal, behind the same protocol as planners."""

from diffusion_control.planners.registry import available_fallbacks as available
from diffusion_control.planners.registry import make_fallback as make

__all__ = ['available', 'make']
