# SPDX-License-Identifier: Apache-2.0
"""What a node knows of its robot's surroundings: obstacles, and for a base also map and scan."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from sensor_msgs.msg import LaserScan

from diffusion_control.errors import ConfigurationError, require_known
from diffusion_control.nodes.frames import Frames
from diffusion_control.nodes.inputs import MAX_SPEED_M_S, ObstacleInput, advance
from diffusion_control.nodes.mailbox import Mailbox
from diffusion_control.nodes.odom_input import OdometryInput
from diffusion_control.nodes.placed_obstacles import PlacedObstacleInput
from diffusion_control.nodes.qos import LATCHED, SENSOR, STANDARD
from diffusion_control.nodes.taps import Arrival, Taps
from diffusion_control.nodes.wire_base import MapRow, decode_map, decode_scan
from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.planar import compose, yaw_of
from diffusion_control.robots.protocol import Robot
from diffusion_control.robots.scan import Scan

NEVER = float('inf')
UNUSED = None


@dataclass(frozen=True)
class World:
    """The surroundings in the robot's base frame (of a base: `odom`).

    Attributes:
        obstacles: As observed, with velocities.
        stamp_s: ROS time that they are of [s].
        map: Where it lies now; None for an arm, or without one.
        scan: The newest one; None for an arm, or without one.
    """

    obstacles: tuple[Obstacle, ...]
    stamp_s: float
    map: OccupancyMap | None = None
    scan: Scan | None = None

    def advanced(self, to_s: float) -> tuple[Obstacle, ...]:
        """Return the obstacles moved on at constant velocity to a ROS time [s]."""
        return advance(self.obstacles, to_s - self.stamp_s)


@dataclass(frozen=True)
class WorldAges:
    """Ages on steady time [s]: infinite for what was never there, None for what is not asked."""

    obstacles_s: float | None
    scan_s: float | None = None
    map_s: float | None = None


class WorldInput(Protocol):
    """The inputs that make a `World`."""

    @property
    def obstacles(self) -> ObstacleInput:
        """The obstacles alone."""
        ...

    def look(self) -> World | None:
        """Return the surroundings; None until all that is asked for was there."""
        ...

    def ages(self, now_steady_s: float) -> WorldAges:
        """Return how old the inputs are."""
        ...

    def missing(self) -> str:
        """Return what is waited for, in words."""
        ...


class ArmWorld:
    """Obstacles around an arm, in its base frame."""

    def __init__(self, node: Node, taps: Taps, robot: Robot, max_speed_m_s: float) -> None:
        """Subscribe to `obstacles`."""
        self.obstacles = ObstacleInput(node, taps, robot, max_speed_m_s)

    def look(self) -> World | None:
        """Return the surroundings; None until there were obstacles."""
        seen = self.obstacles.box.look()
        return None if seen is None else World(*seen)

    def ages(self, now_steady_s: float) -> WorldAges:
        """Return how old the obstacles are."""
        return WorldAges(self.obstacles.box.age_s(now_steady_s))

    def missing(self) -> str:
        """Return what is waited for."""
        return 'obstacles'


@dataclass(frozen=True)
class Asked:
    """Which inputs a base cannot go without; the others are used where they are."""

    obstacles: bool = True
    map: bool = True
    scan: bool = True

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Asked:
        """Return what the parameters `obstacles.required`, `map.required`, `scan.required` say."""
        return cls(**{name: bool(settings.get(f'{name}.required', True))
                      for name in ('obstacles', 'map', 'scan')})


class BaseWorld:
    """Obstacles, map and scan around a base, in `odom` wherever they were published."""

    def __init__(
        self, node: Node, taps: Taps, robot: Base, frames: Frames, odometry: OdometryInput, *,
        asked: Asked, max_speed_m_s: float = MAX_SPEED_M_S,
    ) -> None:
        """Subscribe to `obstacles`, `map` and `scan`."""
        self._node, self._asked = node, asked
        self.obstacles = PlacedObstacleInput(node, taps, robot, frames, max_speed_m_s)
        self.map = MapInput(taps, frames, robot.prepare)
        self.scan = ScanInput(node, taps, frames, odometry)

    def look(self) -> World | None:
        """Return the surroundings; None until all that is asked for was there."""
        seen, known, scan = self.obstacles.box.look(), self.map.look(), self.scan.box.look()
        if seen is None and not self._asked.obstacles:
            seen = (), self._node.get_clock().now().nanoseconds * 1e-9
        if seen is None or (known is None and self._asked.map) or (
                scan is None and self._asked.scan):
            return None
        return World(seen[0], seen[1], known, scan)

    def ages(self, now_steady_s: float) -> WorldAges:
        """Return how old the inputs are; a map is as good as new while it is known where it is."""
        asked = self._asked
        placed = self.map.look() is not None
        return WorldAges(
            self.obstacles.box.age_s(now_steady_s) if asked.obstacles else UNUSED,
            self.scan.box.age_s(now_steady_s) if asked.scan else UNUSED,
            (0.0 if placed else NEVER) if asked.map else UNUSED)

    def missing(self) -> str:
        """Return what is waited for."""
        asked, names = self._asked, []
        if asked.obstacles and self.obstacles.box.look() is None:
            names.append('obstacles')
        if asked.map and self.map.look() is None:
            names.append('map_to_odom' if self.map.received else 'map')
        if asked.scan and self.scan.box.look() is None:
            names.append('scan')
        return ', '.join(names)


@dataclass(frozen=True)
class _Found:
    """A map as it was published."""

    map: OccupancyMap
    frame_id: str


@dataclass(frozen=True)
class _Placed:
    """A map where it was put last, so that the same one is handed out while nothing moves."""

    found: _Found
    pose: Any
    map: OccupancyMap


class MapInput:
    """The newest map, and where it lies in `odom` now.

    What has to be computed of a new map (a distance field, 0.1 s for a million cells) is computed
    in a thread of its own; until then the one before is handed out.

    Args:
        taps: Subscriptions of the loop.
        frames: Where `map` lies.
        prepare: Computes it.
    """

    def __init__(
        self, taps: Taps, frames: Frames, prepare: Callable[[OccupancyMap], None]
    ) -> None:
        """Subscribe to `map`, whether its publisher keeps the last one or not."""
        self._prepare, self._thread = prepare, threading.Thread()
        self.rejected = 0
        self.last_error = ''
        self._frames = frames
        self._found: _Found | None = None
        self._data = b''
        self._placed: _Placed | None = None
        for qos in (LATCHED, STANDARD):
            taps.subscribe(OccupancyGrid, 'map', self._receive, qos, raw=True)

    def look(self) -> OccupancyMap | None:
        """Return the map in `odom`; None while there is none, or nobody knows where it lies."""
        found, placed = self._found, self._placed
        pose = None if found is None else self._frames.pose(found.frame_id, 0.0)
        if found is None or pose is None:
            return None
        if placed is None or placed.found is not found or (pose != placed.pose).any():
            self._placed = placed = _Placed(found, pose, found.map.moved(pose))
        return placed.map

    @property
    def received(self) -> bool:
        """Tell whether there was a map, wherever it lies."""
        return self._found is not None

    def _receive(self, data: bytes, arrival: Arrival) -> None:
        if data == self._data:
            return
        try:
            row = decode_map(data)
            if row is None:
                raise ConfigurationError('the map cannot be decoded', where='map')
            require_known('the map is in another frame', 'map.header.frame_id', row.frame_id,
                          self._frames.fixed)
            known = map_of(row, None if self._found is None else self._found.map)
        except ConfigurationError as error:
            self.rejected += 1
            self.last_error = str(error)
            return
        self._data = data
        self._thread = threading.Thread(
            target=self._take, args=(_Found(known, row.frame_id),), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the newest map can be handed out."""
        if self._thread.ident is not None:
            self._thread.join()

    def _take(self, found: _Found) -> None:
        self._prepare(found.map)
        self._found = found


def map_of(row: MapRow, before: OccupancyMap | None = None) -> OccupancyMap:
    """Return the map of a message; with the cells of the one before where they are the same.

    Raises:
        ConfigurationError: Its numbers make no map.
    """
    origin = np.array([*row.origin[:2], yaw_of(np.array(row.origin[3:]))])
    cells = row.cells
    if before is not None and np.array_equal(before.cells, cells):
        cells = before.cells
    return OccupancyMap(float(row.resolution), origin, cells)


class ScanInput:
    """The newest scan, with the place in `odom` that it was taken at."""

    def __init__(self, node: Node, taps: Taps, frames: Frames, odometry: OdometryInput) -> None:
        """Subscribe to `scan`."""
        self.box: Mailbox[Scan] = Mailbox()
        self.rejected = 0
        self.last_error = ''
        self._node, self._frames, self._odometry = node, frames, odometry
        taps.subscribe(LaserScan, 'scan', self._receive, SENSOR, raw=True)

    def _receive(self, data: bytes, arrival: Arrival) -> None:
        row = decode_scan(data)
        if row is None:
            self._refuse('the scan cannot be decoded')
            return
        now = self._node.get_clock().now().nanoseconds * 1e-9 - arrival.age_s
        stamp_s = min(row.stamp_s, now) if row.stamp_s > 0.0 else now
        sensor = self._frames.on_body(row.frame_id)
        if sensor is None:
            self._refuse(f'it is not known where the frame {row.frame_id} sits on the body')
            return
        body = self._odometry.pose_at(stamp_s)
        if body is None:
            self._refuse('no odometry of the time of the scan')
            return
        self.box.put(Scan(
            stamp_s, row.angle_min, row.angle_increment, row.ranges, row.range_min,
            row.range_max, compose(body, sensor)), arrival.age_s)

    def _refuse(self, problem: str) -> None:
        self.rejected += 1
        self.last_error = problem
