# SPDX-License-Identifier: Apache-2.0
"""The arm's side of a closed loop: it sees obstacles in its base frame and takes trajectories."""

from __future__ import annotations

from pathlib import Path

from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.expert import ScriptedExpert
from diffusion_control.evaluation.kept_run import KeptRun
from diffusion_control.evaluation.loop_parts import simulation_of
from diffusion_control.evaluation.loop_truth import Judged, judge_episode, sent
from diffusion_control.evaluation.published_obstacles import ObstacleSet
from diffusion_control.evaluation.side import Sight
from diffusion_control.planners.protocol import Planner
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacle_observer import ObstacleObserver
from diffusion_control.robots.state import RobotState
from diffusion_control.safety import SafetyDecision
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.scene import Scene
from diffusion_control.trajectory.trajectory import Trajectory


class ArmSide:
    """See `side.Side`.

    Args:
        robot: The nominal robot.
        scene: Scene.
        plant: `default`, `nominal`, a file, or a plant.
        ideal: The robot is where its set-point is.
        wander_seed: Movers turn at random, by this seed; None lets them go to and fro.
    """

    def __init__(
        self, robot: Arm, scene: Scene, plant: str | Plant, *, ideal: bool = False,
        wander_seed: int | None = None,
    ) -> None:
        """Make the simulator."""
        self._robot, self._scene = robot, scene
        self.simulation = simulation_of(
            robot, scene, plant, ideal=ideal, wander_seed=wander_seed)
        self._observer = ObstacleObserver()
        self._seen: list[ObstacleSet] = []
        self._commands: list[Command] = []
        self._kept: KeptRun | None = None

    def expert(self, activation_s: float) -> Planner:
        """Return the planner that knows the scene."""
        return ScriptedExpert(
            self._robot, self._scene, seed=self._scene.seed, activation_s=activation_s)

    def see(self, now_s: float) -> Sight:
        """Return the obstacles, their velocities by differencing."""
        true = self.simulation.obstacles_now()
        self._seen.append(ObstacleSet(now_s, true))
        if self._kept is not None:
            self._kept.obstacles(true, now_s)
        return Sight(self._observer.update(true, now_s))

    def goal(self, index: int) -> Goal:
        """Return a goal of the scene."""
        return self._scene.goals[index]

    def advance(
        self, motion: Trajectory | None, decision: SafetyDecision | None, dt_s: float
    ) -> RobotState:
        """Send the verified motion, or the tracker's where there is no monitor."""
        if motion is not None:
            self._commands.append(sent(motion, self.simulation.time_s))
        return self.simulation.step(motion, dt_s)

    def unmonitored(self, motion: Trajectory | None, state: RobotState, now_s: float
                    ) -> Trajectory | None:
        """Return the motion as it is: an arm's drives close the loop on it."""
        return motion

    def at_goal(self, index: int) -> bool:
        """Say whether the true state is at a goal."""
        return self._scene.goals[index].reached(self._robot, self.simulation.true_state())

    def scan_age_s(self, now_s: float) -> None:
        """Return None: an arm uses no scan."""

    def map_age_s(self, now_s: float) -> None:
        """Return None: an arm uses no map."""

    def keep(self, root: Path) -> KeptRun:
        """Return what writes a run folder."""
        self._kept = KeptRun(root, self._robot)
        return self._kept

    def judge(self, *, verified: bool) -> Judged:
        """Return what the truth says about the run."""
        recorder = self.simulation.recorder
        assert recorder is not None
        return judge_episode(
            self._robot, recorder.arrays(), self._commands if verified else None, self._seen)
