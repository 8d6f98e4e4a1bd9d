# SPDX-License-Identifier: Apache-2.0
"""The simulated arm: plant, drives, receiver, obstacles, sensors and the ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import mujoco
import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation.drive import Drive
from diffusion_control.simulation.model import PERIOD_S, build_model
from diffusion_control.simulation.obstacle_set import ObstacleSet
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.receivers import (
    Message,
    SampleMessage,
    TrajectoryMessage,
    TwistMessage,
    make_receiver,
)
from diffusion_control.simulation.robot_simulation import DISTANCE_TICKS, RobotSimulation
from diffusion_control.simulation.scene import Scene
from diffusion_control.simulation.truth import TruthRecorder
from diffusion_control.trajectory.trajectory import Trajectory

if TYPE_CHECKING:
    from diffusion_control.robots.arm import Arm

__all__ = ['DISTANCE_TICKS', 'EXEMPT_TICKS', 'Simulation']

Array = NDArray[np.float64]
EXEMPT_TICKS = 150


class Simulation(RobotSimulation):
    """One arm in one scene, see `RobotSimulation`.

    Args:
        robot: The nominal robot.
        scene: Obstacles and start.
        plant: How the real robot deviates from the nominal one.
        seed: Seed of sensor noise and losses.
        profile: Receiver that is emulated (`receivers.PROFILES`).
        spare: Obstacles that are not in the scene until they are placed, after the scene's.
        record: Folder for `truth.npz`, True to keep the truth in memory, False for none.
        wander_seed: Movers turn at random, by this seed; None lets them go to and fro.
    """

    robot: Arm
    _remedy = 'check drive.stiffness, drive.damping and drive.armature'

    def __init__(
        self,
        robot: Arm,
        *,
        scene: Scene,
        plant: Plant,
        seed: int = 0,
        profile: str = 'jtc',
        spare: tuple[Obstacle, ...] = (),
        record: bool | str | Path = False,
        wander_seed: int | None = None,
    ) -> None:
        scene.check(robot)
        receiver = make_receiver(profile, robot.joint_names, robot.limits.velocity_rad_s)
        obstacles = ObstacleSet((*scene.obstacles, *spare), len(spare), wander_seed)
        self._drive = Drive(robot, plant.delay_s, PERIOD_S, plant.drive_scales(robot.dof))
        self._tool_offset_m = robot.config.tool_offset_m
        super().__init__(
            robot, scene=scene, plant=plant, seed=seed, receiver=receiver, obstacles=obstacles,
            model=build_model(robot, obstacles.obstacles, plant),
            recorder=TruthRecorder.of(record, robot.joint_names, len(obstacles)))

    @property
    def demand(self) -> Array:
        """Torques that the drives ask for, before the clamp [Nm], shape [n]."""
        return self._drive.demand_nm

    def _allocate(self) -> None:
        """Make the arrays that the loop works in."""
        joints = self.robot.dof
        data = self.data
        self._position, self._velocity, self._torque = data.qpos, data.qvel, data.ctrl
        self._acting, self._passive = data.qfrc_bias, data.qfrc_passive
        self._inertia, self._bias = np.zeros((joints, joints)), np.zeros(joints)
        self._command = np.zeros(joints)
        self._held, self._still = np.zeros(joints), np.zeros(joints)

    def _stand(self, start: Array, time_s: float) -> None:
        """Stand at joint positions."""
        mujoco.mj_resetData(self.model.model, self.data)
        self._position[:] = start
        self.receiver.reset(start, time_s)
        self._drive.reset(start)
        self._command[:] = self._held[:] = start

    def receive(self, command: Trajectory | Message | Array) -> bool:
        """Hand a command to the receiver now; return whether it was accepted.

        Args:
            command: A trajectory (`jtc`, `gz`), or one sample in the robot's joint order as an
                array [n] or with names (the other profiles).
        """
        message: Message
        if isinstance(command, Trajectory):
            message = TrajectoryMessage.of(command)
        elif isinstance(command, TrajectoryMessage | SampleMessage | TwistMessage):
            message = command
        else:
            named = self.receiver.profile == 'isaac'
            message = SampleMessage(command, self.robot.joint_names if named else ())
        return bool(self.receiver.receive(message, self.time_s))

    def _hold(self) -> None:
        """Hold the joints where they are."""
        self._held[:] = self._position

    def _act(self, now_s: float) -> None:
        """Turn the receiver's set-point, or the one that is held, into torques."""
        if self._ticks < self._frozen_until:
            set_position, set_velocity = self._held, self._still
            if self._ticks + 1 == self._frozen_until:
                self.receiver.reset(self._position, now_s)
        else:
            set_position, set_velocity = self.receiver.set_point(now_s)
            if self.receiver.froze(now_s):
                self._exempt_until = self._ticks + EXEMPT_TICKS
        self._command[:] = set_position
        mujoco.mj_fullM(self.model.model, self.data, self._inertia)
        np.subtract(self._acting, self._passive, out=self._bias)
        self._torque[:] = self._drive.update(
            set_position, set_velocity, self._position, self._velocity, self._inertia, self._bias)
