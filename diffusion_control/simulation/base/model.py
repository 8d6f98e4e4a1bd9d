# SPDX-License-Identifier: Apache-2.0
"""The MuJoCo model of a base: a body on wheels and casters, on a floor between walls."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation.model import (
    OBSTACLE_BIT,
    PERIOD_S,
    ROBOT_BIT,
    PlantModel,
    add_obstacle,
)
from diffusion_control.simulation.plant import Plant

Array = NDArray[np.float64]
FLOOR_BIT = 4
SEEN_GROUP, OWN_GROUP = 0, 3
WALL_HEIGHT_M = 0.6
GRAVITY_M_S2 = 9.81
WHEEL_MASS_KG, WHEEL_HALF_WIDTH_M, WHEEL_ARMATURE = 0.5, 0.015, 0.005
CASTER_RADIUS_M, CASTER_SHARE = 0.02, 0.75
CENTRE_HEIGHT_SHARE = 0.3
WHEELS = ('left_wheel', 'right_wheel')
WHEEL_SOFTNESS, CASTER_SOFTNESS = (0.004, 1.0), (0.012, 1.0)
SERVO_GAIN = 8.0


def build_base_model(
    robot: Base, obstacles: tuple[Obstacle, ...], walls: Array, plant: Plant
) -> PlantModel:
    """Compile a base between walls.

    The body floats (a free joint) with its frame on the floor. A differential drive stands on two
    wheels, ellipsoids that touch the floor in one point each, with the friction of the robot file
    times the plant's grip, and on casters without friction, front and back. The wheels' motors
    are velocity servos with a limited torque, implicit in the integration. An omnidirectional
    base stands on casters alone and is pushed (`motors.PlanarMotors`). The slope of the floor is
    a tilted gravity. Walls are solid; obstacles are sensed only, as around an arm.

    Args:
        robot: The nominal robot.
        obstacles: Shapes and sizes; their poses are set at run time.
        walls: Low x, low y, high x, high y of boxes, shape [W, 4] [m].
        plant: Mass, friction, payload, wheels and slope.
    """
    spec = mujoco.MjSpec()
    _set_options(spec, plant)
    spec.worldbody.add_geom(
        name='floor', type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], group=OWN_GROUP,
        contype=0, conaffinity=FLOOR_BIT)
    masses, friction = plant.scales(3)
    body = _add_body(spec, robot, float(masses[0]), plant.payload_kg)
    if robot.drive.kind == 'diff_drive':
        for side, scale in enumerate((plant.base.left_wheel_scale, plant.base.right_wheel_scale)):
            _add_wheel(spec, body, robot, side, scale, plant,
                       float(masses[1 + side]), float(friction[1 + side]))
    _add_casters(body, robot)
    for index, box in enumerate(walls):
        _add_wall(spec, index, box)
    for index, obstacle in enumerate(obstacles):
        add_obstacle(spec, index, obstacle)
    return _indexed(spec.compile(), robot, len(obstacles))


def _set_options(spec: Any, plant: Plant) -> None:
    option, slope = spec.option, plant.base.slope_rad
    option.timestep = PERIOD_S
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.disableflags = mujoco.mjtDisableBit.mjDSBL_AUTORESET
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 10.0
    across, direction = GRAVITY_M_S2 * np.sin(slope), plant.base.slope_direction_rad
    option.gravity = [across * np.cos(direction), across * np.sin(direction),
                      -GRAVITY_M_S2 * np.cos(slope)]


def _add_body(spec: Any, robot: Base, mass_scale: float, payload_kg: float) -> Any:
    """Add the body with its hull, of which the inertia is that of an even cylinder."""
    height, outline = robot.collision.height_m, robot.config.outline
    wheels = 2 * WHEEL_MASS_KG if robot.drive.kind == 'diff_drive' else 0.0
    mass = max(robot.plant.mass_kg - wheels, 0.5) * mass_scale + payload_kg
    radius = float(np.hypot(outline[:, 0], outline[:, 1]).max())
    across = mass * (radius**2 / 4 + height**2 / 12)
    body = spec.worldbody.add_body(
        name=robot.body_frame, mass=mass, explicitinertial=True,
        ipos=[0, 0, CENTRE_HEIGHT_SHARE * height], inertia=[across, across, mass * radius**2 / 2])
    body.add_freejoint()
    shape: dict[str, Any] = {'name': 'hull', 'contype': ROBOT_BIT, 'conaffinity': OBSTACLE_BIT,
                             'group': OWN_GROUP, 'mass': 0.0, 'friction': [0.2, 0.005, 0.0001]}
    discs = robot.collision.discs
    if len(discs) == 1:
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[float(discs[0, 2]), height / 2, 0.0],
            pos=[float(discs[0, 0]), float(discs[0, 1]), height / 2], **shape)
    else:
        vertices = [np.column_stack([outline, np.full(len(outline), z)]) for z in (0.0, height)]
        spec.add_mesh(name='hull', uservert=np.concatenate(vertices).ravel())
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname='hull', **shape)
    return body


def _add_wheel(
    spec: Any, body: Any, robot: Base, side: int, scale: float, plant: Plant, mass_scale: float,
    friction_scale: float,
) -> None:
    """Add a driven wheel: side 0 is the left one."""
    nominal, name = robot.plant, WHEELS[side]
    radius = robot.drive.wheel_radius_m * scale
    half_m = robot.drive.wheel_separation_m * plant.base.separation_scale / 2
    wheel = body.add_body(name=name, pos=[0.0, half_m if side == 0 else -half_m, radius])
    resistance = (nominal.rolling_resistance * friction_scale * nominal.mass_kg * GRAVITY_M_S2
                  * robot.drive.wheel_radius_m / 2)
    wheel.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 1, 0],
                    armature=WHEEL_ARMATURE, frictionloss=resistance)
    grip = nominal.wheel_friction * plant.base.grip_scale
    wheel.add_geom(
        name=name, type=mujoco.mjtGeom.mjGEOM_ELLIPSOID,
        size=[radius, WHEEL_HALF_WIDTH_M, radius], mass=WHEEL_MASS_KG * mass_scale,
        contype=FLOOR_BIT, conaffinity=0, group=OWN_GROUP, priority=1, condim=3,
        friction=[grip, 0.005, 0.0001], solref=WHEEL_SOFTNESS)
    motor = spec.add_actuator(name=name, target=name)
    motor.trntype = mujoco.mjtTrn.mjTRN_JOINT
    motor.gaintype, motor.biastype = (
        mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE)
    motor.gainprm[0], motor.biasprm[2] = SERVO_GAIN, -SERVO_GAIN
    motor.ctrllimited, motor.forcelimited = False, True
    motor.forcerange = [-nominal.wheel_torque_nm, nominal.wheel_torque_nm]


def _add_casters(body: Any, robot: Base) -> None:
    """Add balls without friction, front and back; an omnidirectional base has four."""
    outline = robot.config.outline
    ways = [[outline[:, 0].max(), 0.0], [outline[:, 0].min(), 0.0]]
    softness = CASTER_SOFTNESS
    if robot.drive.kind == 'omni':
        ways += [[0.0, outline[:, 1].max()], [0.0, outline[:, 1].min()]]
        softness = WHEEL_SOFTNESS
    for index, way in enumerate(ways):
        body.add_geom(
            name=f'caster {index}', type=mujoco.mjtGeom.mjGEOM_SPHERE, mass=0.0,
            size=[CASTER_RADIUS_M, 0, 0], group=OWN_GROUP, priority=1, condim=1,
            pos=[CASTER_SHARE * float(way[0]), CASTER_SHARE * float(way[1]), CASTER_RADIUS_M],
            contype=FLOOR_BIT, conaffinity=0, solref=softness)


def _add_wall(spec: Any, index: int, box: Array) -> None:
    """Add a solid wall."""
    half, centre = (box[2:] - box[:2]) / 2, (box[2:] + box[:2]) / 2
    spec.worldbody.add_geom(
        name=f'wall {index}', type=mujoco.mjtGeom.mjGEOM_BOX, group=SEEN_GROUP,
        size=[*half.tolist(), WALL_HEIGHT_M / 2], pos=[*centre.tolist(), WALL_HEIGHT_M / 2],
        contype=0, conaffinity=ROBOT_BIT, friction=[0.2, 0.005, 0.0001])


def _indexed(model: Any, robot: Base, obstacles: int) -> PlantModel:
    """Return the model with its indices; the robot's only sensed shape is its hull."""
    body = int(model.body(robot.body_frame).id)
    names = [model.geom(geom).name for geom in range(model.ngeom)]
    rolling = frozenset(k for k in range(model.ngeom) if model.geom_contype[k] == FLOOR_BIT)
    return PlantModel(
        model, np.array([model.geom('hull').id], dtype=np.int64),
        np.array([model.geom(f'obstacle {k}').id for k in range(obstacles)], dtype=np.int64),
        np.array([body], dtype=np.int64), body,
        tuple(robot.body_frame if name == 'hull' else name for name in names), rolling)
