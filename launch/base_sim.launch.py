# SPDX-License-Identifier: Apache-2.0
"""A simulated base: simulator, planner, fallback, tracker and safety, started by themselves."""

import os

from launch import LaunchDescription
from launch.actions import OpaqueFunction, SetEnvironmentVariable

from diffusion_control import launching
from diffusion_control.middleware import local_environment

ARGUMENTS = (
    'use_sim_time', 'namespace', 'params_file', 'planner', 'fallback', 'scene', 'layout', 'seed',
    'log_level')
OWN = {
    'robot_config': ('base', 'A name from config/robots, or an absolute path.', ()),
    'command_out_type': (
        '', "Message of the command; empty takes the robot file's.",
        ('', 'twist_stamped', 'twist')),
    'autostart': ('true', 'Configure and activate all nodes.', ('true', 'false')),
}


def start(context):
    """Return the five nodes."""
    def argument(name):
        return launching.value(context, name)

    autostart = launching.TRUTH[argument('autostart')]
    seed, kind = int(argument('seed')), argument('command_out_type')
    overrides = {
        'simulator': {
            'scene': argument('scene'), 'layout': argument('layout'), 'seed': seed,
            'command_type': kind,
            'publish_clock': launching.TRUTH[argument('use_sim_time')]},
        'planner': {'type': argument('planner'), 'seed': seed},
        'fallback': {'type': argument('fallback'), 'seed': seed},
        'tracker': {},
        'safety': {'command_out_type': kind, 'fallback_type': argument('fallback')},
    }
    return [
        launching.node(context, name, {**own, 'autostart': autostart})
        for name, own in overrides.items()]


def generate_launch_description():
    """Return arguments and nodes; the graph stays on this machine unless the user says more."""
    chosen = 'ROS_AUTOMATIC_DISCOVERY_RANGE' in os.environ
    local = {} if chosen else local_environment()
    return LaunchDescription([
        *(SetEnvironmentVariable(name, value) for name, value in local.items()),
        *launching.arguments(ARGUMENTS, **OWN),
        OpaqueFunction(function=start),
    ])
