# SPDX-License-Identifier: Apache-2.0
"""Whether spheres contain a robot's collision geometry: the proof that distances are safe."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pinocchio as pin
from numpy.typing import NDArray

Array = NDArray[np.float64]
SMALLEST_M = 2e-4


def uncovered(triangles: Array, spheres: Array) -> Array:
    """Return the triangles (pieces of the given ones) that the spheres do not contain.

    A ball is convex, so a triangle lies in it if its corners do. A corner outside of all balls
    ends the search. A triangle that lies in no single ball is split at the middle of its longest
    edge, until it is smaller than 0.2 mm.

    Args:
        triangles: Corners, shape [t, 3, 3] [m].
        spheres: Centre and radius, shape [S, 4] [m].

    Returns:
        What was found outside, shape [u, 3, 3]: empty if and only if all is covered (up to pieces
        of 0.2 mm that lie in two balls together, but in none alone: these count as outside).
    """
    while len(triangles):
        gap = np.linalg.norm(triangles[:, :, None] - spheres[:, :3], axis=3) - spheres[:, 3]
        outside = (gap > 0.0).all(axis=2).any(axis=1)
        if outside.any():
            return np.asarray(triangles[outside])
        triangles = triangles[(gap.max(axis=1) > 0.0).all(axis=1)]
        edges = np.linalg.norm(triangles - np.roll(triangles, -1, axis=1), axis=2)
        small = edges.max(axis=1, initial=0.0) < SMALLEST_M
        if small.any():
            return np.asarray(triangles[small])
        triangles = _halves(triangles, edges.argmax(axis=1))
    return triangles


def _halves(triangles: Array, edge: NDArray[np.int64]) -> Array:
    """Return both halves of every triangle, split at the middle of the given edge."""
    rows = np.arange(len(triangles))
    a, b = triangles[rows, edge], triangles[rows, (edge + 1) % 3]
    c, middle = triangles[rows, (edge + 2) % 3], 0.5 * (a + b)
    return np.concatenate([np.stack([a, middle, c], 1), np.stack([middle, b, c], 1)])


def link_bodies(
    model: pin.Model, geometry: pin.GeometryModel, *, merged: Mapping[str, str] | None = None
) -> dict[str, Array]:
    """Return the corners of every link's collision geometry in the frame of the link.

    Args:
        model: Reduced model.
        geometry: Its collision geometry: meshes and boxes.
        merged: Links whose corners go to another link that is fixed to them.
    """
    bodies: dict[str, list[Array]] = {}
    for body in geometry.geometryObjects:
        name = model.frames[body.parentFrame].name
        target = (merged or {}).get(name, name)
        frame = model.frames[model.getFrameId(target)]
        placement = frame.placement.inverse() * body.placement
        shape = body.geometry
        if hasattr(shape, 'halfSide'):
            signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, 8).T
            corners = signs * shape.halfSide
        else:
            corners = np.array(shape.vertices()) * body.meshScale
        bodies.setdefault(target, []).append(
            corners @ placement.rotation.T + placement.translation)
    return {link: np.concatenate(parts) for link, parts in bodies.items()}
