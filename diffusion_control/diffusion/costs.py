# SPDX-License-Identifier: Apache-2.0
"""Differentiable costs of clean motions, with gradients derived by hand so that they export.

Motions x have the shape [B, H, D]: H knots of D channels. Each cost is a sum over knots and has a
value [B] and a gradient like x. The arrays may be numpy's or torch's, but of one kind.

    Smoothness   1/2 |M x|^2, M the k-th finite difference over time        slope M'M x
    Goal         1/2 sum w (x - target)^2                                   slope w (x - target)
    Limits       1/2 sum max(x - upper, 0)^2 + max(lower - x, 0)^2          slope: the excess
    Spheres      1/2 sum depth^2, depth = max(r - |p - c|, 0), p = x S + o  slope -depth n S'

with n = (p - c) / |p - c| and S from channels to coordinates.

Original: M. Zucker et al., "CHOMP: Covariant Hamiltonian Optimization for Motion Planning",
International Journal of Robotics Research 32(9-10), 2013 (section 3: smoothness as a quadratic
form in the motion, obstacles by a hinge on the distance).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array = Any  # of numpy or of torch
TINY = 1e-12  # a least value, not an addend: torch's exporter takes an addend below 1e-8 for 0


class Cost(Protocol):
    """Something that a clean motion should have little of."""

    def value(self, x: Array) -> Array:
        """Return the cost of each motion, shape [B]."""
        ...

    def gradient(self, x: Array) -> Array:
        """Return its slope, shape [B, H, D]."""
        ...


def difference_form(horizon: int, order: int) -> NDArray[np.float32]:
    """Return M'M of the `order`-th finite difference over time, shape [H, H].

    Raises:
        ConfigurationError: Too few knots for that order.
    """
    if not 1 <= order < horizon:
        raise ConfigurationError(
            'A finite difference needs more knots than its order.', where='order', value=order,
            allowed=f'1 .. {horizon - 1}')
    matrix = np.diff(np.eye(horizon), n=order, axis=0)
    return (matrix.T @ matrix).astype(np.float32)


@dataclass(frozen=True)
class Smoothness:
    """Squared finite differences over time; `form` is from `difference_form`."""

    form: Array

    def value(self, x: Array) -> Array:
        """Return half the squared differences."""
        return 0.5 * (x * (self.form @ x)).sum(-1).sum(-1)

    def gradient(self, x: Array) -> Array:
        """Return the form applied to the motion."""
        return self.form @ x


@dataclass(frozen=True)
class Goal:
    """Squared distance to a target.

    Attributes:
        target: Shape [D], or any that broadcasts to [B, H, D].
        weight: At least 0, shape [H, 1] (which knots) or [H, D].
    """

    target: Array
    weight: Array

    def value(self, x: Array) -> Array:
        """Return half the weighted squared distance."""
        return 0.5 * (self.weight * (x - self.target) * (x - self.target)).sum(-1).sum(-1)

    def gradient(self, x: Array) -> Array:
        """Return the weighted distance."""
        return self.weight * (x - self.target)


@dataclass(frozen=True)
class Limits:
    """Squared excess over bounds, shape [D] each."""

    lower: Array
    upper: Array

    def value(self, x: Array) -> Array:
        """Return half the squared excess."""
        excess = self.gradient(x)
        return 0.5 * (excess * excess).sum(-1).sum(-1)

    def gradient(self, x: Array) -> Array:
        """Return the excess: positive above, negative below."""
        return (x - self.upper).clip(min=0.0) - (self.lower - x).clip(min=0.0)


@dataclass(frozen=True)
class SphereObstacles:
    """Depth of points in spheres.

    Attributes:
        centre: Shape [O, P].
        radius: Margin included; any negative number switches an obstacle off, shape [O].
        select: From channels to coordinates, shape [D, P]: p = x S + o.
        offset: o, shape [P].
    """

    centre: Array
    radius: Array
    select: Array
    offset: Array

    def _depth(self, x: Array) -> tuple[Array, Array, Array]:
        """Return depth [B, H, O], distance [B, H, O] and p - c [B, H, O, P]."""
        apart = (x @ self.select + self.offset)[..., None, :] - self.centre
        distance = (apart * apart).sum(-1).clip(min=TINY) ** 0.5
        return (self.radius - distance).clip(min=0.0), distance, apart

    def value(self, x: Array) -> Array:
        """Return half the squared depth."""
        depth, _, _ = self._depth(x)
        return 0.5 * (depth * depth).sum(-1).sum(-1)

    def gradient(self, x: Array) -> Array:
        """Return the depth times the way in."""
        depth, distance, apart = self._depth(x)
        pull = ((-depth / distance)[..., None] * apart).sum(-2)
        return pull @ self.select.T


@dataclass(frozen=True)
class WeightedSum:
    """A sum of costs; the weights may be numbers or an array [N]."""

    costs: Sequence[Cost]
    weights: Any

    def value(self, x: Array) -> Array:
        """Return the weighted sum of the values."""
        total = self.weights[0] * self.costs[0].value(x)
        for i, cost in enumerate(self.costs[1:], 1):
            total = total + self.weights[i] * cost.value(x)
        return total

    def gradient(self, x: Array) -> Array:
        """Return the weighted sum of the gradients."""
        total = self.weights[0] * self.costs[0].gradient(x)
        for i, cost in enumerate(self.costs[1:], 1):
            total = total + self.weights[i] * cost.gradient(x)
        return total
