# SPDX-License-Identifier: Apache-2.0
"""The robot file, its URDF, and whether the joint names agree."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from diffusion_control.doctor.finding import Finding
from diffusion_control.errors import DiffusionControlError


def check_robot(name: str) -> Iterator[Finding]:
    """Yield the findings about a robot file.

    Args:
        name: A name from `config/robots`, or a path.
    """
    from diffusion_control import robots

    try:
        robot = robots.load(name)
    except DiffusionControlError as error:
        yield Finding(
            'robot', 'error', ' '.join(error.block().split()),
            error.remedy or 'correct the robot file', code=error.exit_code)
        return
    if isinstance(robot, robots.Base):
        drive = robot.drive
        yield Finding(
            'robot', 'ok', f'{robot.name}: {drive.kind}, {drive.speed_max_m_s:g} m/s, '
            f'{drive.yaw_rate_max_rad_s:g} rad/s, {robot.body_frame} in {robot.base_frame}')
        return
    yield Finding('robot', 'ok', f'{robot.name}: {robot.dof} joints, tool {robot.tool_frame}')
    yield joints_finding(tuple(robot.joint_names), robot.urdf_path.read_text(encoding='utf-8'))


def movable_joints(urdf: str) -> tuple[str, ...]:
    """Return the names of the joints of a URDF that move."""
    joints = ElementTree.fromstring(urdf).iter('joint')
    return tuple(
        joint.attrib['name'] for joint in joints
        if joint.attrib.get('type') in ('revolute', 'continuous', 'prismatic'))


def joints_finding(names: tuple[str, ...], urdf: str) -> Finding:
    """Compare the joints that are driven with those of the URDF."""
    movable = movable_joints(urdf)
    unknown = [name for name in names if name not in movable]
    if unknown:
        return Finding(
            'joint names', 'error', f'not in the URDF: {", ".join(unknown)}',
            f'the URDF has {", ".join(movable)}; correct joint_names', code=2)
    locked = [name for name in movable if name not in names]
    note = f'; not driven: {", ".join(locked)}' if locked else ''
    return Finding('joint names', 'ok', f'{", ".join(names)}{note}')
