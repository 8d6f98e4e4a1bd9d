# SPDX-License-Identifier: Apache-2.0
"""Where the frames of a base's messages lie in the simulator's world, which is the frame `map`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.mcap_reader import Recording
from diffusion_control.robots.base import Base
from diffusion_control.robots.planar import inverse, yaw_of

Array = NDArray[np.float64]
TOPICS = ('map_to_odom', 'tf')


@dataclass(frozen=True)
class Frames:
    """The pose of `odom` in `map` over time; before the first one that was received it is that.

    Attributes:
        map_frame: Name of the frame of the world.
        odom_frame: Name of the frame of the odometry.
        times_s: ROS times of receipt [s], shape [m].
        poses: x, y, yaw of `odom` in `map`, shape [m, 3].
    """

    map_frame: str
    odom_frame: str
    times_s: Array
    poses: Array

    @classmethod
    def of(cls, recording: Recording, robot: Base, ros_s: Callable[[Array], Array]) -> Frames:
        """Return the frames of a run; without any transform `odom` is the world."""
        found: list[tuple[float, Array]] = []
        for topic in TOPICS:
            stream = recording.stream(topic)
            for time, message in zip(ros_s(stream.log_s), stream.messages, strict=True):
                for transform in getattr(message, 'transforms', [message]):
                    pose = _odom_in_map(transform, robot)
                    if pose is not None:
                        found.append((float(time), pose))
        found.sort(key=lambda item: item[0])
        return cls(robot.map_frame, robot.base_frame, np.array([time for time, _ in found]),
                   np.array([pose for _, pose in found]).reshape(-1, 3))

    def pose(self, frame: str, ros_s: float) -> Array:
        """Return x, y, yaw of a frame in the world at a ROS time; only `odom` lies elsewhere."""
        if frame != self.odom_frame or not len(self.times_s):
            return np.zeros(3)
        last = int(np.searchsorted(self.times_s, ros_s, side='right')) - 1
        row: Array = self.poses[max(last, 0)]
        return row


def _odom_in_map(transform: Any, robot: Base) -> Array | None:
    """Return the pose of `odom` in `map` that a TransformStamped tells, None if it tells none."""
    names = transform.header.frame_id.strip('/'), transform.child_frame_id.strip('/')
    move, turn = transform.transform.translation, transform.transform.rotation
    pose = np.array([move.x, move.y, yaw_of(np.array([turn.x, turn.y, turn.z, turn.w]))])
    if names == (robot.map_frame, robot.base_frame):
        return pose
    return inverse(pose) if names == (robot.base_frame, robot.map_frame) else None
