# SPDX-License-Identifier: Apache-2.0
"""Obstacles as values, and as the arrays that the distance kernels read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError, require_known
from diffusion_control.robots.jit import kernel

Array = NDArray[np.float64]
Shape = Literal['sphere', 'box', 'cylinder']
SHAPE_CODE: dict[str, int] = {'sphere': 1, 'box': 2, 'cylinder': 3}
SIZE_LENGTH: dict[str, int] = {'sphere': 1, 'box': 3, 'cylinder': 2}
UNIT_WITHIN = 1e-2


@dataclass(frozen=True)
class Obstacle:
    """One obstacle in the robot's base frame.

    Attributes:
        shape: `sphere`, `box` or `cylinder` (axis along the local z).
        size_m: sphere [radius], box [x, y, z] full edges, cylinder [radius, height] [m].
        position_m: Centre, shape [3] [m].
        quaternion: Orientation x, y, z, w, shape [4].
        velocity_m_s: Velocity of the centre, shape [3] [m/s].
        key: Identity over time, for example marker namespace and id.
        may_move: False for an obstacle that was seen to stand still.
    """

    shape: Shape
    size_m: tuple[float, ...]
    position_m: Array
    quaternion: Array = field(default_factory=lambda: np.array([0.0, 0.0, 0.0, 1.0]))
    velocity_m_s: Array = field(default_factory=lambda: np.zeros(3))
    key: str = ''
    may_move: bool = False

    def __post_init__(self) -> None:
        """Refuse unknown shapes, wrong sizes and non-finite poses."""
        if not self._plainly_good():
            self._refuse()

    def _plainly_good(self) -> bool:
        """Tell quickly that nothing is wrong: a sum is finite only if all its terms are."""
        place, turn, velocity = self.position_m, self.quaternion, self.velocity_m_s
        if not (type(place) is type(turn) is type(velocity) is np.ndarray
                and place.shape == velocity.shape == (3,) and turn.shape == (4,)
                and len(self.size_m) == SIZE_LENGTH.get(self.shape)):
            return False
        return (math.isfinite(sum(place.tolist()) + sum(velocity.tolist()))
                and all(0.0 < edge < math.inf for edge in self.size_m)
                and abs(math.hypot(*turn.tolist()) - 1.0) <= UNIT_WITHIN)

    def _refuse(self) -> None:
        """Say what is wrong."""
        require_known('unknown obstacle shape', 'obstacle.shape', self.shape, SHAPE_CODE)
        size = np.asarray(self.size_m, dtype=float)
        if size.shape != (SIZE_LENGTH[self.shape],) or not (np.isfinite(size) & (size > 0)).all():
            raise ConfigurationError(
                f'bad size of a {self.shape}', where='obstacle.size_m', value=self.size_m,
                allowed=f'{SIZE_LENGTH[self.shape]} positive numbers [m]')
        for name, length in (('position_m', 3), ('quaternion', 4), ('velocity_m_s', 3)):
            value = np.asarray(getattr(self, name))
            if value.shape != (length,) or not np.isfinite(value).all():
                raise ConfigurationError(
                    f'bad {name} of an obstacle', where=f'obstacle.{name}', value=value.tolist(),
                    allowed=f'{length} finite numbers')
        if abs(float(np.linalg.norm(self.quaternion)) - 1.0) > UNIT_WITHIN:
            raise ConfigurationError(
                'quaternion of an obstacle is not of unit length', where='obstacle.quaternion',
                value=list(self.quaternion), allowed='x, y, z, w with norm 1')

    @property
    def bounding_radius_m(self) -> float:
        """Radius of the smallest centred ball that contains the obstacle [m]."""
        if self.shape == 'sphere':
            return float(self.size_m[0])
        if self.shape == 'box':
            return float(np.linalg.norm(self.size_m)) / 2
        return float(np.hypot(self.size_m[0], self.size_m[1] / 2))


@dataclass(frozen=True)
class ObstacleArrays:
    """Obstacles as contiguous arrays for the numba kernels; k obstacles.

    Attributes:
        code: 1 sphere, 2 box, 3 cylinder, shape [k], int64.
        centre_m: Shape [k, 3].
        rotation: World from local, shape [k, 3, 3].
        half_m: sphere [r, 0, 0], box half edges, cylinder [r, 0, half height], shape [k, 3].
        velocity_m_s: Shape [k, 3].
        may_move: Shape [k], bool.
    """

    code: NDArray[np.int64]
    centre_m: Array
    rotation: Array
    half_m: Array
    velocity_m_s: Array
    may_move: NDArray[np.bool_]

    @classmethod
    def pack(cls, obstacles: tuple[Obstacle, ...]) -> ObstacleArrays:
        """Return the arrays of a set of obstacles, in its order."""
        count = len(obstacles)
        turns = np.array([o.quaternion for o in obstacles], dtype=float).reshape(count, 4)
        return cls(
            np.array([SHAPE_CODE[o.shape] for o in obstacles], dtype=np.int64),
            np.array([o.position_m for o in obstacles], dtype=float).reshape(count, 3),
            rotations(turns),
            np.array([_half_m(o) for o in obstacles], dtype=float).reshape(count, 3),
            np.array([o.velocity_m_s for o in obstacles], dtype=float).reshape(count, 3),
            np.array([o.may_move for o in obstacles], dtype=np.bool_),
        )


def _half_m(obstacle: Obstacle) -> tuple[float, float, float]:
    """Return the half sizes as `ObstacleArrays` has them."""
    size = obstacle.size_m
    if obstacle.shape == 'sphere':
        return size[0], 0.0, 0.0
    if obstacle.shape == 'box':
        return size[0] / 2, size[1] / 2, size[2] / 2
    return size[0], 0.0, size[1] / 2


@kernel()
def rotations(quaternions: Any) -> Any:
    """Return the rotation matrices [k, 3, 3] of quaternions x, y, z, w [k, 4]."""
    out = np.empty((len(quaternions), 3, 3))
    for k in range(len(quaternions)):
        a, b, c, d = quaternions[k]
        norm = math.sqrt(a * a + b * b + c * c + d * d)
        x, y, z, w = a / norm, b / norm, c / norm, d / norm
        out[k, 0, 0], out[k, 1, 1] = 1 - 2 * (y * y + z * z), 1 - 2 * (x * x + z * z)
        out[k, 2, 2] = 1 - 2 * (x * x + y * y)
        out[k, 0, 1], out[k, 0, 2] = 2 * (x * y - z * w), 2 * (x * z + y * w)
        out[k, 1, 0], out[k, 1, 2] = 2 * (x * y + z * w), 2 * (y * z - x * w)
        out[k, 2, 0], out[k, 2, 1] = 2 * (x * z - y * w), 2 * (y * z + x * w)
    return out


def rotation_matrix(quaternion: Array) -> Array:
    """Return the rotation matrix [3, 3] of a quaternion x, y, z, w."""
    matrix: Array = rotations(np.array(quaternion, dtype=float)[None])[0]
    return matrix
