# SPDX-License-Identifier: Apache-2.0
"""Motions as the numbers that a network denoises: whitened residuals from the straight line.

With the free control points P [F, n] of a motion and those of the smoothest line to its goal,

    code = L^-1 ((P - line - mean) / deviation),     P = line + mean + deviation * (L code),

where L L^T is the covariance of (P - line - mean) / deviation over the F points, averaged over
joints. A standard normal code is therefore a motion as smooth as the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]
RIDGE = 1e-3
LEAST_DEVIATION_RAD = 1e-4


@dataclass(frozen=True)
class MotionCode:
    """The map between free points and codes.

    Attributes:
        mean: Of the residuals, shape [F, n] [rad].
        deviation: Of the residuals of each joint, shape [n] [rad].
        factor: L, lower triangular, shape [F, F].
    """

    mean: Array
    deviation: Array
    factor: Array

    @classmethod
    def fit(cls, residual: Array) -> MotionCode:
        """Return the map that whitens residuals P - line, shape [N, F, n]."""
        mean = residual.mean(0)
        rest = residual - mean
        deviation = np.maximum(np.sqrt((rest**2).mean((0, 1))), LEAST_DEVIATION_RAD)
        scaled = rest / deviation
        covariance = np.einsum('bij,bkj->ik', scaled, scaled) / (len(scaled) * len(deviation))
        return cls(mean, deviation, np.linalg.cholesky(covariance + RIDGE * np.eye(len(mean))))

    def encode(self, free: Array, line: Array) -> Array32:
        """Return codes of free points; both broadcast to [N, F, n]."""
        scaled = (free - line - self.mean) / self.deviation
        code: Array32 = np.linalg.solve(self.factor, scaled).astype(np.float32)
        return code

    def decode(self, code: Array | Array32, line: Array) -> Array:
        """Return free points [N, F, n] of codes [N, F, n]."""
        smooth = self.factor @ np.asarray(code, dtype=float)
        return np.asarray(line + self.mean + self.deviation * smooth)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers, for a model card."""
        return {'residual': {
            'mean': self.mean.tolist(), 'deviation': self.deviation.tolist(),
            'factor': self.factor.tolist()}}

    @classmethod
    def of_card(cls, normaliser: Mapping[str, Any], points: int, dof: int) -> MotionCode:
        """Return the map that a model card holds.

        Raises:
            ConfigurationError: A part is missing, has another shape, or cannot be inverted.
        """
        parts = normaliser.get('residual')
        shapes = {'mean': (points, dof), 'deviation': (dof,), 'factor': (points, points)}
        found: dict[str, Array] = {}
        for name, shape in shapes.items():
            value = parts.get(name) if isinstance(parts, Mapping) else None
            try:
                found[name] = np.array(value, dtype=float)
            except (TypeError, ValueError):
                found[name] = np.zeros(0)
            if found[name].shape != shape:
                raise ConfigurationError(
                    f'model card: bad normaliser.residual.{name}', where='card.json: normaliser',
                    value=found[name].shape, allowed=f'an array of shape {shape}',
                    remedy='export the model for this robot')
        factor, deviation = found['factor'], found['deviation']
        positive = (deviation > 0).all() and (np.diag(factor) > 0).all()
        if not positive or np.triu(factor, 1).any():
            raise ConfigurationError(
                'model card: normaliser.residual cannot be inverted',
                where='card.json: normaliser',
                value=[float(deviation.min()), float(np.diag(factor).min())],
                allowed='deviation > 0, factor lower triangular with a diagonal > 0',
                remedy='export the model again')
        return cls(**found)
