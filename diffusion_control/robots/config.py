# SPDX-License-Identifier: Apache-2.0
"""The robot file: finds, reads and checks `config/robots/NAME.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.fields import Fields, as_array
from diffusion_control.robots.limits import JointLimits
from diffusion_control.robots.shape import LinkShape, cover_capsule
from diffusion_control.share import share_directory

Array = NDArray[np.float64]
KEYS = (
    'name', 'kind', 'urdf', 'joint_names', 'locked_joints', 'base_frame', 'tool_frame',
    'tool_offset_m', 'home_rad', 'limits', 'drive', 'controller', 'shape')
LIMIT_KEYS = (
    'lower_rad', 'upper_rad', 'velocity_rad_s', 'acceleration_rad_s2', 'jerk_rad_s3', 'torque_nm')
DRIVE_KEYS = ('stiffness', 'damping', 'armature', 'joint_damping', 'friction_loss')
SHAPE_KEYS = ('floor_m', 'floor_from_link', 'obstacles_from_link', 'ignored_pairs',
              'spheres', 'capsules')


@dataclass(frozen=True)
class DriveModel:
    """The joint drives of the nominal robot, each of shape [n].

    The drive asks for the torque  k (q_set - q) - d dq + gravity of the nominal model.

    Attributes:
        stiffness: k [Nm/rad].
        damping: d [Nm s/rad].
        armature: Rotor inertia seen at the joint [kg m^2].
        joint_damping: Viscous friction of the joint itself [Nm s/rad].
        friction_loss: Coulomb friction [Nm].
    """

    stiffness: Array
    damping: Array
    armature: Array
    joint_damping: Array
    friction_loss: Array


@dataclass(frozen=True)
class ControllerConfig:
    """The controller that receives the commands.

    Attributes:
        name: Name of the ros2_control controller.
        command_topic: Topic of the commands, relative.
        command_type: One of the contract's command types.
        joint_states_topic: Topic of the measured state, relative.
    """

    name: str
    command_topic: str
    command_type: str
    joint_states_topic: str


@dataclass(frozen=True)
class ShapeConfig:
    """The collision shape and what of it counts.

    Attributes:
        links: Spheres, link by link.
        floor_m: Height of the floor plane [m].
        floor_from_link: First link that the floor counts for.
        obstacles_from_link: First link that obstacles count for.
        ignored_pairs: Links that may overlap without being in collision.
    """

    links: tuple[LinkShape, ...]
    floor_m: float
    floor_from_link: str
    obstacles_from_link: str
    ignored_pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RobotConfig:
    """A robot file, read and checked; what needs the URDF is checked by `arm.Arm`."""

    file: Path
    name: str
    kind: str
    urdf: str
    joint_names: tuple[str, ...]
    locked_joints: dict[str, float]
    base_frame: str
    tool_frame: str
    tool_offset_m: Array
    home_rad: Array
    limits: JointLimits
    drive: DriveModel
    controller: ControllerConfig
    shape: ShapeConfig


def config_folder() -> Path:
    """Return the folder that holds the robot files that ship with the package."""
    return share_directory() / 'config' / 'robots'


def available() -> list[str]:
    """Return the names of the robots that have a file."""
    return sorted(path.stem for path in config_folder().glob('*.yaml'))


def find_file(name_or_file: str) -> Path:
    """Return the robot file of a name or a path.

    Raises:
        ConfigurationError: No such file; the message lists the names that exist.
    """
    if name_or_file.endswith(('.yaml', '.yml')) or '/' in name_or_file:
        path = Path(name_or_file).expanduser()
        if path.is_file():
            return path
    elif name_or_file in available():
        return config_folder() / f'{name_or_file}.yaml'
    raise ConfigurationError(
        'unknown robot', where='robot configuration', value=name_or_file,
        allowed=', '.join(available()) + ', or the path of a YAML file',
        remedy='name one of these robots, or write a file like config/robots/panda.yaml')


def read_fields(file: Path) -> Fields:
    """Return the mapping of a robot file.

    Raises:
        ConfigurationError: Not a readable YAML mapping.
    """
    try:
        content: Any = yaml.safe_load(file.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(
            'the robot file cannot be read', where=str(file), value=str(error)) from None
    return Fields.of(content, str(file))


def read_arm(fields: Fields, file: Path) -> RobotConfig:
    """Return the checked content of a robot file of kind `arm`.

    Raises:
        ConfigurationError: Unknown or missing keys, bad values.
    """
    fields.only(KEYS)
    names = fields.names('joint_names')
    limits = _limits(fields.section('limits'), len(names))
    home = fields.vector('home_rad', len(names))
    if (home < limits.lower_rad).any() or (home > limits.upper_rad).any():
        raise fields.fail('home_rad', 'inside the position limits')
    locked = fields.optional_section('locked_joints')
    return RobotConfig(
        file, fields.text('name'), 'arm', fields.text('urdf'), names,
        {name: locked.number(name) for name in locked.values},
        fields.text('base_frame'), fields.text('tool_frame'), fields.vector('tool_offset_m', 3),
        home, limits, _drive(fields.section('drive'), len(names)),
        _controller(fields.section('controller')), _shape(fields.section('shape')))


def _limits(fields: Fields, joints: int) -> JointLimits:
    """Return the limits, positions ordered and the others positive."""
    fields.only(LIMIT_KEYS)
    lower, upper = (fields.vector(key, joints) for key in LIMIT_KEYS[:2])
    if (lower >= upper).any():
        raise fields.fail('lower_rad', 'less than upper_rad for every joint')
    rest = (fields.vector(key, joints, positive=True) for key in LIMIT_KEYS[2:])
    return JointLimits(lower, upper, *rest)


def _drive(fields: Fields, joints: int) -> DriveModel:
    """Return the drive model, no number of it negative."""
    fields.only(DRIVE_KEYS)
    for key in DRIVE_KEYS:
        if (fields.vector(key, joints) < 0).any():
            raise fields.fail(key, f'{joints} numbers, none negative')
    return DriveModel(*(fields.vector(key, joints) for key in DRIVE_KEYS))


def _controller(fields: Fields) -> ControllerConfig:
    """Return the names of controller and topics, topics relative."""
    keys = ('name', 'command_topic', 'command_type', 'joint_states_topic')
    fields.only(keys)
    types = ('joint_trajectory', 'float64_multi_array', 'joint_state')
    if fields.text('command_type') not in types:
        raise fields.fail('command_type', ', '.join(types))
    for key in ('command_topic', 'joint_states_topic'):
        if fields.text(key).startswith('/'):
            raise fields.fail(key, 'a relative topic name, so that namespaces work')
    return ControllerConfig(*(fields.text(key) for key in keys))


def _shape(fields: Fields) -> ShapeConfig:
    """Return the shape as spheres, link by link in the file's order."""
    fields.only(SHAPE_KEYS)
    parts: dict[str, list[Array]] = {}
    spheres, capsules = fields.optional_section('spheres'), fields.optional_section('capsules')
    for link in spheres.values:
        rows = spheres.rows(link, (4,))
        if (rows[:, 3] <= 0).any():
            raise spheres.fail(link, 'rows [x, y, z, radius] with a positive radius')
        parts.setdefault(link, []).append(rows)
    for link, listed in capsules.values.items():
        for entry in listed if isinstance(listed, list) else [None]:
            parts.setdefault(link, []).append(_capsule(capsules, link, entry))
    links = tuple(LinkShape(link, np.concatenate(rows)) for link, rows in parts.items())
    if not links:
        raise fields.fail('spheres', 'spheres or capsules of at least one link')
    return ShapeConfig(
        links, fields.number('floor_m', 0.0), fields.text('floor_from_link', links[0].link),
        fields.text('obstacles_from_link', links[0].link), _pairs(fields))


def _capsule(fields: Fields, link: str, entry: object) -> Array:
    """Return the spheres of one capsule [[x, y, z], [x, y, z], radius]."""
    allowed = 'rows [[x, y, z], [x, y, z], radius]'
    if not isinstance(entry, list) or len(entry) != 3:
        raise fields.fail(link, allowed)
    ends, radius = as_array(entry[:2]), as_array(entry[2])
    if ends is None or ends.shape != (2, 3) or radius is None or radius.shape or radius <= 0:
        raise fields.fail(link, allowed)
    return cover_capsule(ends[0], ends[1], float(radius))


def _pairs(fields: Fields) -> tuple[tuple[str, str], ...]:
    """Return the ignored pairs of links."""
    pairs = fields.values.get('ignored_pairs', [])
    good = isinstance(pairs, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(link, str) for link in pair)
        for pair in pairs)
    if not good:
        raise fields.fail('ignored_pairs', 'a list of pairs [link, link]')
    return tuple((pair[0], pair[1]) for pair in pairs)
