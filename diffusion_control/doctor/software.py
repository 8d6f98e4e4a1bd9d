# SPDX-License-Identifier: Apache-2.0
"""Packages, ROS 2 (wheels or installation), middleware, domain and inference backends."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec

from diffusion_control.doctor.finding import Finding
from diffusion_control.inference import available_backends

DISTRIBUTION = 'diffusion_control'
JAZZY_RCLPY = '7.1'
MESSAGES = (
    'diagnostic_msgs', 'geometry_msgs', 'lifecycle_msgs', 'nav_msgs', 'rosgraph_msgs',
    'sensor_msgs', 'std_msgs', 'std_srvs', 'trajectory_msgs', 'visualization_msgs')
INSTALLED_ONLY = ('launch_ros', 'ros2cli', 'tf2_ros', 'control_msgs')
HIGHEST_DOMAIN, HIGHEST_EASY_DOMAIN = 232, 101


def check_software(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Yield the findings about installed packages and the ROS environment.

    Args:
        environment: Environment variables to look at.
    """
    yield _packages()
    yield _ros(environment)
    yield from _ros_extras()
    yield from _domain(environment)
    yield from _security(environment)
    yield from _backends()


def requirements(text: list[str]) -> list[str]:
    """Return the names of the requirements that no extra asks for."""
    names = (re.match(r'[A-Za-z0-9._-]+', line) for line in text if 'extra ==' not in line)
    return [match[0] for match in names if match]


def _packages() -> Finding:
    try:
        wanted = requirements(metadata.requires(DISTRIBUTION) or [])
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return Finding(
            'package', 'warn', 'running from a checkout that is not installed',
            'make venv, or pip install .')
    missing = [name for name in wanted if not _installed(name)]
    if missing:
        return Finding(
            'package', 'error', f'missing: {", ".join(missing)}',
            f'pip install {" ".join(missing)}', code=3)
    return Finding('package', 'ok', f'{DISTRIBUTION} {version}, {len(wanted)} requirements met')


def _installed(name: str) -> bool:
    """Return True when a distribution, or a module of its name, can be found."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return find_spec(name.replace('-', '_')) is not None
    return True


def _ros(environment: Mapping[str, str]) -> Finding:
    missing = [name for name in ('rclpy', *MESSAGES) if find_spec(name) is None]
    if missing:
        return Finding(
            'ROS 2', 'error', f'missing: {", ".join(missing)}',
            "source a ROS 2 installation, or pip install 'diffusion_control[ros]'", code=3)
    distribution = environment.get('ROS_DISTRO', '')
    try:
        version = metadata.version('ros-rclpy')
    except metadata.PackageNotFoundError:
        return Finding('ROS 2', 'ok', f'installation {distribution or "(not named)"}')
    if distribution:
        return Finding(
            'ROS 2', 'warn', f'the wheels ({version}) beside a sourced {distribution}',
            'use one of them: unset the sourced environment, or pip uninstall ros-rclpy')
    if not version.startswith(JAZZY_RCLPY):
        return Finding(
            'ROS 2', 'error', f'ros-rclpy {version} is not of Jazzy',
            "pip install 'diffusion_control[ros]' pins every wheel", code=3)
    return Finding('ROS 2', 'ok', f'wheels, ros-rclpy {version} (Jazzy)')


def _ros_extras() -> Iterator[Finding]:
    """Name what only a ROS 2 installation brings and this one lacks; nodes and demo need none."""
    absent = ', '.join(name for name in INSTALLED_ONLY if find_spec(name) is None)
    if absent:
        yield Finding('ROS 2 extras', 'absent', f'without {absent}; a ROS 2 installation has them')


def _domain(environment: Mapping[str, str]) -> Iterator[Finding]:
    text = environment.get('ROS_DOMAIN_ID', '0') or '0'
    number = int(text) if text.isdecimal() else -1
    if not 0 <= number <= HIGHEST_DOMAIN:
        yield Finding('domain', 'error', f'ROS_DOMAIN_ID={text}', 'set it to 0 .. 101', code=2)
    elif number > HIGHEST_EASY_DOMAIN:
        yield Finding(
            'domain', 'warn', f'ROS_DOMAIN_ID={text}',
            'above 101 its ports can collide with those of other programs')
    else:
        yield Finding('domain', 'ok', f'ROS_DOMAIN_ID {number}')
    reach = environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '')
    if 'ROS_LOCALHOST_ONLY' in environment:
        yield Finding(
            'discovery', 'warn', 'ROS_LOCALHOST_ONLY is set and overrides the discovery range',
            'unset it and use ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST')
    else:
        yield Finding('discovery', 'ok', reach or 'SUBNET (default): the whole network takes part')


def _security(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Say that the wheels' middleware cannot encrypt, when somebody asks for it."""
    if environment.get('ROS_SECURITY_ENABLE', '').lower() != 'true':
        return
    try:
        metadata.version('ros-rclpy')
    except metadata.PackageNotFoundError:
        yield Finding('security', 'ok', 'ROS_SECURITY_ENABLE is true')
        return
    yield Finding(
        'security', 'error', 'ROS_SECURITY_ENABLE is true, but the wheels cannot encrypt',
        'use a ROS 2 installation, or unset ROS_SECURITY_ENABLE', code=3)


def _backends() -> Iterator[Finding]:
    """Yield what runs exported models here, and why the rest does not; none of it is an error."""
    found = available_backends()
    usable = [f'{name} ({reason})' for name, (usable, reason) in found.items() if usable]
    if usable:
        yield Finding('inference backends', 'ok', '; '.join(usable))
    else:
        yield Finding(
            'inference backends', 'absent', 'none: planners that diffuse by a network cannot run',
            "pip install 'diffusion_control[cpu]'")
    for name, (usable_here, reason) in found.items():
        if not usable_here:
            yield Finding(f'backend {name}', 'absent', reason)
