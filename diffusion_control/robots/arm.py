# SPDX-License-Identifier: Apache-2.0
"""An arm: names, limits, kinematics, nominal dynamics and collision shape from one robot file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pinocchio as pin
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.chain import Chain
from diffusion_control.robots.collision import CollisionModel
from diffusion_control.robots.config import RobotConfig, read_arm, read_fields
from diffusion_control.robots.limits import JointLimits
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.scan import Scan
from diffusion_control.robots.shape import LinkShape
from diffusion_control.robots.urdf import build_geometry, build_model, resolve

Array = NDArray[np.float64]
TOLERANCE = 1e-6


class Arm:
    """A serial arm of revolute joints.

    Poses, Jacobians and obstacles are in `base_frame`; arrays are in the order of `joint_names`.
    The dynamics are those of the nominal model (the URDF, locked joints rigid, no armature).
    Methods may be called from several threads.

    Attributes:
        config: The robot file's content.
        kind: `arm`.
        name: Name of the robot.
        joint_names: Driven joints.
        dof: Their number n.
        base_frame: Frame of obstacles, tool poses and goals.
        tool_frame: Frame that the tool point belongs to.
        limits: Position, velocity, acceleration, jerk, torque.
        home_rad: A configuration free of collision, shape [n].
        drive: Stiffness, damping, armature, friction of the joint drives.
        controller: Names of controller and topics.
        urdf_path: The URDF that the robot file names.
        urdf_text: The robot description in use (the file's, or the given text).
        locked_joints: Joints of the URDF that are held, and where [rad or m].
        collision: Shape and distances.
        model: The reduced pinocchio model.
    """

    kind = 'arm'
    goal_tolerance = (0.01, 0.05)
    """How near counts as there: the tool's position [m] and its angle [rad]."""

    def __init__(self, config: RobotConfig, *, urdf_text: str | None = None) -> None:
        """Build the arm of a checked robot file; what disagrees with the URDF is refused.

        Args:
            config: The robot file.
            urdf_text: A robot description (as on the topic `robot_description`) to use instead
                of the file that `config` names.

        Raises:
            ConfigurationError: Joints, frames or links that the URDF does not have, limits wider
                than the URDF's, joints that cannot be driven.
        """
        self.config, self._given_text = config, urdf_text
        where = str(config.file)
        self.name, self.joint_names = config.name, config.joint_names
        self.dof = len(config.joint_names)
        self.base_frame, self.tool_frame = config.base_frame, config.tool_frame
        self.limits: JointLimits = config.limits
        self.home_rad, self.drive = config.home_rad, config.drive
        self.controller = config.controller
        self.locked_joints = dict(config.locked_joints)
        self.urdf_path: Path = resolve(config.urdf, f'{where}: urdf')
        self.urdf_text: str = urdf_text or self.urdf_path.read_text(encoding='utf-8')
        self.model = build_model(self.urdf_text, self.joint_names, self.locked_joints, where)
        base = self._frame(self.base_frame, 0, where)
        tool = self._frame(self.tool_frame, self.dof, where) * pin.SE3(
            np.eye(3), config.tool_offset_m)
        self._tool_id = self.model.addFrame(
            pin.Frame('diffusion_control_tool', self.dof, tool, pin.FrameType.OP_FRAME))
        self.chain = Chain.of(self.model, base, tool, where)
        _check_limits(self.model, config)
        self._base_rotation = base.rotation.T.copy()
        self._local = threading.local()
        self._lower = np.tri(self.dof, k=-1, dtype=np.bool_)
        self.collision = self._collision_model(where)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the robot file, so that worker processes load their own."""
        return _from_file, (self.config.file,), {'urdf_text': self._given_text}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a given robot description after unpickling."""
        if state['urdf_text'] is not None:
            self.__init__(self.config, urdf_text=state['urdf_text'])  # type: ignore[misc]

    @property
    def reach_m(self) -> float:
        """Upper bound of the distance between base and tool [m]."""
        return self.chain.reach_m

    @property
    def _data(self) -> Any:
        """Return this thread's workspace of pinocchio."""
        if not hasattr(self._local, 'data'):
            self._local.data = self.model.createData()
        return self._local.data

    def _frame(self, name: str, joint: int, where: str) -> pin.SE3:
        """Return the placement of a URDF frame in the joint that must carry it."""
        if not self.model.existFrame(name):
            raise ConfigurationError(
                f'frame {name} is not in the URDF', where=where, value=name,
                allowed=', '.join(frame.name for frame in self.model.frames[1:]))
        frame = self.model.frames[self.model.getFrameId(name)]
        if joint != frame.parentJoint:
            raise ConfigurationError(
                f'frame {name} moves with {self.model.names[frame.parentJoint]}', where=where,
                value=name, allowed=f'a frame that is fixed to {self.model.names[joint]}')
        return frame.placement.copy()

    def _collision_model(self, where: str) -> CollisionModel:
        """Return the collision model of the file's spheres."""
        shape, shapes, joints = self.config.shape, [], []
        for link in shape.links:
            if not self.model.existFrame(link.link):
                raise ConfigurationError(
                    f'link {link.link} is not in the URDF', where=f'{where}: shape',
                    value=link.link,
                    allowed=', '.join(frame.name for frame in self.model.frames[1:]))
            frame = self.model.frames[self.model.getFrameId(link.link)]
            centres = [frame.placement * row[:3] for row in link.spheres]
            shapes.append(LinkShape(link.link, np.column_stack([centres, link.spheres[:, 3]])))
            joints.append(frame.parentJoint)
        return CollisionModel(
            self.chain, self.limits, tuple(shapes), np.array(joints, dtype=np.int64),
            ignored=shape.ignored_pairs, floor_m=shape.floor_m,
            floor_from_link=shape.floor_from_link,
            obstacles_from_link=shape.obstacles_from_link, where=f'{where}: shape')

    def pack(
        self, obstacles: tuple[Obstacle, ...], map: OccupancyMap | None = None,
        scan: Scan | None = None,
    ) -> ObstacleArrays:
        """Return obstacles as the arrays that `collision` reads; an arm has no map and no scan."""
        return ObstacleArrays.pack(obstacles)

    def tool_pose(self, position: Array) -> tuple[Array, Array]:
        """Return position [3] [m] and rotation [3, 3] of the tool in the base frame."""
        row = self.chain.tool_poses(np.asarray(position)[None])[0]
        return row[:3], row[3:].reshape(3, 3)

    def tool_positions(self, positions: Array) -> Array:
        """Return the tool's positions at L configurations, shape [L, 3] [m]."""
        return self.chain.tool_poses(np.asarray(positions))[:, :3]

    def tool_jacobian(self, position: Array) -> Array:
        """Return d(velocity, angular velocity of the tool)/d(joint velocities), shape [6, n].

        Both velocities are expressed in the base frame, at the tool point.
        """
        jacobian = pin.computeFrameJacobian(
            self.model, self._data, position, self._tool_id, pin.LOCAL_WORLD_ALIGNED)
        return np.vstack([self._base_rotation @ jacobian[:3], self._base_rotation @ jacobian[3:]])

    def gravity(self, position: Array) -> Array:
        """Return the torques g(q) that hold the arm against gravity, shape [n] [Nm]."""
        return np.array(pin.computeGeneralizedGravity(self.model, self._data, position))

    def bias(self, position: Array, velocity: Array) -> Array:
        """Return C(q, v) v + g(q), shape [n] [Nm]."""
        return np.array(pin.nonLinearEffects(self.model, self._data, position, velocity))

    def mass_matrix(self, position: Array) -> Array:
        """Return the joint-space inertia M(q), shape [n, n] [kg m^2], symmetric."""
        upper = pin.crba(self.model, self._data, position)
        return np.ascontiguousarray(np.where(self._lower, upper.T, upper))

    def inverse_dynamics(self, position: Array, velocity: Array, acceleration: Array) -> Array:
        """Return M(q) a + C(q, v) v + g(q), shape [n] [Nm]."""
        return np.array(pin.rnea(self.model, self._data, position, velocity, acceleration))

    def torque_slopes(
        self, position: Array, velocity: Array, acceleration: Array
    ) -> tuple[Array, Array, Array, Array]:
        """Return the torques [n] of a state and their derivatives by q, v and a, [n, n] each.

        The last one is M(q). Original: J. Carpentier, N. Mansard, "Analytical derivatives of
        rigid body dynamics algorithms", Robotics: Science and Systems 2018.
        """
        data = self._data
        by_q, by_v, by_a = pin.computeRNEADerivatives(
            self.model, data, position, velocity, acceleration)
        mass = np.where(self._lower, by_a.T, by_a)
        return np.array(data.tau), np.array(by_q), np.array(by_v), mass

    def collision_geometry(self) -> pin.GeometryModel:
        """Return the URDF's collision geometry: meshes and primitives, an oracle for tests."""
        return build_geometry(self.urdf_text, self.model, self.locked_joints)

    def warm_up(self) -> None:
        """Compile every kernel, so that no later call waits for a compiler."""
        self.tool_pose(self.home_rad)
        self.collision.warm_up()


def _from_file(file: Path) -> Arm:
    """Return the arm of a robot file."""
    return Arm(read_arm(read_fields(file), file))


def _check_limits(model: pin.Model, config: RobotConfig) -> None:
    """Refuse limits that are wider than the URDF's."""
    limits = config.limits
    bounds = {
        'lower_rad': (-limits.lower_rad, -model.lowerPositionLimit, model.lowerPositionLimit),
        'upper_rad': (limits.upper_rad, model.upperPositionLimit, model.upperPositionLimit),
        'velocity_rad_s': (limits.velocity_rad_s, model.velocityLimit, model.velocityLimit),
        'torque_nm': (limits.torque_nm, model.effortLimit, model.effortLimit),
    }
    for key, (value, bound, shown) in bounds.items():
        wide = np.flatnonzero(value > bound + TOLERANCE)
        if len(wide):
            k = int(wide[0])
            raise ConfigurationError(
                f'{key} of {config.joint_names[k]} is wider than the URDF allows',
                where=f'{config.file}: limits: {key}', value=float(abs(value[k])),
                allowed=f'within {float(shown[k])} (URDF)')
