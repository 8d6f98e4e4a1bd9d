# SPDX-License-Identifier: Apache-2.0
"""Why this plan: what guidance, each cost term, each obstacle and the monitor do to it."""

from diffusion_control.explain.question import ExplainOptions
from diffusion_control.explain.report import Explanation, explain

__all__ = ['ExplainOptions', 'Explanation', 'explain']
