# SPDX-License-Identifier: Apache-2.0
"""Find a URDF, load it with pinocchio and lock the joints that are not driven."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pinocchio as pin

from diffusion_control.errors import ConfigurationError, MissingDependencyError, require_known

DATA_PACKAGE = 'example-robot-data'


def share_folders() -> list[Path]:
    """Return the folders that hold `PACKAGE/...` for `package://PACKAGE/...`.

    The wheel of `example-robot-data` (data only, below its `cmeel.prefix`), then the `share`
    folders of a sourced ROS 2, then those of ROS_PACKAGE_PATH.
    """
    folders: list[Path] = []
    try:
        data = metadata.distribution(DATA_PACKAGE)
    except metadata.PackageNotFoundError:
        pass
    else:
        folders.append(Path(str(data.locate_file('cmeel.prefix/share'))))
    for variable, tail in (('AMENT_PREFIX_PATH', 'share'), ('ROS_PACKAGE_PATH', '')):
        entries = os.environ.get(variable, '').split(os.pathsep)
        folders += [Path(entry) / tail for entry in entries if entry]
    return [folder for folder in folders if folder.is_dir()]


def resolve(uri: str, where: str) -> Path:
    """Return the file of `package://PACKAGE/PATH`, `file://PATH` or an absolute path.

    Raises:
        ConfigurationError: No such file, or a relative path.
        MissingDependencyError: The package is not installed.
    """
    if uri.startswith('package://'):
        package, _, tail = uri.removeprefix('package://').partition('/')
        folders = share_folders()
        for folder in folders:
            if (folder / package / tail).is_file():
                return folder / package / tail
        if not any((folder / package).is_dir() for folder in folders):
            raise MissingDependencyError(
                f'package {package} is not installed', where=where, value=uri,
                remedy=f'pip install {package}, or source the ROS 2 workspace that has it')
    path = Path(uri.removeprefix('file://'))
    if not path.is_absolute() or not path.is_file():
        raise ConfigurationError(
            'robot description not found', where=where, value=uri,
            allowed='package://PACKAGE/PATH, or the absolute path of a URDF')
    return path


def build_model(
    text: str, driven: Iterable[str], locked: Mapping[str, float], where: str
) -> pin.Model:
    """Return the rigid-body model with the driven joints only, in the order of `driven`.

    Args:
        text: The URDF.
        driven: Names of the driven joints.
        locked: Position of every other joint [rad or m].
        where: Place of the names, for messages.

    Raises:
        ConfigurationError: Not a URDF, unknown joints, joints neither driven nor locked, or an
            order that is not the URDF's.
    """
    try:
        model = pin.buildModelFromXML(text)
    except (ValueError, RuntimeError) as error:
        raise ConfigurationError(
            'the robot description is no URDF', where=where, value=str(error)) from None
    wanted, existing = list(driven), list(model.names)[1:]
    for name in [*wanted, *locked]:
        require_known(f'joint {name} is not in the URDF', where, name, existing)
    both = sorted(set(wanted) & set(locked))
    forgotten = [name for name in existing if name not in locked and name not in wanted]
    if both or forgotten:
        raise ConfigurationError(
            'every joint must be either driven or locked', where=where, value=both or forgotten,
            remedy='name each joint once, in joint_names or in locked_joints')
    reduced = _lock(model, locked, where)
    order = list(reduced.names)[1:]
    if order != wanted:
        raise ConfigurationError(
            'joint_names are not in the order of the chain', where=where, value=wanted,
            allowed=', '.join(order))
    return reduced


def build_geometry(text: str, model: pin.Model, locked: Mapping[str, float]) -> pin.GeometryModel:
    """Return the collision geometry (meshes and primitives) attached to the reduced model."""
    full = pin.buildModelFromXML(text)
    geometry = pin.buildGeomFromUrdfString(
        full, text, pin.GeometryType.COLLISION,
        package_dirs=[str(folder) for folder in share_folders()])
    position = _locked_position(full, locked)
    identifiers = [full.getJointId(name) for name in locked]
    reduced, (attached,) = pin.buildReducedModel(full, [geometry], identifiers, position)
    if list(reduced.names) != list(model.names):
        raise ConfigurationError('geometry and model differ', value=list(reduced.names))
    return attached


def _lock(model: pin.Model, locked: Mapping[str, float], where: str) -> pin.Model:
    """Return the model with some joints fixed."""
    for name, value in locked.items():
        joint = model.joints[model.getJointId(name)]
        low = model.lowerPositionLimit[joint.idx_q]
        high = model.upperPositionLimit[joint.idx_q]
        if joint.nq != 1 or not low <= value <= high:
            raise ConfigurationError(
                f'joint {name} cannot be locked there', where=where, value=value,
                allowed=f'{low} .. {high} of a joint with limits')
    identifiers = [model.getJointId(name) for name in locked]
    return pin.buildReducedModel(model, identifiers, _locked_position(model, locked))


def _locked_position(model: pin.Model, locked: Mapping[str, float]) -> Any:
    """Return a configuration of the full model with the locked joints in place."""
    position: np.ndarray[Any, np.dtype[np.float64]] = pin.neutral(model)
    for name, value in locked.items():
        position[model.joints[model.getJointId(name)].idx_q] = value
    return position
