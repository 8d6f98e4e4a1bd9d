# SPDX-License-Identifier: Apache-2.0
"""The nearest sphere of every link to every obstacle, own link and the floor, with slopes.

With n the gradient of a signed distance d at a sphere's centre x, and J the Jacobian of x,

    d d / dt = n' J q' - n' v_o,   (n' J)_j = n . (z_j x (x - o_j)),

for the axis z_j and the origin o_j of each joint j before the sphere, and the velocity v_o of the
obstacle. For two own spheres n points from the second to the first and both Jacobians count.
Joints are revolute and turn about z (`forward_kinematics`). The order of rows is fixed and no
state is kept: equal input, equal bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.distance import NOTHING_M, signed_distance
from diffusion_control.robots.forward_kinematics import sphere_centres, turn
from diffusion_control.robots.jit import kernel
from diffusion_control.robots.slope import distance_slope

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
OWN = -1
ALL_ROWS = 2**31


@dataclass(frozen=True)
class Nearest:
    """Distances of M pairs of bodies, with their slopes.

    Attributes:
        distance_m: Signed distance, shape [M] [m].
        slope: d distance / d joint position, shape [M, n] [m/rad].
        normal: Gradient with respect to the sphere's centre, shape [M, 3].
        obstacle: Index of the obstacle, -1 for a link or the floor, shape [M].
    """

    distance_m: Array
    slope: Array
    normal: Array
    obstacle: Indices

    @property
    def outer(self) -> int:
        """Number of the first pairs, which are those with obstacles."""
        return int(np.count_nonzero(self.obstacle != OWN))

    def take(self, which: slice | NDArray[np.bool_]) -> Nearest:
        """Return some of the pairs."""
        return Nearest(self.distance_m[which], self.slope[which], self.normal[which],
                       self.obstacle[which])


@kernel()
def joint_axes(position: Any, placements: Any, out: Any) -> None:
    """Write the origin and the axis of every joint in the base frame, shape [n, 6]."""
    rotation = np.zeros(9)
    rotation[0] = rotation[4] = rotation[8] = 1.0
    x, y, z = 0.0, 0.0, 0.0
    for j in range(position.shape[0]):
        p = placements[j]
        x += rotation[0] * p[0] + rotation[1] * p[1] + rotation[2] * p[2]
        y += rotation[3] * p[0] + rotation[4] * p[1] + rotation[5] * p[2]
        z += rotation[6] * p[0] + rotation[7] * p[1] + rotation[8] * p[2]
        turn(rotation, p, position[j])
        out[j, 0], out[j, 1], out[j, 2] = x, y, z
        out[j, 3], out[j, 4], out[j, 5] = rotation[2], rotation[5], rotation[8]


@kernel()
def add_slope(
    axes: Any, joint: int, centre: Any, normal: Any, sign: float, slope: Any
) -> None:
    """Add sign * n' J of a sphere that joints 0 .. joint - 1 move."""
    for j in range(joint):
        x, y, z = centre[0] - axes[j, 0], centre[1] - axes[j, 1], centre[2] - axes[j, 2]
        a, b, c = axes[j, 3], axes[j, 4], axes[j, 5]
        slope[j] += sign * (normal[0] * (b * z - c * y) + normal[1] * (c * x - a * z)
                            + normal[2] * (a * y - b * x))


@kernel()
def obstacle_rows(
    centres: Any, axes: Any, radius: Any, joint: Any, blocks: Any,
    code: Any, centre: Any, rotation: Any, half: Any, distance: Any, slope: Any, normal: Any,
) -> None:
    """Write one row for each block of spheres and each obstacle, block by block."""
    row = 0
    for b in range(blocks.shape[0]):
        for k in range(code.shape[0]):
            least, best = NOTHING_M, blocks[b, 0]
            for s in range(blocks[b, 0], blocks[b, 1]):
                d = signed_distance(
                    code[k], rotation, half, k, centres[s, 0] - centre[k, 0],
                    centres[s, 1] - centre[k, 1], centres[s, 2] - centre[k, 2]) - radius[s]
                if d < least:
                    least, best = d, s
            distance[row] = distance_slope(
                code[k], rotation, half, k, centres[best, 0] - centre[k, 0],
                centres[best, 1] - centre[k, 1], centres[best, 2] - centre[k, 2],
                normal[row]) - radius[best]
            slope[row, :] = 0.0
            add_slope(axes, joint[best], centres[best], normal[row], 1.0, slope[row])
            row += 1


@kernel()
def own_rows(
    centres: Any, axes: Any, radius: Any, joint: Any, pairs: Any, groups: Any,
    floor_blocks: Any, floor_m: float, distance: Any, slope: Any, normal: Any,
) -> None:
    """Write one row for each group of pairs [groups[g], groups[g + 1]), then for the floor."""
    count = groups.shape[0] - 1
    for g in range(count):
        least, best = math.inf, groups[g]
        for p in range(groups[g], groups[g + 1]):
            i, j = pairs[p, 0], pairs[p, 1]
            x, y = centres[i, 0] - centres[j, 0], centres[i, 1] - centres[j, 1]
            z = centres[i, 2] - centres[j, 2]
            d = math.sqrt(x * x + y * y + z * z) - radius[i] - radius[j]
            if d < least:
                least, best = d, p
        i, j = pairs[best, 0], pairs[best, 1]
        length = max(least + radius[i] + radius[j], 1e-12)
        for k in range(3):
            normal[g, k] = (centres[i, k] - centres[j, k]) / length
        distance[g] = least
        slope[g, :] = 0.0
        add_slope(axes, joint[i], centres[i], normal[g], 1.0, slope[g])
        add_slope(axes, joint[j], centres[j], normal[g], -1.0, slope[g])
    for b in range(floor_blocks.shape[0]):
        best = floor_blocks[b, 0]
        for s in range(floor_blocks[b, 0], floor_blocks[b, 1]):
            if centres[s, 2] - radius[s] < centres[best, 2] - radius[best]:
                best = s
        row = count + b
        distance[row] = centres[best, 2] - radius[best] - floor_m
        normal[row, 0], normal[row, 1], normal[row, 2] = 0.0, 0.0, 1.0
        slope[row, :] = 0.0
        add_slope(axes, joint[best], centres[best], normal[row], 1.0, slope[row])


@kernel()
def nearest_rows(
    distance: Any, slope: Any, normal: Any, limit: int, outer: int, obstacles: int
) -> Any:
    """Return the `limit` nearest rows in their order, the first `outer` with their obstacle.

    Of rows that are equally far the first ones are taken.
    """
    last = np.partition(distance, limit - 1)[limit - 1]
    spare = limit
    for k in range(len(distance)):
        if distance[k] < last:
            spare -= 1
    near, slopes = np.empty(limit), np.empty((limit, slope.shape[1]))
    normals, obstacle = np.empty((limit, 3)), np.full(limit, OWN, dtype=np.int64)
    row = 0
    for k in range(len(distance)):
        if distance[k] > last or (distance[k] == last and spare == 0):
            continue
        if distance[k] == last:
            spare -= 1
        near[row], slopes[row], normals[row] = distance[k], slope[k], normal[k]
        if k < outer:
            obstacle[row] = k % obstacles
        row += 1
    return near, slopes, normals, obstacle


class NearestRows:
    """Find the nearest points of one robot.

    Args:
        placements: Of the chain, shape [n, 12].
        first: First sphere of each joint, shape [n + 1].
        spheres: Shape [S, 4].
        link: Link of each sphere, shape [S].
        joint: Joint of each sphere, shape [S].
        pairs: Pairs of spheres that may meet, shape [P, 2].
        floor_m: Height of the floor [m].
        floor_first: First sphere that the floor counts for.
        obstacle_first: First sphere that obstacles count for.
    """

    def __init__(
        self, placements: Array, first: Indices, spheres: Array, link: Indices, joint: Indices,
        pairs: Indices, *, floor_m: float, floor_first: int, obstacle_first: int,
    ) -> None:
        """Group spheres by link and pairs by both links."""
        self._placements, self._first, self._spheres = placements, first, spheres
        self._radius, self._joint, self._floor_m = spheres[:, 3].copy(), joint, floor_m
        self._blocks = blocks(link, obstacle_first)
        moved = blocks(link, floor_first)
        self._floor_blocks = moved[joint[moved[:, 0]] > 0]
        keys = link[pairs[:, 0]] * (link.max() + 1) + link[pairs[:, 1]]
        order = np.argsort(keys, kind='stable')
        self._pairs = np.ascontiguousarray(pairs[order])
        starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
        self._groups = np.append(starts, len(pairs)).astype(np.int64)
        self._centres = np.empty((len(spheres), 3))
        self._axes = np.empty((len(placements), 6))

    def find(
        self, position: Array, code: Indices, centre: Array, rotation: Array, half: Array,
        limit: int = ALL_ROWS,
    ) -> Nearest:
        """Return the nearest rows: links by obstacles, links by links, links by the floor."""
        sphere_centres(position, self._placements, self._first, self._spheres, self._centres)
        joint_axes(position, self._placements, self._axes)
        outer = len(self._blocks) * len(code)
        count = outer + len(self._groups) - 1 + len(self._floor_blocks)
        distance, normal = np.empty(count), np.empty((count, 3))
        slope = np.empty((count, len(position)))
        obstacle_rows(
            self._centres, self._axes, self._radius, self._joint, self._blocks,
            code, centre, rotation, half, distance, slope, normal)
        own_rows(
            self._centres, self._axes, self._radius, self._joint, self._pairs, self._groups,
            self._floor_blocks, self._floor_m, distance[outer:], slope[outer:], normal[outer:])
        if count > limit:
            return Nearest(*nearest_rows(
                distance, slope, normal, limit, outer, max(len(code), 1)))
        obstacle = np.full(count, OWN, dtype=np.int64)
        obstacle[:outer] = np.tile(np.arange(len(code)), len(self._blocks))
        return Nearest(distance, slope, normal, obstacle)


def blocks(link: Indices, first: int) -> Indices:
    """Return the first and the end index of the spheres of each link from a sphere on, [B, 2]."""
    starts = first + np.flatnonzero(np.diff(link[first:], prepend=-1))
    return np.stack([starts, np.append(starts[1:], len(link))], axis=1).astype(np.int64)
