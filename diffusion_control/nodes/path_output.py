# SPDX-License-Identifier: Apache-2.0
"""The plan of a base as nav_msgs/Path, for RViz and for whoever follows paths."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from rclpy.node import Node

from diffusion_control.nodes.convert import to_time
from diffusion_control.nodes.qos import STANDARD
from diffusion_control.robots.planar import quaternion_of
from diffusion_control.trajectory.trajectory import Trajectory

SPACING_S, MOST_POSES = 0.1, 200


class PathOutput:
    """Publish the way of each plan on `planner/path`, a pose every tenth of a second."""

    def __init__(self, node: Node) -> None:
        """Create the publisher."""
        self._path = node.create_publisher(Path, 'planner/path', STANDARD)

    def publish(self, plan: Trajectory) -> None:
        """Publish the way of a plan, in its frame, stamped with its times."""
        count = int(np.clip((plan.end_s - plan.start_s) / SPACING_S + 1, 2, MOST_POSES))
        times = np.linspace(plan.start_s, plan.end_s, count)
        message = Path()
        message.header.frame_id, message.header.stamp = plan.frame_id, to_time(plan.start_s)
        for time_s, (x, y, yaw) in zip(
                times.tolist(), plan.sample_many(times)[0].tolist(), strict=True):
            pose = PoseStamped()
            pose.header.frame_id, pose.header.stamp = plan.frame_id, to_time(time_s)
            pose.pose.position.x, pose.pose.position.y = x, y
            turn = quaternion_of(yaw)
            pose.pose.orientation.z, pose.pose.orientation.w = float(turn[2]), float(turn[3])
            message.poses.append(pose)
        self._path.publish(message)
