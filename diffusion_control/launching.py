# SPDX-License-Identifier: Apache-2.0
"""What the launch files share; `launch_ros` is part of a ROS installation, not of the wheels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from diffusion_control import parameters

TRUTH = {'true': True, 'false': False}
RECEIVERS: dict[str, tuple[str, str]] = {
    'jtc': ('joint_trajectory', ''), 'gz': ('joint_trajectory', ''),
    'forward_position': ('float64_multi_array', 'forward_position_controller/commands'),
    'isaac': ('joint_state', 'joint_command')}
"""Message and topic of the command to what a simulated arm emulates; '' is the robot file's."""

DESCRIPTIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    'robot_config': ('panda', 'A name from config/robots, or an absolute path.', ()),
    'command_out_topic': ('', "Topic of the command; empty takes the robot file's.", ()),
    'command_out_type': (
        '', "Message of the command; empty takes the robot file's.",
        parameters.find('safety', 'command_out_type').choices),
    'use_sim_time': ('false', 'Follow /clock.', ('true', 'false')),
    'namespace': ('', 'Namespace of all nodes and topics.', ()),
    'params_file': ('', 'Absolute path of a parameter file; empty takes the defaults.', ()),
    'planner': ('', "Value of planner.type; empty takes the parameter file's or default.", ()),
    'fallback': (
        '', "Value of fallback.type; empty takes the parameter file's or default.",
        ('', *parameters.find('fallback', 'type').choices)),
    'profile': (
        '', 'Receiver that the simulator emulates, and safety sends to; empty is jtc.',
        ('', *RECEIVERS)),
    'layout': ('', "Absolute path of a text file with walls; empty takes the scene's.", ()),
    'odom_topic': ('odom', 'Topic of the odometry.', ()),
    'scan_topic': ('scan', 'Topic of the laser scan.', ()),
    'map_topic': ('map', 'Topic of the map.', ()),
    'scene': ('', 'Absolute path of a scene; empty generates one from the seed.', ()),
    'seed': ('0', 'Seed of scene, plant, noise and planner.', ()),
    'log_level': ('info', 'Log level of all nodes.', ('debug', 'info', 'warn', 'error')),
}


def arguments(names: Iterable[str], **own: tuple[str, str, tuple[str, ...]]) -> list[Any]:
    """Return the launch arguments of those names, and further ones given as keyword.

    Args:
        names: Keys of `DESCRIPTIONS`.
        **own: name=(default, description, choices), choices empty for any value.
    """
    from launch.actions import DeclareLaunchArgument

    table = {**{name: DESCRIPTIONS[name] for name in names}, **own}
    return [
        DeclareLaunchArgument(
            name, default_value=default, description=text, choices=list(choices) or None)
        for name, (default, text, choices) in table.items()
    ]


def value(context: Any, name: str) -> str:
    """Return the value of a launch argument."""
    from launch.substitutions import LaunchConfiguration

    return str(LaunchConfiguration(name).perform(context))


def node(
    context: Any, name: str, overrides: Mapping[str, Any],
    remappings: Mapping[str, str] | None = None,
) -> Any:
    """Return the action that starts one node.

    The parameter file comes first; an override that is not empty wins over it.

    Args:
        context: The launch context.
        name: Node and executable.
        overrides: Parameters of this node; empty strings are left out.
        remappings: Names of topics, from ours to theirs.
    """
    from launch_ros.actions import Node

    given = {key: entry for key, entry in overrides.items() if entry != ''}
    given['robot'] = value(context, 'robot_config')
    given['use_sim_time'] = TRUTH[value(context, 'use_sim_time')]
    params_file = value(context, 'params_file')
    return Node(
        package='diffusion_control', executable=name, name=name,
        namespace=value(context, 'namespace'), output='screen',
        parameters=[*([params_file] if params_file else []), given],
        remappings=list((remappings or {}).items()),
        ros_arguments=['--log-level', value(context, 'log_level')])
