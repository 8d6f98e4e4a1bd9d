# SPDX-License-Identifier: Apache-2.0
"""A real arm, or one in Gazebo or Isaac, behind ros2_control topics; safety is armed by hand.

`ros2 lifecycle set /safety configure`, then `ros2 lifecycle set /safety activate`, arms it.
"""

from launch import LaunchDescription
from launch.actions import OpaqueFunction

from diffusion_control import launching

ARGUMENTS = (
    'robot_config', 'command_out_topic', 'command_out_type', 'use_sim_time', 'namespace',
    'params_file', 'planner', 'fallback', 'log_level')


def start(context):
    """Return the four nodes; only the three that move nothing may start by themselves."""
    def argument(name):
        return launching.value(context, name)

    autostart = launching.TRUTH[argument('autostart')]
    overrides = {
        'planner': {'type': argument('planner'), 'autostart': autostart},
        'fallback': {'type': argument('fallback'), 'autostart': autostart},
        'tracker': {'autostart': autostart},
        'safety': {
            'autostart': False, 'command_out_topic': argument('command_out_topic'),
            'command_out_type': argument('command_out_type'),
            'fallback_type': argument('fallback')},
    }
    return [launching.node(context, name, own) for name, own in overrides.items()]


def generate_launch_description():
    """Return arguments and nodes."""
    autostart = (
        'true', 'Configure and activate planner, fallback and tracker; never safety.',
        ('true', 'false'))
    return LaunchDescription([
        *launching.arguments(ARGUMENTS, autostart=autostart),
        OpaqueFunction(function=start),
    ])
