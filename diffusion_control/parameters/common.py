# SPDX-License-Identifier: Apache-2.0
"""Parameters that every node has."""

from __future__ import annotations

from diffusion_control.parameters.table import Parameter

COMMON: tuple[Parameter, ...] = (
    Parameter(
        'robot', 'string', 'panda',
        'Name of a file in config/robots, or the path of such a file; its kind (arm, base) says '
        'which topics there are.'),
    Parameter(
        'joint_names', 'string_array', ('',),
        "Joints to drive, in the order of the arrays; one empty string takes the robot file's."),
    Parameter(
        'base_frame', 'string', '',
        "Frame of obstacles, goals and plans; empty takes the robot file's."),
    Parameter(
        'tool_frame', 'string', '',
        "Link that a goal pose is for; empty takes the robot file's."),
    Parameter(
        'urdf_path', 'string', '',
        'URDF file; empty takes the topic robot_description where one is published, '
        "else the robot file's."),
)

SURROUNDINGS: tuple[Parameter, ...] = (
    Parameter(
        'obstacles.required', 'bool', True,
        'Wait for obstacles, and stop without; false takes those that come (base only).'),
    Parameter(
        'map.required', 'bool', True,
        'A base: wait for the map and for where it lies in odom, and stop without.'),
    Parameter(
        'scan.required', 'bool', True, 'A base: wait for the laser scan, and stop without.'),
)

AUTOSTART = Parameter(
    'autostart', 'bool', True,
    'Configure and activate without being asked; for safety, activation is the arming.')


def real_time(nice: int = 0) -> tuple[Parameter, ...]:
    """Return the real-time options of a node; each degrades with one warning if not permitted.

    Args:
        nice: Default niceness of the process (higher gives way to the others).
    """
    return (
        Parameter(
            'real_time.fifo_priority', 'int', 0,
            "SCHED_FIFO priority of the node's loop, one less for its main thread, one more for "
            "the middleware's threads that receive; 0 leaves the scheduler alone.",
            minimum=0, maximum=98),
        Parameter(
            'real_time.lock_memory', 'bool', False,
            'Keep all pages of the process in memory (mlockall).'),
        Parameter(
            'real_time.freeze_gc', 'bool', True,
            'Hide the objects made before activation from the cyclic garbage collector.'),
        Parameter(
            'real_time.nice', 'int', nice,
            "Niceness of the process, the middleware's threads included; below 0 needs a "
            'permission.', minimum=-20, maximum=19),
    )
