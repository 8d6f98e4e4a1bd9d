# SPDX-License-Identifier: Apache-2.0
"""The MuJoCo model of a robot among obstacles on a floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.srdf import disabled_pairs
from diffusion_control.simulation.urdf_source import mujoco_urdf

if TYPE_CHECKING:
    from diffusion_control.robots.arm import Arm

PERIOD_S = 0.001
ROBOT_BIT, OBSTACLE_BIT = 1, 2
SENSED_GAP_M = 100.0
PAYLOAD_RADIUS_M = 0.02
GEOM_TYPE = {'sphere': mujoco.mjtGeom.mjGEOM_SPHERE, 'box': mujoco.mjtGeom.mjGEOM_BOX,
             'cylinder': mujoco.mjtGeom.mjGEOM_CYLINDER}
Index = NDArray[np.int64]


@dataclass(frozen=True)
class PlantModel:
    """A compiled model and where things are in it.

    Attributes:
        model: mujoco.MjModel; an arm's has n hinges, in the robot's joint order.
        robot_geoms: Collision shapes of the robot, ids, shape [g].
        obstacle_geoms: One per obstacle, in order, shape [k].
        link_bodies: Body that joint i moves, shape [n].
        tool_body: Body of the tool frame.
        geom_link: Name of the link, obstacle, wall or `floor` of every shape, by id.
        rolling_geoms: Wheels and casters, whose contacts carry the robot.
    """

    model: Any
    robot_geoms: Index
    obstacle_geoms: Index
    link_bodies: Index
    tool_body: int
    geom_link: tuple[str, ...]
    rolling_geoms: frozenset[int] = frozenset()


def build_model(robot: Arm, obstacles: tuple[Obstacle, ...], plant: Plant) -> PlantModel:
    """Compile the plant: the URDF's own collision shapes and masses, deviating as `plant` says.

    Integrator implicitfast at 1 kHz. The drive's torques act through one motor per joint.
    Obstacles are mocap bodies, which are sensed but exert no force: their shapes have the margin
    -100 m and the gap 100 m, so that MuJoCo reports a contact from the first penetration on
    (distance < margin + gap = 0) and gives it to the solver never (distance < margin).

    Args:
        robot: The robot, for its URDF, joints, drive and floor.
        obstacles: Shapes and sizes; their poses are set at run time.
        plant: Mass, friction and payload.

    Raises:
        ConfigurationError: If MuJoCo cannot make a model of the URDF.
    """
    try:
        text = mujoco_urdf(robot.urdf_text, robot.joint_names, robot.locked_joints)
        spec = mujoco.MjSpec.from_string(text)
        links = [body.name for body in spec.bodies if body.name != 'world']
        _set_robot(spec, robot)
        _add_floor(spec, robot)
        for index, obstacle in enumerate(obstacles):
            add_obstacle(spec, index, obstacle)
        _add_payload(spec, robot.tool_frame, plant.payload_kg)
        groups = _weld_groups(spec.compile(), links)
        _exclude_pairs(spec, robot, groups)
        model = spec.compile()
    except ValueError as error:
        raise ConfigurationError(
            'MuJoCo cannot simulate this robot', where=str(robot.urdf_path), value=str(error),
            allowed='a URDF with meshes and inertias') from error
    _check_order(model, robot)
    _perturb(model, robot, plant)
    return _indexed(model, robot, len(obstacles))


def _set_robot(spec: Any, robot: Arm) -> None:
    """Set solver, drive constants and motors; give the shapes their bits, and no mass."""
    spec.option.timestep = PERIOD_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.disableflags = mujoco.mjtDisableBit.mjDSBL_AUTORESET
    for index, name in enumerate(robot.joint_names):
        joint = spec.joint(name)
        joint.armature = float(robot.drive.armature[index])
        joint.damping = [float(robot.drive.joint_damping[index]), 0, 0]
        joint.frictionloss = float(robot.drive.friction_loss[index])
        motor = spec.add_actuator(name=name, target=name)
        motor.trntype = mujoco.mjtTrn.mjTRN_JOINT
        motor.ctrllimited = False
        motor.forcelimited = False
    for geom in spec.geoms:
        geom.contype, geom.conaffinity = ROBOT_BIT, ROBOT_BIT | OBSTACLE_BIT
        geom.density = 0.0


def _add_floor(spec: Any, robot: Arm) -> None:
    """Add the floor plane, which the robot cannot pass; its base may stand on it."""
    floor_m = robot.collision.floor_m
    if np.isfinite(floor_m):
        spec.worldbody.add_geom(
            name='floor', type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1],
            pos=[0, 0, float(floor_m)], contype=ROBOT_BIT, conaffinity=ROBOT_BIT)


def add_obstacle(spec: Any, index: int, obstacle: Obstacle) -> None:
    """Add one obstacle as a body that is moved from outside."""
    size = list(obstacle.size_m)
    if obstacle.shape == 'box':
        size = [edge / 2 for edge in size]
    elif obstacle.shape == 'cylinder':
        size[1] /= 2
    x, y, z, w = (float(c) for c in obstacle.quaternion)
    body = spec.worldbody.add_body(
        name=f'obstacle {index}', mocap=True, pos=obstacle.position_m, quat=[w, x, y, z])
    body.add_geom(
        name=f'obstacle {index}', type=GEOM_TYPE[obstacle.shape],
        size=[*size, 0.0, 0.0][:3], contype=OBSTACLE_BIT, conaffinity=0,
        margin=-SENSED_GAP_M, gap=SENSED_GAP_M)


def _add_payload(spec: Any, tool_frame: str, mass_kg: float) -> None:
    """Hang a small ball of lead at the tool frame, without a collision shape."""
    body = spec.body(tool_frame)
    if body is None:
        raise ConfigurationError(
            'the tool frame is no link of the URDF', where='tool_frame', value=tool_frame,
            allowed=', '.join(b.name for b in spec.bodies if b.name != 'world'))
    if mass_kg > 0.0:
        inertia = 0.4 * mass_kg * PAYLOAD_RADIUS_M**2
        body.add_body(name='payload', mass=mass_kg, inertia=[inertia] * 3,
                      explicitinertial=True)


def _weld_groups(model: Any, links: list[str]) -> dict[str, tuple[int, int]]:
    """Return, for each link, the bodies that its rigid group and the group's parent begin with."""
    groups = {}
    for name in links:
        group = int(model.body_weldid[model.body(name).id])
        parent = int(model.body_weldid[model.body_parentid[group]])
        groups[name] = (group, parent if group else -1)
    return groups


def _exclude_pairs(spec: Any, robot: Arm, groups: dict[str, tuple[int, int]]) -> None:
    """Exclude adjacent links, and the pairs that the SRDF disables.

    Links that the SRDF does not mention inherit the pairs of the rigid group they belong to.
    """
    names = list(groups)
    disabled = disabled_pairs(robot.urdf_path)
    mentioned = {name for pair in disabled for name in pair}
    closed = {frozenset(pair) for pair in disabled}
    for first, second in disabled:
        for name in names:
            for known, other in ((first, second), (second, first)):
                same = known in groups and groups[name][0] == groups[known][0]
                if same and name not in mentioned:
                    closed.add(frozenset((name, other)))
    for index, name in enumerate(names):
        for other in names[:index]:
            (group, parent), (group_2, parent_2) = groups[name], groups[other]
            adjacent = group in (group_2, parent_2) or parent == group_2
            if adjacent or frozenset((name, other)) in closed:
                spec.add_exclude(bodyname1=other, bodyname2=name)


def _check_order(model: Any, robot: Arm) -> None:
    """Insist on the robot's joint order and frames."""
    names = tuple(model.joint(i).name for i in range(model.njnt))
    if names != robot.joint_names or model.nq != model.nv or model.nq != robot.dof:
        raise ConfigurationError(
            'the simulated joints differ from the robot file', where=str(robot.urdf_path),
            value=robot.joint_names, allowed=', '.join(names))
    base = model.body(robot.base_frame).id
    moved = model.body_weldid[base] != 0 or np.abs(model.body_pos[base]).max() > 1e-9
    if moved or abs(model.body_quat[base][0]) < 1.0 - 1e-9:
        raise ConfigurationError(
            'the base frame is not the root of the URDF', where='base_frame',
            value=robot.base_frame, allowed='the root link, or a link at the same pose')


def _perturb(model: Any, robot: Arm, plant: Plant) -> None:
    """Scale mass and inertia of each moved link, damping and friction loss of each joint."""
    masses, friction = plant.scales(robot.dof)
    payload = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, 'payload')
    for index in range(robot.dof):
        bodies = model.body_weldid == model.jnt_bodyid[index]
        if payload >= 0:
            bodies[payload] = False
        model.body_mass[bodies] *= masses[index]
        model.body_inertia[bodies] *= masses[index]
    model.dof_damping[:] *= friction.reshape(-1, *[1] * (model.dof_damping.ndim - 1))
    model.dof_frictionloss[:] *= friction
    mujoco.mj_setConst(model, mujoco.MjData(model))


def _indexed(model: Any, robot: Arm, obstacles: int) -> PlantModel:
    """Return the model with its indices."""
    names = []
    for geom in range(model.ngeom):
        own = model.geom(geom).name
        names.append(own if own else model.body(int(model.geom_bodyid[geom])).name)
    return PlantModel(
        model,
        np.flatnonzero(model.geom_conaffinity == ROBOT_BIT | OBSTACLE_BIT).astype(np.int64),
        np.array([model.geom(f'obstacle {k}').id for k in range(obstacles)], dtype=np.int64),
        np.array(model.jnt_bodyid, dtype=np.int64),
        int(model.body(robot.tool_frame).id), tuple(names))
