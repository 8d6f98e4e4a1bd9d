# SPDX-License-Identifier: Apache-2.0
"""Obstacles as they were published, continued at constant velocity.

Velocities are differences of the same (ns, id) over at least 40 ms. A step that is faster than
any obstacle may be (0.5 m/s) is a jump, not a motion: it tells no velocity, and 0 is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.obstacles import Obstacle, Shape
from diffusion_control.robots.planar import quaternion_of, turned

Array = NDArray[np.float64]
Frame = Callable[[str, float], Array]
WINDOW_S = 0.04
FASTEST_M_S = 0.5 * 1.2
# What was published less than 30 ms before a command cannot have been in it: the contract allows
# as much from an input to the command that answers it.
REACTION_S = 0.03
SHAPES: dict[int, Shape] = {1: 'box', 2: 'sphere', 3: 'cylinder'}


@dataclass(frozen=True)
class ObstacleSet:
    """The full set of one message.

    Attributes:
        stamp_s: ROS time of the poses [s].
        obstacles: With velocities.
    """

    stamp_s: float
    obstacles: tuple[Obstacle, ...]


def parse_markers(
    message: Any, received_s: float = 0.0, frame: Frame | None = None
) -> tuple[float | None, dict[str, Obstacle]]:
    """Return the stamp [s] (None if there is none) and the obstacles of a decoded MarkerArray.

    Args:
        message: The message.
        received_s: ROS time of receipt [s].
        frame: Gives the pose x, y, yaw of a named frame in the world at a time; None where
            messages are in the robot's base frame.
    """
    stamp: float | None = None
    found = {}
    for marker in message.markers:
        if marker.action != 0 or marker.type not in SHAPES:
            continue
        at = marker.header.stamp.sec + marker.header.stamp.nanosec * 1e-9
        stamp = at if at > 0 else stamp
        shape, scale = SHAPES[marker.type], marker.scale
        size: tuple[float, ...] = (scale.x, scale.y, scale.z)
        if shape == 'sphere':
            size = (scale.x / 2,)
        elif shape == 'cylinder':
            size = (scale.x / 2, scale.z)
        place, turn = marker.pose.position, marker.pose.orientation
        key = f'{marker.ns}/{marker.id}'
        obstacle = Obstacle(
            shape, size, np.array([place.x, place.y, place.z]),
            np.array([turn.x, turn.y, turn.z, turn.w]), key=key)
        pose = None if frame is None else frame(marker.header.frame_id, received_s)
        found[key] = obstacle if pose is None else moved(obstacle, pose)
    return stamp, found


def moved(obstacle: Obstacle, pose: Array) -> Obstacle:
    """Return an obstacle of the frame at a pose x, y, yaw in the parent of that frame."""
    place = turned(pose, obstacle.position_m)
    x, y, z, w = obstacle.quaternion
    _, _, sine, cosine = quaternion_of(float(pose[2]))
    return replace(
        obstacle, position_m=place + np.array([pose[0], pose[1], 0.0]),
        velocity_m_s=turned(pose, obstacle.velocity_m_s),
        quaternion=np.array([cosine * x - sine * y, cosine * y + sine * x,
                             cosine * z + sine * w, cosine * w - sine * z]))


def obstacle_sets(
    messages: list[Any], received_s: Array, frame: Frame | None = None
) -> list[ObstacleSet]:
    """Return the sets of all messages, in order, with velocities by differencing.

    Args:
        messages: Decoded MarkerArrays.
        received_s: ROS times of receipt [s]; the stamp of a message that has none.
        frame: See `parse_markers`.
    """
    history: dict[str, list[tuple[float, Array]]] = {}
    sets = []
    for message, received in zip(messages, received_s, strict=True):
        stamp, found = parse_markers(message, float(received), frame)
        time = float(received) if stamp is None else stamp
        moving = tuple(
            replace(obstacle, velocity_m_s=_velocity(history.setdefault(key, []), time, obstacle))
            for key, obstacle in found.items())
        sets.append(ObstacleSet(time, moving))
    return sets


def _velocity(history: list[tuple[float, Array]], time: float, obstacle: Obstacle) -> Array:
    """Return the velocity [m/s] of an obstacle and keep its pose in the history."""
    position = np.asarray(obstacle.position_m)
    if history:
        step = float(np.linalg.norm(position - history[-1][1]))
        if step > FASTEST_M_S * max(time - history[-1][0], 0.0) + 0.005:
            history.clear()
    if not history or time > history[-1][0]:
        history.append((time, position))
    while len(history) > 2 and time - history[1][0] >= WINDOW_S:
        history.pop(0)
    width = time - history[0][0]
    if width <= 0.0:
        return np.zeros(3)
    return (position - history[0][1]) / width
