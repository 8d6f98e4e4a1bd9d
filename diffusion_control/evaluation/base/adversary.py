# SPDX-License-Identifier: Apache-2.0
"""Twists that try to hit something, within what the drive can do: random ones and searched ones.

- `random`: a corner of the admitted twists, drawn anew every 0.6 s;
- `limits`: likewise every 0.15 s, so that every acceleration is asked for;
- `push`: straight to the nearest thing that is known, forward or backward;
- `search`: what hits an obstacle or a wall, `wall`: a wall alone, `mover`: an obstacle alone.

The last three minimise, over two twists (u1, w1) for 0.7 s and (u2, w2) for 2.3 s,

    min_t d(q(t), O(t)) + c t,   c = 0.2 m/s: soon rather than late,

obstacles going on as they are seen to; by gradient steps (of forward differences) from many
starts, the best motion found before among them, anew every 0.4 s.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.side import Sight
from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacles import ObstacleArrays
from diffusion_control.safety.base.arc import roll

Array = NDArray[np.float64]
KINDS = ('random', 'push', 'search', 'wall', 'mover', 'limits')
SEARCHED = ('search', 'wall', 'mover')
ANEW_S = {'random': 0.6, 'limits': 0.15, 'search': 0.4, 'wall': 0.4, 'mover': 0.4}
FIRST_S, LAST_S, GRID_S = 0.7, 3.0, 0.1
SOON_M_S = 0.2
STARTS, STEPS, STEP, DIFFERENCE = 6, 6, 0.3, 0.05
TURN_HZ = 4.0


class BaseAdversary:
    """One source of twists.

    Args:
        robot: Nominal robot.
        kind: One of `KINDS`.
        random: Source of chance.
        share: Share of the limits of speed, yaw rate and wheels that is asked for.
    """

    def __init__(
        self, robot: Base, kind: str, random: np.random.Generator, share: float = 0.9
    ) -> None:
        """Begin without a target."""
        self._robot, self.kind, self._random = robot, kind, random
        drive = robot.drive
        self._forward, self._rate = share * drive.speed_max_m_s, share * drive.yaw_rate_max_rad_s
        self._backward = share * drive.reverse_max_m_s
        self._wheel, self._half = share * drive.wheel_travel_max_m_s, drive.wheel_separation_m / 2
        self._times = np.arange(0.0, LAST_S + 1e-9, GRID_S)
        self._found: Array | None = None
        self._asked = np.zeros(3)
        self._until_s = self._chosen_s = -math.inf

    def velocity(self, position: Array, sight: Sight, now_s: float) -> Array:
        """Return the twist [3] of the body to go for, from a commanded pose [3] in `odom`."""
        if self.kind == 'push':
            return self._push(position, sight)
        if now_s >= self._until_s:
            self._until_s, self._chosen_s = now_s + ANEW_S[self.kind], now_s
            if self.kind in SEARCHED:
                self._found = self._search(position, sight)
            else:
                self._asked = self._twist(self._random.choice([-1.0, 0.0, 1.0], 2))
        if self._found is not None:
            part = self._found[:2] if now_s - self._chosen_s < FIRST_S else self._found[2:]
            self._asked = self._twist(part)
        return self._asked

    def _twist(self, parts: Array) -> Array:
        """Return the twist of parts [2] in [-1, 1]; the wheels bound its turning."""
        speed = float(parts[0]) * (self._forward if parts[0] > 0.0 else self._backward)
        most = min(self._rate, (self._wheel - abs(speed)) / self._half)
        return np.array([speed, 0.0, min(max(float(parts[1]) * self._rate, -most), most)])

    def _push(self, position: Array, sight: Sight) -> Array:
        """Return the twist towards the nearest thing."""
        around = self._around(sight)
        near = self._robot.collision.nearest(position, around, np.zeros(len(around.code)))
        towards = -near.slope[int(np.argmin(near.distance_m)), :2]
        bearing = math.remainder(
            math.atan2(towards[1], towards[0]) - float(position[2]), 2.0 * math.pi)
        error = bearing
        if abs(bearing) > math.pi / 2 and self._backward > 0.0:
            error = math.remainder(bearing + math.pi, 2.0 * math.pi)
        return self._twist(np.array([
            math.cos(bearing), min(max(TURN_HZ * error / self._rate, -1.0), 1.0)]))

    def _around(self, sight: Sight) -> ObstacleArrays:
        """Return what this kind wants to hit."""
        if self.kind == 'wall':
            return self._robot.pack((), map=sight.map)
        return self._robot.pack(
            sight.obstacles, map=None if self.kind == 'mover' else sight.map)

    def _search(self, position: Array, sight: Sight) -> Array:
        """Return parts of the twists [4] whose motion comes nearest to a collision."""
        around = self._around(sight)
        starts = [self._random.uniform(-1.0, 1.0, 4) for _ in range(STARTS)]
        if self._found is not None:
            starts.append(self._found)
        found = [self._descend(start, position, around) for start in starts]
        return min(found, key=lambda pair: pair[0])[1]

    def _descend(
        self, parts: Array, position: Array, around: ObstacleArrays
    ) -> tuple[float, Array]:
        """Return the least distance [m] after gradient steps, and the parts [4]."""
        least = self._distance(parts, position, around)
        for _ in range(STEPS):
            slope = np.array([
                self._distance(parts + DIFFERENCE * unit, position, around) - least
                for unit in np.eye(4)])
            size = float(np.linalg.norm(slope))
            if size < 1e-9:
                break
            tried = np.clip(parts - STEP * slope / size, -1.0, 1.0)
            distance = self._distance(tried, position, around)
            if distance >= least:
                break
            parts, least = tried, distance
        return least, parts

    def _distance(self, parts: Array, position: Array, around: ObstacleArrays) -> float:
        """Return the least distance of a motion to what shall be hit, later ones longer [m]."""
        first = self._times < FIRST_S
        twists = np.where(first[:, None], self._twist(parts[:2]), self._twist(parts[2:]))
        poses = roll(self._times, twists, position)[0]
        obstacle, own = self._robot.collision.path_clearance(poses, self._times, around)
        return float((np.minimum(obstacle, own) + SOON_M_S * self._times).min())
