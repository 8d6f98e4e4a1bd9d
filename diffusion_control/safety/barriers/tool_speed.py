# SPDX-License-Identifier: Apache-2.0
"""Tool speed barrier: h = s_max - |J v| [m/s].

The ball |J v| <= s_max is replaced by its supporting half-space in the direction u of the nominal
tool velocity and two pairs at right angles, u' J v <= s_max and |t' J v| <= s_max / 2 for the two
other axes t. The rows are widened to admit the stored motion's velocity. The verification checks
the tool's speed itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.safety.barriers.step import Rows, Step, rows

Array = NDArray[np.float64]


def barrier(step: Step, jacobian: Array, nominal: Array, top_m_s: float) -> Rows:
    """Return five rows.

    Args:
        step: The step.
        jacobian: Of the tool's position, shape [3, n].
        nominal: Velocity of the joints that is asked for, shape [n].
        top_m_s: s_max [m/s].
    """
    asked = jacobian @ nominal
    size = float(np.linalg.norm(asked))
    along = asked / size if size > 1e-9 else np.array([1.0, 0.0, 0.0])
    least = np.zeros(3)
    least[int(np.argmin(np.abs(along)))] = 1.0
    across = np.cross(along, least)
    across /= np.linalg.norm(across)
    directions = np.stack([along, across, -across, np.cross(along, across)])
    directions = np.concatenate([directions, -directions[3:]])
    slope = -directions @ jacobian
    top = np.full(5, top_m_s / 2)
    top[0] = top_m_s
    top = np.maximum(top, -(slope @ step.stopping))
    return rows(slope, -top, -1, top + slope @ step.velocity)
