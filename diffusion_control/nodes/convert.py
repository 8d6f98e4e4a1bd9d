# SPDX-License-Identifier: Apache-2.0
"""Between ROS messages and the library's value types; joints are mapped by name here, once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import Marker, MarkerArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.nodes.wire_messages import MarkerRow
from diffusion_control.robots.obstacles import Obstacle, Shape
from diffusion_control.tracking.admission import PlanArrays
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]

MAX_POINTS = 40
MARKER_TO_SHAPE: dict[int, Shape] = {
    Marker.SPHERE: 'sphere', Marker.CUBE: 'box', Marker.CYLINDER: 'cylinder'}
SHAPE_TO_MARKER = {shape: marker for marker, shape in MARKER_TO_SHAPE.items()}


def to_time(seconds: float) -> Time:
    """Return a Time message of a ROS time [s], rounded to the nanosecond."""
    nanoseconds = round(seconds * 1e9)
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def from_time(message: Time) -> float:
    """Return the ROS time [s] of a Time message."""
    return message.sec + message.nanosec * 1e-9


def order_of(names: Sequence[str], wanted: tuple[str, ...], where: str) -> NDArray[np.intp]:
    """Return the indices that bring `names` into the order `wanted`.

    Raises:
        ConfigurationError: A wanted joint is missing, or a name stands twice.
    """
    places = {name: index for index, name in enumerate(names)}
    missing = [name for name in wanted if name not in places]
    if missing or len(places) != len(names):
        raise ConfigurationError(
            'joint names do not match', where=where, value=list(names),
            allowed=f'each of {list(wanted)} once', remedy='check the joint_names parameter')
    return np.array([places[name] for name in wanted], dtype=np.intp)


def message_to_plan(
    message: JointTrajectory, names: tuple[str, ...], now_s: float
) -> PlanArrays:
    """Return what a message holds, unchecked, in the robot's joint order where the names allow.

    A zero stamp means `now_s`. Points without velocities, or of other lengths, give rows that the
    checks behind this refuse.
    """
    stamp = from_time(message.header.stamp)
    times = [p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in message.points]
    position = [p.positions for p in message.points]
    velocity = [p.velocities for p in message.points]
    given = tuple(message.joint_names)
    if given != names and sorted(given) == sorted(names) and all(
            len(row) == len(names) for row in (*position, *velocity)):
        order = [given.index(name) for name in names]
        position = [[row[k] for k in order] for row in position]
        velocity = [[row[k] for k in order] for row in velocity]
        given = names
    return PlanArrays(stamp if stamp > 0.0 else now_s, times, position, velocity, given)


def message_to_trajectory(
    message: JointTrajectory, names: tuple[str, ...], now_s: float, where: str
) -> Trajectory:
    """Return the trajectory in the robot's joint order; a zero stamp means `now_s`.

    Raises:
        ConfigurationError: Wrong names, number of points, lengths, times or numbers.
    """
    count = len(message.points)
    if not 1 <= count <= MAX_POINTS:
        raise ConfigurationError(
            'wrong number of points', where=where, value=count, allowed=f'1 to {MAX_POINTS}')
    order_of(message.joint_names, names, where)
    plan = message_to_plan(message, names, now_s)
    if plan.names != names or any(
            len(row) != len(names) for row in (*plan.position, *plan.velocity)):
        raise ConfigurationError(
            'joints or lengths of the points do not fit', where=where,
            value=list(message.joint_names),
            allowed=f'a position and a velocity for each of {list(names)}')
    position = np.array(plan.position, dtype=float)
    return Trajectory(
        plan.stamp_s, np.array(plan.times_s), position, np.array(plan.velocity, dtype=float),
        np.zeros_like(position), names, message.header.frame_id)


def obstacles_to_markers(
    obstacles: tuple[Obstacle, ...], frame_id: str, stamp_s: float, namespace: str = 'obstacle'
) -> MarkerArray:
    """Return the full set of obstacles as SPHERE, CUBE and CYLINDER markers."""
    stamp = to_time(stamp_s)
    markers = []
    for index, obstacle in enumerate(obstacles):
        marker = Marker()
        marker.header.frame_id, marker.header.stamp = frame_id, stamp
        marker.ns, marker.id = namespace, index
        marker.type = SHAPE_TO_MARKER[obstacle.shape]
        marker.action = Marker.ADD
        position, orientation = marker.pose.position, marker.pose.orientation
        position.x, position.y, position.z = (float(x) for x in obstacle.position_m)
        orientation.x, orientation.y, orientation.z, orientation.w = (
            float(x) for x in obstacle.quaternion)
        size = obstacle.size_m
        if obstacle.shape == 'sphere':
            scale = (2 * size[0],) * 3
        elif obstacle.shape == 'cylinder':
            scale = (2 * size[0], 2 * size[0], size[1])
        else:
            scale = (size[0], size[1], size[2])
        marker.scale.x, marker.scale.y, marker.scale.z = (float(x) for x in scale)
        moving = obstacle.may_move
        marker.color.r, marker.color.g, marker.color.b, marker.color.a = (
            (0.90, 0.35, 0.25, 0.9) if moving else (0.45, 0.55, 0.65, 0.8))
        markers.append(marker)
    return MarkerArray(markers=markers)


def marker_rows(message: MarkerArray) -> list[MarkerRow]:
    """Return what counts of the markers of a decoded message."""
    rows = []
    for marker in message.markers:
        place, turn, scale = marker.pose.position, marker.pose.orientation, marker.scale
        rows.append(MarkerRow(
            from_time(marker.header.stamp), marker.header.frame_id, marker.ns, marker.id,
            marker.type, marker.action, (
                place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w,
                scale.x, scale.y, scale.z)))
    return rows


class MarkerReader:
    """Turn markers into obstacles keyed by namespace and id; what has not changed is kept.

    Args:
        *frames: The frames that markers may be in.
    """

    def __init__(self, *frames: str) -> None:
        """Begin with nothing read."""
        self._frames = frames
        self._known: dict[tuple[str, int], tuple[MarkerRow, Obstacle]] = {}

    @property
    def frames(self) -> dict[str, str]:
        """Frame of each obstacle that was read last, by its key."""
        return {obstacle.key: row.frame_id for row, obstacle in self._known.values()}

    def read(self, rows: list[MarkerRow]) -> tuple[Obstacle, ...]:
        """Return the obstacles of a full set of markers.

        Raises:
            ConfigurationError: Another frame, another marker type, a bad size or pose.
        """
        known = {}
        for row in rows:
            if row.action != Marker.ADD:
                continue
            before = self._known.get((row.namespace, row.index))
            if before is None or (before[0].numbers, before[0].kind, before[0].frame_id) != (
                    row.numbers, row.kind, row.frame_id):
                before = (row, self._obstacle(row))
            known[row.namespace, row.index] = before
        self._known = known
        return tuple(obstacle for _, obstacle in known.values())

    def _obstacle(self, row: MarkerRow) -> Obstacle:
        where = f'obstacles {row.namespace}/{row.index}'
        if row.frame_id not in self._frames:
            raise ConfigurationError(
                'an obstacle is in another frame', where=where, value=row.frame_id,
                allowed=', '.join(self._frames), remedy='publish obstacles in such a frame')
        shape = MARKER_TO_SHAPE.get(row.kind)
        if shape is None:
            raise ConfigurationError(
                'unknown marker type', where=where, value=row.kind,
                allowed='SPHERE, CUBE, CYLINDER')
        scale = row.numbers[7:]
        size: tuple[float, ...] = scale
        if shape == 'sphere':
            size = (max(scale) / 2,)
        elif shape == 'cylinder':
            size = (max(scale[:2]) / 2, scale[2])
        return Obstacle(
            shape, size, np.array(row.numbers[:3]), np.array(row.numbers[3:7]),
            key=f'{row.namespace}/{row.index}')


def line_strip(
    path: Array, frame_id: str, stamp_s: float, *, namespace: str, index: int = 0,
    width_m: float = 0.004, colour: tuple[float, float, float] = (0.1, 0.6, 0.9),
) -> Marker:
    """Return a path of points [k, 3] as a LINE_STRIP marker."""
    marker = Marker(ns=namespace, id=index, type=Marker.LINE_STRIP, action=Marker.ADD)
    marker.header.frame_id, marker.header.stamp = frame_id, to_time(stamp_s)
    marker.scale.x = width_m
    marker.color.r, marker.color.g, marker.color.b, marker.color.a = (*colour, 0.9)
    marker.points = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in path]
    return marker
