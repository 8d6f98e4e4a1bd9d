# SPDX-License-Identifier: Apache-2.0
"""The viewer node: the robot, the obstacles, the goal and the plans on a local web page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from visualization_msgs.msg import Marker, MarkerArray

from diffusion_control.errors import ConfigurationError, MissingDependencyError
from diffusion_control.nodes.control_node import ControlNode, leave, run
from diffusion_control.nodes.convert import MarkerReader, marker_rows
from diffusion_control.nodes.inputs import JointStateInput
from diffusion_control.nodes.loop import PeriodicLoop
from diffusion_control.nodes.qos import NEWEST
from diffusion_control.nodes.robot_input import load_robot
from diffusion_control.nodes.taps import Arrival, Taps
from diffusion_control.robots.obstacles import Obstacle

ROBOT_COLOUR, OBSTACLE_COLOUR, GOAL_COLOUR = (235, 235, 240), (120, 135, 155), (240, 180, 40)
BEST_COLOUR, OTHER_COLOUR = (20, 150, 230), (170, 170, 180)


class ViewerNode(ControlNode):
    """Show what is on the topics; it publishes nothing and may come and go."""

    def __init__(self) -> None:
        """Declare parameters."""
        super().__init__('viewer')
        self._shown: dict[str, Any] = {}
        self._obstacles: tuple[Obstacle, ...] = ()

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
        self._taps = Taps(self)
        self._states = JointStateInput(self._taps, self.robot.joint_names, NEWEST)
        self._taps.subscribe(MarkerArray, 'obstacles', self._on_obstacles, NEWEST)
        self._taps.subscribe(MarkerArray, 'planner/candidates', self._on_candidates, NEWEST)
        self._taps.subscribe(PoseStamped, 'goal_pose', self._on_goal, NEWEST)
        self._reader = MarkerReader(self.robot.base_frame)
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
        names = {f'/obstacles/{o.key}' for o in self._obstacles}
        for obstacle in self._obstacles:
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

    def _on_obstacles(self, message: MarkerArray, arrival: Arrival) -> None:
        try:
            self._obstacles = self._reader.read(marker_rows(message))
        except ConfigurationError as error:
            self.warn_once(str(error))

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

    def _on_goal(self, message: PoseStamped, arrival: Arrival) -> None:
        place = message.pose.position
        self._place('/goal', 'sphere', (0.02,), (place.x, place.y, place.z), GOAL_COLOUR)


def main(args: Sequence[str] | None = None) -> int:
    """Run the viewer node."""
    return run('viewer', ViewerNode, args)


if __name__ == '__main__':
    leave(main())
