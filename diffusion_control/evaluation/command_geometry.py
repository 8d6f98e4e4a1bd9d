# SPDX-License-Identifier: Apache-2.0
"""Does a commanded motion touch an obstacle? A dense re-check with the simulator's geometry.

A command is followed from the instant it was sent to its last point in steps of 5 ms, with every
obstacle where it was published to be, continued at constant velocity. Instants at which the
commanded motion is at rest (no joint faster than 5e-3 rad/s) do not count: nothing can prevent
an obstacle from driving into a robot that stands still. Pairs whose bounding spheres are apart
are left out; the others are measured by MuJoCo, and after a distance d not again until the two
can have come nearer by d: a point of a geom with bounding radius r moves by at most
|dx| + r |dR|_F / sqrt(2) from one instant to the next. At 100 Hz a run of 40 s takes some seconds;
what slips through 5 ms is shallower than 2 mm at 1.7 m/s and shows in the truth at 1 kHz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.published_obstacles import REACTION_S, ObstacleSet
from diffusion_control.robots.obstacles import Obstacle, rotation_matrix

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
STEP_S = 0.005
TICK_S = 0.01
REST_RAD_S = 5e-3
FARTHEST_M = 0.25
"""Distances beyond it are not told apart."""


@dataclass(frozen=True)
class Scenery:
    """A MuJoCo model of the robot among obstacles.

    Attributes:
        model: The model.
        qpos: Index in `qpos` of each joint of the robot, shape [n].
        robot: Collision geoms of the robot, shape [g].
        obstacles: Geom of each obstacle, shape [k].
    """

    model: mujoco.MjModel
    qpos: NDArray[np.intp]
    robot: NDArray[np.intp]
    obstacles: NDArray[np.intp]

    def place(self, data: mujoco.MjData, positions: Array) -> tuple[Array, Array]:
        """Return positions [L, g, 3] and rotations [L, g, 9] of the robot's geoms.

        Args:
            data: To work in.
            positions: Configurations, shape [L, n].
        """
        places = np.empty((len(positions), len(self.robot), 3))
        turns = np.empty((len(positions), len(self.robot), 9))
        for k, row in enumerate(positions):
            data.qpos[self.qpos] = row
            mujoco.mj_kinematics(self.model, data)
            places[k], turns[k] = data.geom_xpos[self.robot], data.geom_xmat[self.robot]
        return places, turns


class CommandGeometry:
    """Measures commands against one set of obstacle shapes.

    Args:
        scenery: The model, whose obstacle geoms have the shapes of the sets that are asked for,
            in the same order.
    """

    def __init__(self, scenery: Scenery) -> None:
        """Prepare the data that MuJoCo works in."""
        self._scenery = scenery
        self._model, self._data = scenery.model, mujoco.MjData(scenery.model)
        radius = self._model.geom_rbound
        self._reach = radius[scenery.robot][:, None] + radius[scenery.obstacles][None, :]

    def touches(
        self, command: Command, seen: ObstacleSet, before_rad: Array | None = None
    ) -> bool:
        """Say whether a command's motion touches an obstacle of a published set.

        Args:
            command: The command.
            seen: The obstacles.
            before_rad: Where the command before had the robot at that time, shape [n]; a command
                of one point that stays there is at rest.
        """
        if command.fault or not seen.obstacles:
            return False
        times = moving_times(command, before_rad)
        if not len(times):
            return False
        return self._any_contact(command.position_at(times), times - seen.stamp_s, seen.obstacles)

    def _any_contact(
        self, positions: Array, ages_s: Array, obstacles: Sequence[Obstacle]
    ) -> bool:
        """Say whether any of L configurations touches the obstacles at their ages."""
        places, turns = self._scenery.place(self._data, positions)
        start = np.array([o.position_m for o in obstacles])
        velocity = np.array([o.velocity_m_s for o in obstacles])
        centres = start + ages_s[:, None, None] * velocity
        apart = np.linalg.norm(places[:, :, None, :] - centres[:, None, :, :], axis=3)
        near = apart < self._reach[None]
        pairs = np.argwhere(near.any(axis=0))
        if not len(pairs):
            return False
        ways = self._ways(places, turns)
        speeds = np.linalg.norm(velocity, axis=1)
        data, robot, others = self._data, self._scenery.robot, self._scenery.obstacles
        for obstacle in np.unique(pairs[:, 1]):
            data.geom_xmat[others[obstacle]] = rotation_matrix(
                obstacles[obstacle].quaternion).ravel()
        for link, obstacle in pairs:
            mine, other = int(robot[link]), int(others[obstacle])
            way, clear_m = ways[:, link] + speeds[obstacle] * ages_s, -np.inf
            for at in np.flatnonzero(near[:, link, obstacle]):
                if way[at] < clear_m:
                    continue
                data.geom_xpos[mine], data.geom_xmat[mine] = places[at, link], turns[at, link]
                data.geom_xpos[other] = centres[at, obstacle]
                distance = mujoco.mj_geomDistance(
                    self._model, data, mine, other, FARTHEST_M, None)
                if distance < 0.0:
                    return True
                clear_m = way[at] + distance
        return False

    def _ways(self, places: Array, turns: Array) -> Array:
        """Return how far a point of each geom may have moved since the first instant, [L, g]."""
        radius = self._model.geom_rbound[self._scenery.robot]
        step = np.linalg.norm(np.diff(places, axis=0), axis=2)
        step += radius * np.linalg.norm(np.diff(turns, axis=0), axis=2) / np.sqrt(2.0)
        return np.concatenate([np.zeros((1, len(radius))), np.cumsum(step, axis=0)])


def moving_times(command: Command, before_rad: Array | None) -> Array:
    """Return the instants, 5 ms apart, at which a command moves the robot [s], shape [m]."""
    first = max(command.sent_s, command.first_s)
    if command.last_s > first:
        steps = int(np.ceil((command.last_s - first) / STEP_S))
        times = np.linspace(first, command.last_s, steps + 1)
        speed = np.abs(command.velocity_at(times)).max(axis=1)
        return np.asarray(times[speed > REST_RAD_S])
    stays = before_rad is not None and bool(
        (np.abs(command.position[-1] - before_rad) <= REST_RAD_S * TICK_S).all())
    return np.zeros(0) if stays else np.array([first])


def known_set(received_s: Array, sent_s: float) -> int:
    """Return the index of the last set received at least 30 ms before a command, -1 if none."""
    return int(np.searchsorted(received_s, sent_s - REACTION_S, side='right')) - 1
