# SPDX-License-Identifier: Apache-2.0
"""The tracking cost, the same for every joint.

    J(a) = sum_k W_q |q_k - r_k|^2 + W_v |v_k - r'_k|^2 + W_u |a_k|^2 + W_s |a_k - anchor_k|^2

over knots 1..N of one joint; with q = q_free + Q a and v = v_free + V a it is
1/2 a' H a + f' a + constant, H = 2 (W_q Q'Q + W_v V'V + (W_u + W_s) I),
f = -2 (W_q Q'(r - q_free) + W_v V'(r' - v_free) + W_s anchor).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.tracking.prediction import HorizonProblem, Prediction

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """Weights of the cost.

    Attributes:
        position: W_q [1/rad^2], > 0.
        velocity: W_v [s^2/rad^2], >= 0.
        input: W_u [s^4/rad^2], >= 0; trades lag for quiet accelerations.
        smooth: W_s [s^4/rad^2], >= 0; distance to the last solution; W_u + W_s > 0.
    """

    position: float = 1.0
    velocity: float = 1e-3
    input: float = 1e-9
    smooth: float = 2e-7

    def __post_init__(self) -> None:
        """Refuse weights that do not make the cost positive definite."""
        for name in ('position', 'velocity', 'input', 'smooth'):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ConfigurationError(
                    'bad weight of the tracker', where=f'mpc.weight_{name}', value=value,
                    allowed='>= 0')
        if self.position <= 0 or self.input + self.smooth <= 1e-12 * self.position:
            raise ConfigurationError(
                'the tracker needs a weight on positions and one on inputs',
                where='mpc.weight_position, mpc.weight_input, mpc.weight_smooth',
                value=[self.position, self.input, self.smooth],
                allowed='position > 0, input + smooth > 1e-12 x position')


class TrackingCost:
    """Quadratic cost of one joint's accelerations at knots 1..N-1.

    Args:
        prediction: The prediction maps.
        weights: Weights of the four terms.

    Attributes:
        hessian: H, shape [N-1, N-1].
        gain: H^-1, shape [N-1, N-1]: the unconstrained optimum is -gain f.
    """

    def __init__(self, prediction: Prediction, weights: Weights) -> None:
        self._prediction, self.weights = prediction, weights
        inputs = (weights.input + weights.smooth) * np.eye(prediction.steps - 1)
        self._from_position = 2 * weights.position * prediction.position_map.T
        self._from_velocity = 2 * weights.velocity * prediction.velocity_map.T
        self.hessian = (
            self._from_position @ prediction.position_map
            + self._from_velocity @ prediction.velocity_map + 2 * inputs)
        self.hessian = (self.hessian + self.hessian.T) / 2
        self.gain = np.linalg.inv(self.hessian)
        self._seen: tuple[HorizonProblem, Array] | None = None

    def linear(self, problem: HorizonProblem) -> Array:
        """Return f of every joint as columns, shape [N-1, n]; kept for the last problem."""
        if self._seen is None or self._seen[0] is not problem:
            position, velocity = self._prediction.free(problem)
            self._seen = (problem, -(
                self._from_position @ (problem.reference_position - position)
                + self._from_velocity @ (problem.reference_velocity - velocity)
                + 2 * self.weights.smooth * problem.anchor))
        return self._seen[1]

    def value(self, linear: Array, acceleration: Array) -> float:
        """Return J without its constant, summed over the joints."""
        quadratic = 0.5 * (acceleration * (self.hessian @ acceleration)).sum()
        return float(quadratic + (linear * acceleration).sum())
