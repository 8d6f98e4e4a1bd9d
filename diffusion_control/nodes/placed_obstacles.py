# SPDX-License-Identifier: Apache-2.0
"""Obstacles around a base, published in `odom`, in `map` or in the body's frame."""

from __future__ import annotations

import numpy as np
from rclpy.node import Node

from diffusion_control.errors import ConfigurationError
from diffusion_control.nodes.convert import MarkerReader
from diffusion_control.nodes.frames import Frames
from diffusion_control.nodes.inputs import MAX_SPEED_M_S, ObstacleInput
from diffusion_control.nodes.taps import Taps
from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.placed import placed


class PlacedObstacleInput(ObstacleInput):
    """Obstacles in `odom`, observed where they do not move by themselves.

    Velocities are seen in the frame that an obstacle is published in, so that a jump of `map`
    against `odom` gives nothing a velocity; those in the body's frame move with the body and are
    brought to `odom` first.
    """

    def __init__(
        self, node: Node, taps: Taps, robot: Base, frames: Frames,
        max_speed_m_s: float = MAX_SPEED_M_S,
    ) -> None:
        """Subscribe to `obstacles`."""
        self._frames, self._body = frames, robot.body_frame
        super().__init__(node, taps, robot, max_speed_m_s)
        self._reader = MarkerReader(*frames.names)

    def observed(
        self, obstacles: tuple[Obstacle, ...], stamp_s: float
    ) -> tuple[Obstacle, ...]:
        """Return the obstacles with velocities, in `odom`.

        Raises:
            ConfigurationError: It is not known where a frame lies.
        """
        poses = {frame: self._frames.pose(frame, stamp_s)
                 for frame in set(self._reader.frames.values())}
        unknown = [frame for frame, pose in poses.items() if pose is None]
        if unknown:
            raise ConfigurationError(
                f'it is not known where {unknown[0]} lies in odom', where='obstacles',
                value=unknown[0], remedy='publish map_to_odom, or tf with tf2_msgs installed')
        first = tuple(self._moved(o, poses, body=True) for o in obstacles)
        seen = self._observer.update(first, stamp_s)
        return tuple(self._moved(o, poses, body=False) for o in seen)

    def _moved(
        self, obstacle: Obstacle, poses: dict[str, np.ndarray | None], *, body: bool
    ) -> Obstacle:
        frame = self._reader.frames[obstacle.key]
        pose = poses[frame]
        if pose is None or (frame == self._body) != body or not pose.any():
            return obstacle
        return placed(obstacle, pose)

