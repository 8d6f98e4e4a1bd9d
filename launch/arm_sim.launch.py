# SPDX-License-Identifier: Apache-2.0
"""A simulated arm: simulator, planner, fallback, tracker and safety, started by themselves."""

import os

from launch import LaunchDescription
from launch.actions import OpaqueFunction, SetEnvironmentVariable

from diffusion_control import launching
from diffusion_control.middleware import local_environment

ARGUMENTS = (
    'robot_config', 'use_sim_time', 'namespace', 'params_file', 'planner', 'fallback', 'profile',
    'scene', 'seed', 'log_level')


def start(context):
    """Return the five nodes."""
    def argument(name):
        return launching.value(context, name)

    autostart = launching.TRUTH[argument('autostart')]
    seed = int(argument('seed'))
    kind, topic = launching.RECEIVERS.get(argument('profile'), ('', ''))
    overrides = {
        'simulator': {
            'profile': argument('profile'), 'command_topic': topic,
            'scene': argument('scene'), 'seed': seed,
            'publish_clock': launching.TRUTH[argument('use_sim_time')]},
        'planner': {'type': argument('planner'), 'seed': seed},
        'fallback': {'type': argument('fallback'), 'seed': seed},
        'tracker': {},
        'safety': {
            'fallback_type': argument('fallback'), 'command_out_type': kind,
            'command_out_topic': topic},
    }
    return [
        launching.node(context, name, {**own, 'autostart': autostart})
        for name, own in overrides.items()]


def generate_launch_description():
    """Return arguments and nodes; the graph stays on this machine unless the user says more."""
    autostart = ('true', 'Configure and activate all nodes.', ('true', 'false'))
    chosen = 'ROS_AUTOMATIC_DISCOVERY_RANGE' in os.environ
    local = {} if chosen else local_environment()
    return LaunchDescription([
        *(SetEnvironmentVariable(name, value) for name, value in local.items()),
        *launching.arguments(ARGUMENTS, autostart=autostart),
        OpaqueFunction(function=start),
    ])
