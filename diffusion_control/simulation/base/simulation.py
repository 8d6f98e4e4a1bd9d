# SPDX-License-Identifier: Apache-2.0
"""The simulated base: wheels, receiver, walls, obstacles, odometry, laser and the ground truth."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.placed import placed
from diffusion_control.robots.planar import compose, inverse, unwrapped
from diffusion_control.robots.scan import Scan
from diffusion_control.robots.state import RobotState
from diffusion_control.simulation.base.laser import Laser
from diffusion_control.simulation.base.model import build_base_model
from diffusion_control.simulation.base.motors import STILL, make_motors
from diffusion_control.simulation.base.odometry import Odometry
from diffusion_control.simulation.layout import occupancy_map, wall_boxes
from diffusion_control.simulation.obstacle_set import ObstacleSet
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.receivers.diff_drive import DiffDrive
from diffusion_control.simulation.receivers.messages import (
    Message,
    SampleMessage,
    TrajectoryMessage,
    TwistMessage,
)
from diffusion_control.simulation.robot_simulation import RobotSimulation
from diffusion_control.simulation.scene import Scene
from diffusion_control.simulation.truth import TruthRecorder

Array = NDArray[np.float64]
PROFILE = 'diff_drive'
SETTLE_TICKS = 300


class BaseSimulation(RobotSimulation):
    """One base in one scene, see `RobotSimulation`.

    The world is the frame `map`: the scene, the truth, `true_state` and `obstacles_now` are in it.
    What the robot knows of itself (`measure`, `odom`) is in `odom`, which drifts; `map_to_odom`
    tells where `odom` lies.

    Args:
        robot: The nominal robot.
        scene: Walls, obstacles and start.
        plant: How the real robot deviates from the nominal one.
        seed: Seed of noise and losses.
        profile: Receiver that is emulated: `diff_drive`.
        spare: Obstacles that are not in the scene until they are placed, after the scene's.
        record: Folder for `truth.npz`, True to keep the truth in memory, False for none.
        wander_seed: Movers turn at random, by this seed; None lets them go to and fro.
        receiver_timeout_s: Of the receiver; None takes the robot file's.
    """

    robot: Base

    def __init__(
        self, robot: Base, *, scene: Scene, plant: Plant, seed: int = 0, profile: str = PROFILE,
        spare: tuple[Obstacle, ...] = (), record: bool | str | Path = False,
        wander_seed: int | None = None, receiver_timeout_s: float | None = None,
    ) -> None:
        scene.check(robot)
        if profile != PROFILE:
            raise ConfigurationError(
                'unknown receiver profile of a base', where='simulator.profile', value=profile,
                allowed=PROFILE, remedy='choose the allowed name')
        timeout_s = robot.receiver_timeout_s if receiver_timeout_s is None else receiver_timeout_s
        obstacles = ObstacleSet(
            (*scene.obstacles, *spare), len(spare), wander_seed, wander_region(scene))
        self._known = occupancy_map(scene)
        self._odometry = Odometry(robot, plant.base)
        self._laser = Laser(robot.config.scan, plant.base, seed)
        self._width = 2 if robot.drive.kind == 'diff_drive' else 3
        self._tool_offset_m = np.zeros(3)
        model = build_base_model(robot, obstacles.obstacles, wall_boxes(scene), plant)
        self._motors = make_motors(robot, plant, model.model)
        super().__init__(
            robot, scene=scene, plant=plant, seed=seed, obstacles=obstacles, model=model,
            receiver=DiffDrive(robot.drive, timeout_s),
            recorder=TruthRecorder.of(
                record, robot.joint_names, len(obstacles), self._width, self._width))

    @property
    def demand(self) -> Array:
        """Torques of the wheels before the clamp [Nm], shape [2]; omnidirectional: the push."""
        return self._motors.demand_nm

    @property
    def map(self) -> OccupancyMap:
        """The map of the walls, in `map`; free all around where the scene has none."""
        return self._known

    def occupancy_map(self) -> OccupancyMap:
        """Return the map of the walls, in `map`."""
        return self._known

    def odom(self) -> RobotState:
        """Return the odometry without noise or losses: x, y, yaw and their rates in `odom`."""
        return RobotState(
            self._odometry.pose.copy(), self._odometry.velocity.copy(), self.time_s)

    def map_to_odom(self) -> Array:
        """Return where `odom` lies in `map`, as localisation finds it: x, y, yaw, shape [3]."""
        pose = compose(self._position, inverse(self._odometry.pose))
        noise = self._random.standard_normal(3)
        base = self.plant.base
        pose[:2] += base.localisation_noise_m * noise[:2]
        pose[2] = unwrapped(pose[2] + base.localisation_noise_rad * float(noise[2]), 0.0)
        return np.asarray(pose)

    def scan(self) -> Scan:
        """Return what the laser sees now, from its place in `odom`."""
        return self._laser.scan(
            self.model.model, self.data, self._position, self._odometry.pose, self.time_s)

    def measure(self) -> RobotState:
        """Return the measured odometry; a lost measurement returns the one before."""
        return self._sensor.measure(self._odometry.pose, self._odometry.velocity, self.time_s)

    def truth(self) -> dict[str, Any]:
        """Return the truth of this instant as `RobotSimulation.truth`, and `odom` [3]."""
        return {**super().truth(), 'odom': self._odometry.pose.copy()}

    def receive(self, command: Message | Array) -> bool:
        """Hand a twist to the receiver now; return whether it was accepted.

        Args:
            command: A message, or an array: v and yaw rate [2], or forward, sideways and yaw
                rate [3], without a stamp.
        """
        if not isinstance(command, TwistMessage | SampleMessage | TrajectoryMessage):
            twist = np.asarray(command, dtype=float)
            if twist.shape == (2,):
                twist = np.array([twist[0], 0.0, twist[1]])
            command = TwistMessage(twist)
        return bool(self.receiver.receive(command, self.time_s))

    def _allocate(self) -> None:
        """Make the arrays that the loop works in."""
        self._position, self._velocity = np.zeros(3), np.zeros(3)
        self._command = np.zeros(self._width)
        self._place, self._rates = self.data.qpos[:7], self.data.qvel[:6]
        self._motors.attach(self.data)

    def _stand(self, start: Array, time_s: float) -> None:
        """Let the body come to rest on its wheels at a pose, with the motors braked."""
        self._random = np.random.default_rng([self.seed, 0x10CA])
        model, data = self.model.model, self.data
        mujoco.mj_resetData(model, data)
        self._motors.reset()
        put_body(data, start)
        for _ in range(SETTLE_TICKS):
            self._motors.drive(STILL)
            mujoco.mj_step(model, data)
            self._position[:] = start
            self._sense()
        put_body(data, start)
        data.qvel[:] = 0.0
        self._motors.reset()
        self._position[:] = start
        self._velocity[:] = self._command[:] = 0.0
        self.receiver.reset(start, time_s)
        self._odometry.reset(start)
        self._laser.reset()

    def _hold(self) -> None:
        """Brake: the wheels stand as soon as motors and grip allow."""

    def _act(self, now_s: float) -> None:
        """Turn the receiver's twist, or none in a freeze, into what moves the wheels."""
        twist = STILL
        if self._ticks < self._frozen_until:
            if self._ticks + 1 == self._frozen_until:
                self.receiver.reset(self._position, now_s)
        else:
            twist = self.receiver.twist(now_s).tolist()
        self._command[0], self._command[-1] = twist[0], twist[2]
        if self._width == 3:
            self._command[1] = twist[1]
        self._motors.drive(twist)

    def _sense(self) -> None:
        """Read pose and velocity of the body, and what the encoders counted."""
        x, y, _, w, i, j, k = self._place.tolist()
        yaw = math.atan2(2.0 * (w * k + i * j), 1.0 - 2.0 * (j * j + k * k))
        vx, vy, _, a, b, c = self._rates.tolist()
        position, velocity = self._position, self._velocity
        position[0], position[1], position[2] = x, y, unwrapped(yaw, position.item(2))
        rate = (2.0 * (i * k - w * j) * a + 2.0 * (j * k + w * i) * b
                + (1.0 - 2.0 * (i * i + j * j)) * c)
        velocity[0], velocity[1], velocity[2] = vx, vy, rate
        cosine, sine = math.cos(yaw), math.sin(yaw)
        self._motors.read((cosine * vx + sine * vy, cosine * vy - sine * vx, rate))
        self._odometry.update(self._motors.travel_m)


def wander_region(scene: Scene) -> Array:
    """Return where wandering movers turn back: low and high corner [2, 3], each at its height."""
    known = occupancy_map(scene)
    size = np.array(known.cells.shape[::-1]) * known.resolution_m
    low = known.origin[:2]
    return np.array([[*(low + 0.1 * size), np.nan], [*(low + 0.9 * size), np.nan]])


def in_odom(obstacles: tuple[Obstacle, ...], map_to_odom: Array) -> tuple[Obstacle, ...]:
    """Return obstacles of `map` as they are seen from `odom`, which lies at `map_to_odom` [3]."""
    back = inverse(map_to_odom)
    return tuple(placed(obstacle, back) for obstacle in obstacles)


def put_body(data: Any, pose: Array) -> None:
    """Bring the body to x, y, yaw; height and tilt stay."""
    out = np.zeros(4)
    w, i, j, k = data.qpos[3:7].tolist()
    yaw = math.atan2(2.0 * (w * k + i * j), 1.0 - 2.0 * (j * j + k * k))
    half = (float(pose[2]) - yaw) / 2
    mujoco.mju_mulQuat(out, np.array([math.cos(half), 0.0, 0.0, math.sin(half)]), data.qpos[3:7])
    data.qpos[:2] = pose[:2]
    data.qpos[3:7] = out
