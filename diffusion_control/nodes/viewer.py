# SPDX-License-Identifier: Apache-2.0
"""The viewer node: the robot, the obstacles, the goal and the plans on a local web page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from visualization_msgs.msg import Marker, MarkerArray

from diffusion_control.errors import MissingDependencyError
from diffusion_control.nodes.control_node import ControlNode, leave, run
from diffusion_control.nodes.loop import PeriodicLoop
from diffusion_control.nodes.qos import NEWEST
from diffusion_control.nodes.robot_input import load_robot
from diffusion_control.nodes.robot_io import robot_io
from diffusion_control.nodes.taps import Arrival
from diffusion_control.nodes.world import World
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.occupancy_map import OccupancyMap

ROBOT_COLOUR, OBSTACLE_COLOUR, GOAL_COLOUR = (235, 235, 240), (120, 135, 155), (240, 180, 40)
WALL_COLOUR, SCAN_COLOUR = (90, 90, 100), (210, 70, 60)
TAKE_WHAT_COMES = {f'{name}.required': False for name in ('obstacles', 'map', 'scan')}
BEST_COLOUR, OTHER_COLOUR = (20, 150, 230), (170, 170, 180)


class ViewerNode(ControlNode):
    """Show what is on the topics; it publishes nothing and may come and go."""

    def __init__(self) -> None:
        """Declare parameters."""
        super().__init__('viewer')
        self._shown: dict[str, Any] = {}
        self._map: OccupancyMap | None = None

    def configure(self) -> None:
        """Load the robot and open the page."""
        try:
            import viser
        except ImportError as error:
            raise MissingDependencyError(
                'the viewer needs viser', where='viewer', value=str(error),
                remedy="pip install 'diffusion_control[view]'") from error
        self.robot = load_robot(self, self.settings)
        self._server: Any = viser.ViserServer(
            host=self.settings['host'], port=self.settings['port'], verbose=False)
        self._server.scene.add_grid('/floor', width=3.0, height=3.0)
        self._taps = self.make_taps()
        io = robot_io(self, self._taps, self.robot, NEWEST)
        self._states, self._world, self._goals = io.states, io.world(TAKE_WHAT_COMES), io.goals()
        self._taps.subscribe(MarkerArray, 'planner/candidates', self._on_candidates, NEWEST)
        self._radius = np.asarray(self.robot.collision.radius)

    def activate(self) -> None:
        """Begin to draw."""
        self._loop = PeriodicLoop(
            1.0 / self.settings['rate_hz'], self._tick, self.report_error, name='viewer')
        self._loop.start()
        self.get_logger().info(
            f'open http://{self.settings["host"]}:{self.settings["port"]} in a browser')

    def deactivate(self) -> None:
        """Close the page."""
        self._loop.stop()
        self._server.stop()

    def _tick(self) -> None:
        self._taps.poll()
        state = self._states.box.look()
        if state is not None:
            centres = self.robot.collision.centres(state.position)
            for index, (centre, radius) in enumerate(zip(centres, self._radius, strict=True)):
                self._place(f'/robot/{index}', 'sphere', (float(radius),), centre, ROBOT_COLOUR)
        world = self._world.look()
        if world is not None:
            self._draw_obstacles(world.obstacles)
            self._draw_plane(world)
        self._draw_goal()

    def _draw_obstacles(self, obstacles: tuple[Obstacle, ...]) -> None:
        names = {f'/obstacles/{o.key}' for o in obstacles}
        for obstacle in obstacles:
            handle = self._place(
                f'/obstacles/{obstacle.key}', obstacle.shape, obstacle.size_m,
                obstacle.position_m, OBSTACLE_COLOUR)
            x, y, z, w = obstacle.quaternion
            handle.wxyz = np.array([w, x, y, z])
        for name in [n for n in self._shown if n.startswith('/obstacles/') and n not in names]:
            self._shown.pop(name).remove()

    def _place(
        self, name: str, shape: str, size: tuple[float, ...], position: Any,
        colour: tuple[int, int, int],
    ) -> Any:
        """Draw a body once, then only move it."""
        scene = self._server.scene
        if name not in self._shown:
            if shape == 'sphere':
                handle = scene.add_icosphere(name, radius=size[0], color=colour)
            elif shape == 'box':
                handle = scene.add_box(name, dimensions=size, color=colour)
            else:
                handle = scene.add_cylinder(name, radius=size[0], height=size[1], color=colour)
            self._shown[name] = handle
        self._shown[name].position = np.asarray(position)
        return self._shown[name]

    def _on_candidates(self, message: MarkerArray, arrival: Arrival) -> None:
        for marker in message.markers:
            if marker.type != Marker.LINE_STRIP or len(marker.points) < 2:
                continue
            points = np.array([[p.x, p.y, p.z] for p in marker.points])
            segments = np.stack([points[:-1], points[1:]], axis=1)
            best = marker.scale.x > 0.005
            self._server.scene.add_line_segments(
                f'/plans/{marker.id}', points=segments,
                colors=BEST_COLOUR if best else OTHER_COLOUR, line_width=4.0 if best else 1.0)

    def _draw_goal(self) -> None:
        goal = self._goals.look()
        if goal is not None and goal.position_m is not None:
            radius = self.robot.goal_tolerance[0] * 2 if self.robot.kind == 'arm' else 0.05
            self._place('/goal', 'sphere', (radius,), goal.position_m, GOAL_COLOUR)

    def _draw_plane(self, world: World) -> None:
        """Draw what only a base sees: the map, when it is new or has moved, and the scan."""
        known, scan = world.map, world.scan
        if known is not None and known is not self._map:
            self._map = known
            cells = known.centre_of(np.argwhere(known.occupied))
            self._points('/map', cells, known.resolution_m, WALL_COLOUR)
        if scan is not None:
            self._points('/scan', scan.points(), 0.03, SCAN_COLOUR)

    def _points(
        self, name: str, points: Any, size_m: float, colour: tuple[int, int, int]
    ) -> None:
        in_space = np.concatenate([points, np.full((len(points), 1), 0.01)], axis=1)
        colours = np.tile(np.array(colour, dtype=np.uint8), (len(points), 1))
        self._server.scene.add_point_cloud(
            name, in_space.astype(np.float32), colours, point_size=size_m)


def main(args: Sequence[str] | None = None) -> int:
    """Run the viewer node."""
    return run('viewer', ViewerNode, args)


if __name__ == '__main__':
    leave(main())
