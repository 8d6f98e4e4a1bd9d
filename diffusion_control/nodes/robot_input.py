# SPDX-License-Identifier: Apache-2.0
"""The robot that a node drives, from its parameters and the topic robot_description."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.nodes.qos import LATCHED

WAIT_S = 2.0
DISCOVERY_S = 0.4


def load_robot(node: Node, settings: dict[str, Any]) -> robots.Arm | robots.Base:
    """Return the robot of the parameters `robot`, `urdf_path`, and check the names asked for.

    The URDF of an arm is the file `urdf_path` if given, else the topic `robot_description` where
    somebody publishes it, else what the robot file names.

    Raises:
        ConfigurationError: No such robot or file, or names that the robot does not have.
    """
    robot: robots.Arm | robots.Base
    if robots.kind_of(settings['robot']) == 'base':
        robot = robots.load_base(settings['robot'])
    else:
        robot = robots.load_arm(
            settings['robot'], urdf_text=_urdf_text(node, settings['urdf_path']))
    wanted = [name for name in settings['joint_names'] if name]
    if wanted and tuple(wanted) != robot.joint_names:
        raise ConfigurationError(
            'joint_names differ from the robot file', where=f'{node.get_name()}.joint_names',
            value=wanted, allowed=str(list(robot.joint_names)),
            remedy='leave joint_names empty, or write a robot file of your own')
    for name in ('base_frame', 'tool_frame'):
        if settings[name] and settings[name] != getattr(robot, name):
            raise ConfigurationError(
                f'{name} differs from the robot file', where=f'{node.get_name()}.{name}',
                value=settings[name], allowed=getattr(robot, name),
                remedy='write a robot file of your own')
    return robot


def _urdf_text(node: Node, path: str) -> str | None:
    if path:
        try:
            return Path(path).read_text(encoding='utf-8')
        except OSError as error:
            raise ConfigurationError(
                f'the URDF cannot be read: {error.strerror}',
                where=f'{node.get_name()}.urdf_path', value=path) from error
    return described(node.get_namespace())


def described(namespace: str) -> str | None:
    """Return the URDF that somebody publishes on `robot_description`, or None.

    A node of its own listens, so that the caller's executor is left alone.
    """
    received: list[str] = []
    node = Node('robot_description_reader', namespace=namespace, use_global_arguments=False)
    node.create_subscription(
        String, 'robot_description', lambda message: received.append(message.data), LATCHED)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    begin = time.monotonic()
    while not received:
        executor.spin_once(timeout_sec=0.05)
        waited = time.monotonic() - begin
        if waited > (WAIT_S if node.count_publishers('robot_description') else DISCOVERY_S):
            break
    executor.shutdown()
    node.destroy_node()
    return received[-1] if received else None
