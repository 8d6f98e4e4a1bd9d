# SPDX-License-Identifier: Apache-2.0
"""Robots by name or file, whatever their kind."""

from __future__ import annotations

from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base
from diffusion_control.robots.base_config import read_base
from diffusion_control.robots.config import find_file, read_arm, read_fields

KINDS = ('arm', 'base')


def kind_of(name_or_file: str) -> str:
    """Return `arm` or `base`: what the robot file of a name or path says.

    Raises:
        ConfigurationError: Unknown name, or a file of neither kind.
    """
    fields = read_fields(find_file(name_or_file))
    kind = fields.text('kind')
    if kind not in KINDS:
        raise fields.fail('kind', ', '.join(KINDS))
    return kind


def load(name_or_file: str, *, urdf_text: str | None = None) -> Arm | Base:
    """Return the robot of a name (`panda`, `ur5`, `base`, ...) or of a YAML file.

    Args:
        name_or_file: Name of a file in `config/robots/`, or the path of a YAML file.
        urdf_text: A robot description to use instead of the one that an arm's file names.

    Raises:
        ConfigurationError: Unknown name, bad file, or a file that disagrees with the URDF.
    """
    file = find_file(name_or_file)
    if kind_of(name_or_file) == 'arm':
        return Arm(read_arm(read_fields(file), file), urdf_text=urdf_text)
    return Base(read_base(read_fields(file), file))


def load_arm(name_or_file: str, *, urdf_text: str | None = None) -> Arm:
    """Return an arm, as `load` does; any other robot is refused."""
    robot = load(name_or_file, urdf_text=urdf_text)
    if not isinstance(robot, Arm):
        raise ConfigurationError(
            'this needs an arm', where='robot configuration', value=name_or_file,
            allowed='a robot file of kind arm', remedy='name an arm, for example panda or ur5')
    return robot


def load_base(name_or_file: str) -> Base:
    """Return a base, as `load` does; any other robot is refused."""
    robot = load(name_or_file)
    if not isinstance(robot, Base):
        raise ConfigurationError(
            'this needs a base', where='robot configuration', value=name_or_file,
            allowed='a robot file of kind base', remedy='name a base, for example base')
    return robot
