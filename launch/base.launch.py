# SPDX-License-Identifier: Apache-2.0
"""A real base, or one in Gazebo, behind diff_drive_controller; or Nav2's controller slot.

`ros2 lifecycle set /safety configure`, then `ros2 lifecycle set /safety activate`, arms it.
In Nav2's controller slot the command goes where the controller server's would, and the chain
behind it stays: `command_out_topic:=cmd_vel_nav command_out_type:=twist`. Where `map` lies comes
from `tf` (tf2_msgs), or from `map_to_odom`.
"""

from launch import LaunchDescription
from launch.actions import OpaqueFunction

from diffusion_control import launching

ARGUMENTS = (
    'command_out_topic', 'use_sim_time', 'namespace', 'params_file', 'planner', 'fallback',
    'odom_topic', 'scan_topic', 'map_topic', 'log_level')
TRUTH = ('true', 'false')
OWN = {
    'robot_config': ('base', 'A name from config/robots, or an absolute path.', ()),
    'command_out_type': (
        '', "Message of the command; empty takes the robot file's.",
        ('', 'twist_stamped', 'twist')),
    'obstacles_required': ('true', 'Stop without markers on obstacles.', TRUTH),
    'map_required': ('true', 'Stop without a map.', TRUTH),
    'scan_required': ('true', 'Stop without a laser scan.', TRUTH),
    'autostart': (
        'true', 'Configure and activate planner, fallback and tracker; never safety.', TRUTH),
}


def start(context):
    """Return the four nodes; only the three that move nothing may start by themselves."""
    def argument(name):
        return launching.value(context, name)

    autostart = launching.TRUTH[argument('autostart')]
    common = {
        f'{name}.required': launching.TRUTH[argument(f'{name}_required')]
        for name in ('obstacles', 'map', 'scan')}
    topics = {name: argument(f'{name}_topic') for name in ('odom', 'scan', 'map')}
    overrides = {
        'planner': {'type': argument('planner'), 'autostart': autostart},
        'fallback': {'type': argument('fallback'), 'autostart': autostart},
        'tracker': {'autostart': autostart},
        'safety': {
            'autostart': False, 'command_out_topic': argument('command_out_topic'),
            'command_out_type': argument('command_out_type'),
            'fallback_type': argument('fallback')},
    }
    return [
        launching.node(context, name, {**common, **own}, topics)
        for name, own in overrides.items()]


def generate_launch_description():
    """Return arguments and nodes."""
    return LaunchDescription([
        *launching.arguments(ARGUMENTS, **OWN),
        OpaqueFunction(function=start),
    ])
