# SPDX-License-Identifier: Apache-2.0
"""The robot's URDF, rewritten so that MuJoCo reads it: collision shapes only, joints locked."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.urdf import resolve

Array = NDArray[np.float64]
Element = ElementTree.Element
MOVING = ('revolute', 'continuous', 'prismatic', 'planar', 'floating')


def mujoco_urdf(text: str, driven: tuple[str, ...], locked: Mapping[str, float]) -> str:
    """Return a URDF with collision geometry by absolute file names and only the driven joints.

    Visual shapes, transmissions and simulator tags are dropped, massless inertias too. A joint
    that is not driven becomes a fixed one whose origin is T_origin * T_joint(q), with q from
    `locked` (0 within its limits where it is not named there).

    Args:
        text: The URDF.
        driven: Joints that stay joints.
        locked: Position of other joints [rad or m].

    Raises:
        ConfigurationError: For XML that is no URDF, and for meshes that are not there.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ConfigurationError(
            'the robot description is no URDF', where='robot_description', value=str(error),
            allowed='the XML of a URDF') from None
    for child in list(root):
        if child.tag not in ('link', 'joint'):
            root.remove(child)
    for link in root.iter('link'):
        _keep_collision(link)
    for joint in root.iter('joint'):
        if joint.get('type') in MOVING and joint.get('name') not in driven:
            _weld(joint, _locked_value(joint, locked))
    mujoco = ElementTree.SubElement(root, 'mujoco')
    ElementTree.SubElement(mujoco, 'compiler', {
        'strippath': 'false', 'fusestatic': 'false', 'discardvisual': 'false',
        'balanceinertia': 'false'})
    return ElementTree.tostring(root, encoding='unicode')


def _keep_collision(link: Element) -> None:
    """Drop what is seen only, and inertias without mass; find the meshes."""
    for child in list(link):
        mass = child.find('mass')
        massless = mass is not None and float(mass.get('value', 0.0)) <= 0.0
        if child.tag == 'visual' or (child.tag == 'inertial' and massless):
            link.remove(child)
    for mesh in link.iter('mesh'):
        name = mesh.get('filename', '')
        mesh.set('filename', os.fspath(resolve(name, f'link {link.get("name")}: mesh')))


def _locked_value(joint: Element, locked: Mapping[str, float]) -> float:
    """Return where a joint is locked."""
    name = joint.get('name', '')
    if name in locked:
        return float(locked[name])
    limit = joint.find('limit')
    if limit is None:
        return 0.0
    return float(np.clip(0.0, float(limit.get('lower', 0.0)), float(limit.get('upper', 0.0))))


def _weld(joint: Element, value: float) -> None:
    """Turn a joint into a fixed one at a position."""
    origin = joint.find('origin')
    if origin is None:
        origin = ElementTree.SubElement(joint, 'origin')
    axis_tag = joint.find('axis')
    axis = _numbers('1 0 0' if axis_tag is None else axis_tag.get('xyz', '1 0 0'))
    translation = _numbers(origin.get('xyz', '0 0 0'))
    from scipy.spatial.transform import Rotation  # 0.2 s to import; only locked joints need it

    rotation = Rotation.from_euler('xyz', _numbers(origin.get('rpy', '0 0 0')))
    if joint.get('type') == 'prismatic':
        translation = translation + rotation.apply(axis) * value
    else:
        rotation = rotation * Rotation.from_rotvec(axis / np.linalg.norm(axis) * value)
    origin.set('xyz', ' '.join(repr(float(x)) for x in translation))
    origin.set('rpy', ' '.join(repr(float(x)) for x in rotation.as_euler('xyz')))
    joint.set('type', 'fixed')
    for tag in ('axis', 'limit', 'mimic', 'dynamics', 'safety_controller', 'calibration'):
        for child in joint.findall(tag):
            joint.remove(child)


def _numbers(text: str) -> Array:
    return np.array([float(word) for word in text.split()])
