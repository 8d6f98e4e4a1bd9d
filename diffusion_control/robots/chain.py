# SPDX-License-Identifier: Apache-2.0
"""A serial chain of revolute joints as the constant arrays that the kernels read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pinocchio as pin
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.forward_kinematics import tool_poses

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Chain:
    """Placements with every joint axis folded into the local z.

    With P_j the URDF's placement of joint j in its parent, a_j its axis and F_j a rotation with
    F_j e_z = a_j, the folded placement is F_{j-1}^-1 P_j F_j; a point x of link j becomes
    F_j^-1 x.

    Attributes:
        placements: Position, then rotation row-major, shape [n, 12] [m].
        folds: F_j, shape [n, 3, 3]; F of the base is the placement of the base frame.
        base: The base frame in the model's world.
        tool: Pose of the tool in the last folded joint frame, shape [12].
    """

    placements: Array
    folds: Array
    base: pin.SE3
    tool: Array

    @classmethod
    def of(cls, model: pin.Model, base: pin.SE3, tool: pin.SE3, where: str) -> Chain:
        """Return the chain of a model.

        Args:
            model: Reduced model with the driven joints.
            base: Base frame in the world of the model.
            tool: Tool in the frame of the last joint.
            where: Name of the robot's file, for messages.

        Raises:
            ConfigurationError: A branching chain, or a joint that is not revolute with limits.
        """
        rows, folds, before = [], [], base
        for j in range(1, model.njoints):
            axis = _axis(model, j, where)
            fold = pin.SE3(rotation_to(axis), np.zeros(3))
            placement = before.inverse() * model.jointPlacements[j] * fold
            rows.append(_row(placement))
            folds.append(fold.rotation)
            before = fold
        return cls(np.array(rows), np.array(folds), base, _row(before.inverse() * tool))

    def fold_point(self, joint: int, point: Array) -> Array:
        """Return a point of joint `joint` (0 = base, pinocchio's numbering) in folded frames."""
        if joint == 0:
            return np.asarray(self.base.inverse() * point)
        return np.asarray(self.folds[joint - 1].T @ point)

    def tool_poses(self, positions: Array) -> Array:
        """Return tool poses (position, rotation row-major) at L configurations, shape [L, 12]."""
        positions = np.ascontiguousarray(positions, dtype=np.float64)
        out = np.empty((len(positions), 12))
        tool_poses(positions, self.placements, self.tool, out)
        return out

    @property
    def reach_m(self) -> float:
        """Sum of the lengths of all placements, a bound of the tool's distance [m]."""
        lengths = np.linalg.norm(self.placements[:, :3], axis=1)
        return float(lengths.sum() + np.linalg.norm(self.tool[:3]))


def rotation_to(axis: Array) -> Array:
    """Return the smallest rotation F with F e_z = axis (a unit vector), shape [3, 3]."""
    if axis[2] < -1.0 + 1e-12:
        return np.diag([1.0, -1.0, -1.0])
    x, y, z = axis
    w = 1.0 / (1.0 + z)
    return np.array([
        [1.0 - w * x * x, -w * x * y, x], [-w * x * y, 1.0 - w * y * y, y], [-x, -y, z]])


def _row(placement: pin.SE3) -> Array:
    """Return a placement as position, then rotation row-major, shape [12]."""
    return np.concatenate([placement.translation, placement.rotation.ravel()])


def _axis(model: pin.Model, joint: int, where: str) -> Array:
    """Return the axis of a revolute joint, or say why it cannot be driven."""
    kind, name = model.joints[joint].shortname(), model.names[joint]
    if model.parents[joint] != joint - 1:
        raise ConfigurationError(
            f'joint {name} branches off', where=where, value=name, allowed='a serial chain',
            remedy='lock the joints of the other branch in locked_joints')
    if model.nvs[joint] != 1 or model.nqs[joint] != 1 or not kind.startswith('JointModelR'):
        raise ConfigurationError(
            f'joint {name} cannot be driven', where=where, value=kind,
            allowed='revolute joints with limits')
    data = model.createData()
    pin.forwardKinematics(model, data, pin.neutral(model), np.eye(model.nv)[joint - 1])
    return np.asarray(data.v[joint].angular)
