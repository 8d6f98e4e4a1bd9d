# SPDX-License-Identifier: Apache-2.0
"""The frames of a base: `map`, `odom` and the body; the library knows `odom` alone.

`odom` is continuous and drifts, `map` does not drift and jumps against it (REP 105). Where `map`
lies comes from `map_to_odom` (TransformStamped: parent map, child odom), or from `tf` where
tf2_msgs is installed; where a sensor sits on the body from `tf_static`.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np
from geometry_msgs.msg import Transform, TransformStamped
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.nodes.odom_input import OdometryInput
from diffusion_control.nodes.qos import LATCHED, STANDARD
from diffusion_control.nodes.taps import Arrival, Taps
from diffusion_control.robots.base import Base
from diffusion_control.robots.planar import compose, inverse, yaw_of

Array = NDArray[np.float64]
LONGEST_CHAIN = 16


class Frames:
    """Where the frames that messages may be in lie in `odom`.

    Args:
        taps: Subscriptions of the loop.
        robot: Names the frames.
        odometry: Where the body is.
    """

    def __init__(self, taps: Taps, robot: Base, odometry: OdometryInput) -> None:
        """Subscribe to `map_to_odom`, and to `tf` where its type is known."""
        self._robot, self._odometry = robot, odometry
        self._map: Array | None = None
        self._parents: dict[str, tuple[str, Array]] = {}
        # one for publishers that keep their last message, one for those that do not
        for qos in (LATCHED, STANDARD):
            taps.subscribe(TransformStamped, 'map_to_odom', self._on_transform, qos)
        message = tf_message()
        if message is not None:
            taps.subscribe(message, 'tf', self._on_transforms, STANDARD)
            taps.subscribe(message, 'tf_static', self._on_static, LATCHED)

    @property
    def map_is_known(self) -> bool:
        """Tell whether it is known where `map` lies."""
        return self._map is not None

    @property
    def names(self) -> tuple[str, ...]:
        """Frames that obstacles, goals and maps may be in."""
        return self._robot.base_frame, self._robot.map_frame, self._robot.body_frame

    @property
    def fixed(self) -> tuple[str, ...]:
        """Frames that a map may be in."""
        return self._robot.map_frame, self._robot.base_frame

    def pose(self, frame_id: str, stamp_s: float) -> Array | None:
        """Return the pose of a frame in `odom` at a ROS time [s]; None while it is not known.

        Raises:
            ConfigurationError: It is none of `names`.
        """
        if frame_id in ('', self._robot.base_frame):
            return np.zeros(3)
        if frame_id == self._robot.map_frame:
            return self._map
        if frame_id == self._robot.body_frame:
            return self._odometry.pose_at(stamp_s)
        raise ConfigurationError(
            'unknown frame', where='header.frame_id', value=frame_id,
            allowed=', '.join(self.names), remedy='transform it to one of these')

    def on_body(self, frame_id: str) -> Array | None:
        """Return the pose of a sensor's frame on the body; None while it is not known.

        It is the robot file's for the frame of its laser, else what `tf_static` says.
        """
        if frame_id in ('', self._robot.body_frame):
            return np.zeros(3)
        laser = self._robot.config.scan
        if frame_id == laser.frame:
            return np.array([*laser.position_m, laser.yaw_rad])
        pose, name = np.zeros(3), frame_id
        for _ in range(LONGEST_CHAIN):
            if name not in self._parents:
                return None
            name, step = self._parents[name]
            pose = compose(step, pose)
            if name == self._robot.body_frame:
                return pose
        return None

    def take(self, transforms: Iterable[TransformStamped], *, static: bool) -> None:
        """Take over transforms of `tf`, `tf_static` or `map_to_odom`; bad ones are left out."""
        for item in transforms:
            pose = pose_of(item.transform)
            if pose is None:
                continue
            parent, child = item.header.frame_id, item.child_frame_id
            if (parent, child) == (self._robot.map_frame, self._robot.base_frame):
                self._map = inverse(pose)
            elif static:
                self._parents[child] = (parent, pose)

    def _on_transform(self, message: TransformStamped, arrival: Arrival) -> None:
        self.take((message,), static=False)

    def _on_transforms(self, message: Any, arrival: Arrival) -> None:
        self.take(message.transforms, static=False)

    def _on_static(self, message: Any, arrival: Arrival) -> None:
        self.take(message.transforms, static=True)


def pose_of(transform: Transform) -> Array | None:
    """Return the pose x, y, yaw of a transform; None if it is not one."""
    place, turn = transform.translation, transform.rotation
    quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
    pose = np.array([place.x, place.y, yaw_of(quaternion)])
    return pose if np.isfinite(pose).all() and quaternion.any() else None


def tf_message() -> Any:
    """Return tf2_msgs/TFMessage, or None where tf2_msgs is not installed (it has no wheel)."""
    try:
        return import_module('tf2_msgs.msg').TFMessage
    except ImportError:
        return None
