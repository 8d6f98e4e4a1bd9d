# SPDX-License-Identifier: Apache-2.0
"""Let a learned diffusion planner drive a real robot in real time, safely."""

__version__ = '0.1.0'
