# SPDX-License-Identifier: Apache-2.0
"""What every simulated robot shares: time, obstacles, contacts, faults and the ground truth."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.jit import kernel
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.protocol import Robot
from diffusion_control.robots.state import RobotState
from diffusion_control.simulation.contacts import ContactSense, ObstacleDistance
from diffusion_control.simulation.model import PERIOD_S, PlantModel
from diffusion_control.simulation.obstacle_set import ObstacleSet
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.receivers.receiver import CommandReceiver
from diffusion_control.simulation.scene import Scene
from diffusion_control.simulation.sensor import JointSensor
from diffusion_control.simulation.speed import PointSpeed
from diffusion_control.simulation.truth import TruthRecorder

Array = NDArray[np.float64]
DISTANCE_TICKS = 10


class RobotSimulation(ABC):
    """One robot in one scene, advanced in steps of 1 ms; time is what it is told at `reset`.

    The same seed, scene, plant and calls give the same bits. Everything after a tick belongs to
    one instant: positions, contacts, distances; `ddq` is the change of velocity over the tick,
    `tau_demand` and `cmd` are what acted during it.

    A kind of robot says how it is reset (`_stand`), what acts during a period (`_act`), what of
    the physics is its state (`_sense`), and what a command is (`receive`).

    Args:
        robot: The nominal robot.
        scene: Obstacles and start.
        plant: How the real robot deviates from the nominal one.
        seed: Seed of sensor noise and losses.
        receiver: Receiver of the commands.
        obstacles: The scene's and the spare ones.
        model: The physics.
        recorder: Keeps the truth; None for none.
    """

    robot: Robot
    _position: Array
    _velocity: Array
    _command: Array
    _tool_offset_m: Array
    _remedy = 'check the numbers of the robot file and of the plant'

    def __init__(
        self, robot: Robot, *, scene: Scene, plant: Plant, seed: int, receiver: CommandReceiver,
        obstacles: ObstacleSet, model: PlantModel, recorder: TruthRecorder | None,
    ) -> None:
        self.robot, self.scene, self.plant, self.seed = robot, scene, plant, seed
        self.receiver: Any = receiver
        self._obstacles, self.model, self.recorder = obstacles, model, recorder
        self.data: Any = mujoco.MjData(model.model)
        self._sensor = JointSensor(plant.noise_rad, plant.drop_rate, seed)
        self._contacts, self._speed = ContactSense(model), PointSpeed(model, self.data)
        self._distance = ObstacleDistance(model)
        self._previous, self._acceleration = np.zeros(robot.dof), np.zeros(robot.dof)
        self._radius = np.array([o.bounding_radius_m for o in obstacles.obstacles])
        self.contact_counts = (0, 0)
        self.point_speed_m_s, self.distance_m = 0.0, np.inf
        self.contact_totals = {'obstacle': 0, 'self_or_wall': 0}
        self._allocate()
        self.reset()

    @abstractmethod
    def _allocate(self) -> None:
        """Make the arrays that the loop works in, position, velocity and command among them."""

    @abstractmethod
    def _stand(self, start: Array, time_s: float) -> None:
        """Bring physics, receiver and drives to rest at a configuration [n]."""

    @abstractmethod
    def _act(self, now_s: float) -> None:
        """Ask the receiver, and write what acts during the coming period into the physics."""

    @abstractmethod
    def _hold(self) -> None:
        """Let the drives hold the robot where it is, as a freeze begins."""

    @abstractmethod
    def receive(self, command: Any) -> bool:
        """Hand a command to the receiver now; return whether it was accepted."""

    @property
    @abstractmethod
    def demand(self) -> Array:
        """What the drives ask for, before the clamp [Nm]."""

    def _sense(self) -> None:  # noqa: B027
        """Read the state off the physics; nothing where the arrays are the physics' own."""

    @property
    def time_s(self) -> float:
        """ROS time of the simulation [s]."""
        return self._start_s + self._ticks * PERIOD_S

    @property
    def frozen(self) -> bool:
        """Whether a freeze is on."""
        return self._ticks < self._frozen_until

    def reset(
        self, *, time_s: float = 0.0, position: Array | None = None, obstacles_move: bool = True
    ) -> RobotState:
        """Stand still at the scene's start (or `position` [n]) at ROS time `time_s`.

        Faults end, movers are activated unless `obstacles_move` is False (see
        `activate_obstacles`), the truth recorded so far is forgotten.
        """
        start = np.array(self.scene.start_rad if position is None else position, dtype=float)
        self._start_s, self._ticks, self._frozen_until, self.paused = time_s, 0, 0, False
        self._exempt_until = 0
        self._obstacles.reset(time_s if obstacles_move else None)
        self._sensor.reset()
        self._contacts.reset()
        self._stand(start, time_s)
        self._previous[:] = self._velocity
        _change(self._velocity, self._previous, self._acceleration)
        self.contact_totals = dict.fromkeys(self.contact_totals, 0)
        if self.recorder is not None:
            self.recorder.clear()
        self._place_obstacles()
        self._observe(measure_distance=True)
        return self.measure()

    def step(self, command: Any = None, dt_s: float = 0.01) -> RobotState:
        """Hand a command to the receiver, advance by `dt_s` (whole milliseconds), and measure.

        Args:
            command: What `receive` takes, or None for silence.
            dt_s: Time to advance [s].
        """
        if command is not None:
            self.receive(command)
        self.advance(round(dt_s / PERIOD_S))
        return self.measure()

    def advance(self, ticks: int) -> None:
        """Advance by `ticks` milliseconds; does nothing while `paused`."""
        if self.paused:
            return
        for _ in range(ticks):
            self._tick()

    def advance_to(self, time_s: float, *, max_ticks: int = 50) -> int:
        """Advance to ROS time `time_s`, by `max_ticks` at the most; return the ticks that ran."""
        due = int((time_s - self._start_s) / PERIOD_S + 1e-6) - self._ticks
        ticks = 0 if self.paused else max(0, min(due, max_ticks))
        self.advance(ticks)
        return ticks

    def measure(self) -> RobotState:
        """Return the measured state; a lost measurement returns the one before, older stamp."""
        return self._sensor.measure(self._position, self._velocity, self.time_s)

    def true_state(self) -> RobotState:
        """Return the true state, without noise or losses."""
        return RobotState(self._position.copy(), self._velocity.copy(), self.time_s)

    def obstacles_now(self) -> tuple[Obstacle, ...]:
        """Return the obstacles that are there, with true positions and velocities."""
        return self._obstacles.now(self.time_s)

    def obstacle_places(self) -> dict[int, list[float]]:
        """Return the true centres [m] of the obstacles that are there, by their number."""
        return self._obstacles.places(self.time_s)

    def truth(self) -> dict[str, Any]:
        """Return the truth of this instant; arrays are copies.

        Keys: `time_s q dq ddq tau_demand cmd tool_position_m tool_rotation contacts_obstacle
        contacts_self_or_wall point_speed_max_m_s distance_min_m exempt contact_onsets`, the last
        one counted by kind since `reset`.
        """
        rotation = self.data.xmat[self.model.tool_body].reshape(3, 3).copy()
        offset = rotation @ self._tool_offset_m
        return {
            'time_s': self.time_s, 'q': self._position.copy(), 'dq': self._velocity.copy(),
            'ddq': self._acceleration.copy(), 'tau_demand': self.demand.copy(),
            'cmd': self._command.copy(),
            'tool_position_m': self.data.xpos[self.model.tool_body] + offset,
            'tool_rotation': rotation,
            'contacts_obstacle': self.contact_counts[0],
            'contacts_self_or_wall': self.contact_counts[1],
            'point_speed_max_m_s': self.point_speed_m_s,
            'distance_min_m': self._distance(self.data), 'exempt': self.frozen,
            'contact_onsets': dict(self.contact_totals)}

    def activate_obstacles(self) -> None:
        """Let the movers start now."""
        self._obstacles.activation_s = self.time_s

    def freeze(self, seconds: float) -> None:
        """Let the robot not follow for a while (`robot_frozen`).

        The drives hold the robot where it is now. Then the receiver is activated anew, as by a
        controller manager after a stop: it holds the position that the robot has then and knows
        nothing of what it was sent before. The rows in between are `exempt`.
        """
        self._hold()
        self._frozen_until = self._ticks + max(1, round(seconds / PERIOD_S))

    def place_obstacle(
        self, index: int, position_m: Array, quaternion: Array | None = None
    ) -> None:
        """Put obstacle `index` (spare ones come after the scene's) somewhere, standing."""
        self._obstacles.place(index, position_m, quaternion)
        self._obstacles_changed()

    def remove_obstacle(self, index: int) -> None:
        """Take obstacle `index` away (in the truth it lies 50 m below)."""
        self._obstacles.remove(index)
        self._obstacles_changed()

    def restore_obstacle(self, index: int) -> None:
        """Give obstacle `index` back to its own motion; a spare one vanishes."""
        self._obstacles.restore(index, self.time_s)
        self._obstacles_changed()

    def close(self) -> Path | None:
        """Write `truth.npz` if a folder was given; return its path."""
        return self.recorder.close() if self.recorder is not None else None

    def _tick(self) -> None:
        """Advance by one period: command, torque, physics, observation."""
        now_s = self._start_s + self._ticks * PERIOD_S
        self._act(now_s)
        self._previous[:] = self._velocity
        mujoco.mj_step2(self.model.model, self.data)
        self._ticks += 1
        self._sense()
        _change(self._velocity, self._previous, self._acceleration)
        if self._obstacles.advance(now_s + PERIOD_S):
            self._move_obstacles()
        self._observe(measure_distance=self._ticks % DISTANCE_TICKS == 0)
        if self.recorder is not None:
            self._record(self.recorder)

    def _observe(self, *, measure_distance: bool) -> None:
        """Bring kinematics, contacts and speed to the present state."""
        mujoco.mj_step1(self.model.model, self.data)
        self.contact_counts = self._contacts.read(self.data, self.time_s)
        if self._contacts.onsets:
            self._keep_onsets()
        self.point_speed_m_s = self._speed()
        if measure_distance:
            self._check_finite()
            if self.recorder is not None:
                self.distance_m = self._distance(self.data)

    def _check_finite(self) -> None:
        """End the run where the drives made the integration diverge."""
        if not all(map(math.isfinite, self._velocity.tolist())):
            raise ConfigurationError(
                'the simulation became unstable', where=f'{self.robot.name} at {self.time_s} s',
                value=self._position.tolist(), allowed='drives that 1 kHz can integrate',
                remedy=self._remedy)

    def _record(self, recorder: TruthRecorder) -> None:
        """Write one row of the truth."""
        ticks = self._ticks
        recorder.write(
            self._start_s + ticks * PERIOD_S,
            (self._position, self._velocity, self._acceleration, self.demand, self._command),
            self.contact_counts, self.point_speed_m_s, self.distance_m,
            ticks <= self._frozen_until or ticks <= self._exempt_until,
            self._obstacles.position_m, self._radius)

    def _keep_onsets(self) -> None:
        """Count new contacts and hand them to the recorder."""
        for onset in self._contacts.onsets:
            self.contact_totals[onset.kind] += 1
        if self.recorder is not None:
            self.recorder.add_onsets(self._contacts.onsets)
        self._contacts.onsets.clear()

    def _place_obstacles(self) -> None:
        """Write the poses of the obstacles into the physics."""
        if len(self._obstacles):
            self._move_obstacles()
            self.data.mocap_quat[:] = self._obstacles.quaternion_wxyz

    def _move_obstacles(self) -> None:
        """Write the places alone: nothing turns as it moves."""
        self.data.mocap_pos[:] = self._obstacles.position_m

    def _obstacles_changed(self) -> None:
        """See obstacles that a fault has moved at once."""
        self._place_obstacles()
        self._observe(measure_distance=True)


@kernel()
def _change(velocity: Array, previous: Array, out: Array) -> None:
    """Write the change of a velocity [n] over a period into `out` [n]."""
    for k in range(velocity.shape[0]):
        out[k] = (velocity[k] - previous[k]) / PERIOD_S
