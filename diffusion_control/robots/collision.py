# SPDX-License-Identifier: Apache-2.0
"""The collision model of an arm: spheres on its links, and their distances."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import require_known
from diffusion_control.robots import batch_cost, distance, reach
from diffusion_control.robots.chain import Chain
from diffusion_control.robots.forward_kinematics import sphere_centres
from diffusion_control.robots.limits import JointLimits
from diffusion_control.robots.nearest import ALL_ROWS, Nearest, NearestRows
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.robots.self_pairs import candidate_pairs, reachable_pairs
from diffusion_control.robots.shape import LinkShape

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]
Indices = NDArray[np.int64]
NOTHING_M = distance.NOTHING_M


class CollisionModel:
    """Distances of an arm's spheres to obstacles, to each other and to the floor.

    The union of the spheres contains the link's collision geometry, so every distance here is at
    most the true one. All methods but `nearest` are free of state and may be called from several
    threads.

    Attributes:
        links: Names of the links that carry spheres.
        link: Index into `links` of each sphere, shape [S].
        joint: Joint that moves each sphere, 0 = base, shape [S]; ascending.
        spheres: Centre in the frame of that joint (axis folded into z) and radius, [S, 4] [m].
        radius: Shape [S] [m].
        pairs: Spheres that are checked against each other, shape [P, 2].
        ignored_links: Pairs of link names that are never checked, beside adjacent ones.
        floor_m: Height of the floor plane [m].
        floor_first: Spheres before this index are not checked against the floor.
        obstacle_first: Spheres before this index are not checked against obstacles.
    """

    def __init__(
        self, chain: Chain, limits: JointLimits, shapes: tuple[LinkShape, ...],
        joints: Indices, *, ignored: tuple[tuple[str, str], ...], floor_m: float,
        floor_from_link: str, obstacles_from_link: str, where: str,
    ) -> None:
        """Fold the spheres into the chain and find the pairs that can meet.

        Args:
            chain: The arm's chain.
            limits: Position limits, within which pairs are looked for.
            shapes: Spheres in the frame of the joint that carries the link, link by link.
            joints: Joint of each entry of `shapes` (0 = base).
            ignored: Pairs of links that may overlap.
            floor_m: Height of the floor plane [m].
            floor_from_link: First link that the floor counts for.
            obstacles_from_link: First link that obstacles count for.
            where: Place of the link names, for messages.
        """
        order = [int(k) for k in np.argsort(joints, kind='stable')]
        self.links = tuple(shapes[k].link for k in order)
        self.ignored_links = frozenset(
            frozenset((self._index(a, where), self._index(b, where))) for a, b in ignored)
        count = [len(shapes[k].spheres) for k in order]
        self.link: Indices = np.repeat(np.arange(len(order)), count)
        self.joint: Indices = np.repeat(joints[order], count)
        self.spheres: Array = np.concatenate([
            [[*chain.fold_point(int(joints[k]), row[:3]), row[3]] for row in shapes[k].spheres]
            for k in order])
        self.radius: Array = self.spheres[:, 3].copy()
        dof = len(limits.lower_rad)
        self.first: Indices = np.searchsorted(self.joint, np.arange(dof + 1), side='right')
        self.floor_m = floor_m
        self.floor_first = self._first_of(floor_from_link, where)
        self.obstacle_first = self._first_of(obstacles_from_link, where)
        self._placements = chain.placements
        lengths = np.cumsum(np.r_[0.0, 0.0, np.linalg.norm(chain.placements[1:, :3], axis=1)])
        arms = lengths[self.joint] + np.linalg.norm(self.spheres[:, :3], axis=1)
        self._lever_m = float(arms[self.joint > 0].max(initial=0.0))
        candidates = candidate_pairs(self.joint, self.link, frozenset(
            (min(pair), max(pair)) for pair in self.ignored_links if len(pair) == 2))
        self.pairs = reachable_pairs(
            candidates, limits.lower_rad, limits.upper_rad,
            self._placements, self.first, self.spheres)
        self._batch = batch_cost.BatchModel(
            self._placements.astype(np.float32), self.first, self.spheres.astype(np.float32),
            self.pairs, floor_m, self.floor_first, self.obstacle_first)
        self._nearest = NearestRows(
            self._placements, self.first, self.spheres, self.link, self.joint, self.pairs,
            floor_m=floor_m, floor_first=self.floor_first, obstacle_first=self.obstacle_first)

    def _index(self, link: str, where: str) -> int:
        """Return the index of a link, or say that it has no shape."""
        require_known(f'link {link} has no shape', where, link, self.links)
        return self.links.index(link)

    def _first_of(self, link: str, where: str) -> int:
        """Return the first sphere of a link."""
        return int(np.searchsorted(self.link, self._index(link, where)))

    def centres(self, position: Array) -> Array:
        """Return the centres of all spheres in the base frame, shape [S, 3] [m]."""
        out = np.empty((len(self.spheres), 3))
        sphere_centres(_vector(position), self._placements, self.first, self.spheres, out)
        return out

    def clearance(self, position: Array, obstacles: ObstacleArrays) -> tuple[float, float]:
        """Return the distance to obstacles and to self and floor at one configuration.

        Args:
            position: Shape [n] [rad]; not finite: both distances are -9.
            obstacles: Obstacles as they are now.

        Returns:
            Both distances [m], negative in penetration, 9 where there is nothing.
        """
        obstacle, own = self.path_clearance(_vector(position)[None], np.zeros(1), obstacles)
        return float(obstacle[0]), float(own[0])

    def path_clearance(
        self, positions: Array, times_s: Array, obstacles: ObstacleArrays
    ) -> tuple[Array, Array]:
        """Return both distances at L configurations, each obstacle moved on by velocity * time.

        Args:
            positions: Shape [L, n] [rad].
            times_s: Time of each configuration after the obstacles were seen, shape [L] [s].
            obstacles: Obstacles at time 0.

        Returns:
            To obstacles, and to self and floor, each of shape [L] [m].
        """
        obstacle, own = np.empty(len(positions)), np.empty(len(positions))
        o = obstacles
        distance.path_clearance(
            _vector(positions), _vector(times_s), self._placements, self.first, self.spheres,
            self.pairs, self.floor_m, self.floor_first, self.obstacle_first,
            o.code, o.centre_m, o.rotation, o.half_m, o.velocity_m_s, obstacle, own)
        return obstacle, own

    def reach_clearance(
        self, positions: Array, times_s: Array, obstacles: ObstacleArrays, *,
        speed_m_s: float = 0.5, acceleration_m_s2: float = 2.0, velocity_error_m_s: float,
        turning_s: float = math.inf, spread_s: float = 0.0,
        give_up_m: tuple[float, float, float] = (-math.inf, -math.inf, 0.0),
    ) -> tuple[Array, Array]:
        """Return lower bounds of the distances between knots to all that movers can reach.

        Entry i holds from knot 0 to knot i. A bound is positive only if nothing can touch the
        robot until then, see `reach`. Between knots the joints move linearly.

        Args:
            positions: Shape [L, n] [rad].
            times_s: Increasing times after the obstacles were seen, first >= 0, shape [L] [s].
            obstacles: Obstacles at time 0; those with `may_move` False stand still.
            speed_m_s: Highest speed of a mover.
            acceleration_m_s2: Highest acceleration of a mover.
            velocity_error_m_s: Highest error of the movers' velocities.
            turning_s: Time after the obstacles were seen until which a mover may accelerate; from
                then on it is taken to go on as it was seen [s].
            spread_s: By how much the times may be too late: a mover is grown by its way in it [s].
            give_up_m: Distances to obstacles and to self and floor below which the rest is not
                computed, but repeats what was found; the first knot itself, less the third entry,
                is never too near [m].

        Returns:
            To obstacles, and to self and floor, each of shape [L] [m].
        """
        obstacle, own = np.empty(len(positions)), np.empty(len(positions))
        o = obstacles
        reach.reach_clearance(
            _vector(positions), _vector(times_s), self._placements, self.first, self.spheres,
            self.pairs, self.floor_m, self.floor_first, self.obstacle_first, self._lever_m,
            o.code, o.centre_m, o.rotation, o.half_m, o.velocity_m_s, o.may_move,
            np.array([speed_m_s, acceleration_m_s2, velocity_error_m_s, turning_s, spread_s,
                      *give_up_m]), obstacle, own)
        return obstacle, own

    def nearest(
        self, position: Array, obstacles: ObstacleArrays, times_s: Array, *,
        limit: int = ALL_ROWS,
    ) -> Nearest:
        """Return the nearest points of each link to obstacles, own links and the floor.

        Not for several threads at once: the workspace is kept.

        Args:
            position: Shape [n] [rad].
            obstacles: Obstacles at time 0.
            times_s: Time for which each obstacle is moved on at its velocity, shape [k] [s].
            limit: At most so many, the nearest.
        """
        o = obstacles
        moved = o.centre_m + o.velocity_m_s * times_s[:, None]
        return self._nearest.find(
            _vector(position), o.code, moved, o.rotation, o.half_m, limit)

    def cost(
        self, positions: Array | Array32, times_s: Array | Array32, obstacles: ObstacleArrays,
        margin_m: float, own_margin_m: float, gradient: bool,
    ) -> tuple[Array32, Array32, Array32 | None]:
        """Return the penetration cost of many configurations at once, in float32.

        cost = sum max(0, margin - d)^2 over spheres x obstacles
             + sum max(0, own_margin - d)^2 over pairs of spheres and over spheres above the floor

        Args:
            positions: Shape [L, n] [rad].
            times_s: Time of each configuration after the obstacles were seen, shape [L] [s].
            obstacles: Obstacles at time 0, moved on at their velocities.
            margin_m: Distance to obstacles below which the cost begins.
            own_margin_m: Distance to self and floor below which the cost begins.
            gradient: Whether to return d cost / d position.

        Returns:
            Cost [L] [m^2], least distance to anything [L] [m], gradient [L, n] [m^2/rad] or None.
            A configuration that is not finite has infinite cost and the clearance -9.
        """
        rows = batch_cost.pack(obstacles)
        return batch_cost.evaluate(
            np.asarray(positions), np.asarray(times_s), rows, self._batch, margin_m, own_margin_m,
            gradient)

    def warm_up(self) -> None:
        """Compile every kernel by calling it once with each kind of obstacle."""
        obstacles = ObstacleArrays.pack((
            Obstacle('sphere', (0.1,), np.array([2.0, 0.0, 0.0])),
            Obstacle('box', (0.1, 0.1, 0.1), np.array([2.0, 0.0, 0.0]), may_move=True),
            Obstacle('cylinder', (0.1, 0.1), np.array([2.0, 0.0, 0.0]))))
        dof = len(self.first) - 1
        positions, times = np.zeros((2, dof)), np.array([0.0, 0.1])
        self.centres(positions[0])
        self.clearance(positions[0], obstacles)
        self.reach_clearance(positions, times, obstacles, velocity_error_m_s=0.1)
        self.nearest(positions[0], obstacles, np.zeros(3), limit=2)
        for wanted in (False, True):
            self.cost(positions, times, obstacles, 0.02, 0.01, wanted)


def _vector(value: Array) -> Array:
    """Return contiguous float64, without a copy where it already is."""
    return np.ascontiguousarray(value, dtype=np.float64)
