# SPDX-License-Identifier: Apache-2.0
"""The base's side of a closed loop: odometry, map and scan in, twists out.

It plans in `odom`. Obstacles, map and goals are given in `map`, which is the simulator's world;
they are brought to `odom` by where the simulator's localisation says that it lies, obstacles after
they were observed: in the drifting `odom` everything seems to move. The scan comes every 50 ms.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control import simulation
from diffusion_control.evaluation.base.expert import BaseExpert
from diffusion_control.evaluation.base.ideal import IdealBase
from diffusion_control.evaluation.base.kept_run import KeptBaseRun
from diffusion_control.evaluation.base.loop_truth import judge_base
from diffusion_control.evaluation.goal_times import goal_in_world
from diffusion_control.evaluation.loop_truth import Judged
from diffusion_control.evaluation.published_obstacles import ObstacleSet, moved
from diffusion_control.evaluation.side import Sight
from diffusion_control.planners.protocol import Planner
from diffusion_control.robots.base import Base
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacle_observer import ObstacleObserver
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.planar import inverse, turned
from diffusion_control.robots.scan import Scan
from diffusion_control.robots.state import RobotState
from diffusion_control.safety import SafetyDecision, SafetyParameters
from diffusion_control.safety.base.follow import BaseFollower
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.receivers import TwistMessage
from diffusion_control.simulation.scene import Scene
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
SCAN_S = 0.05


class BaseSide:
    """See `side.Side`.

    Args:
        robot: The nominal robot.
        scene: Scene, its layout in `extra`.
        plant: `default`, `nominal`, a file, or a plant.
        ideal: The robot is where the motion says.
        wander_seed: Movers turn at random, by this seed; None lets them go to and fro.
    """

    def __init__(
        self, robot: Base, scene: Scene, plant: str | Plant, *, ideal: bool = False,
        wander_seed: int | None = None,
    ) -> None:
        """Make the simulator."""
        self._robot, self._scene = robot, scene
        self.simulation: Any = (
            IdealBase(robot, scene) if ideal else simulation.make(
                robot, scene=scene, plant=plant, seed=scene.seed, profile='diff_drive',
                record=True, wander_seed=wander_seed))
        self._observer = ObstacleObserver()
        self._scan: Scan | None = None
        self._map: OccupancyMap | None = None
        self._place = np.full(3, np.nan)
        self._seen: list[ObstacleSet] = []
        self._sent: list[tuple[float, Array]] = []
        self._kept: KeptBaseRun | None = None
        self._follower = BaseFollower(robot, SafetyParameters.command_delay_s)

    def expert(self, activation_s: float) -> Planner:
        """Return the planner that knows the scene."""
        return BaseExpert(
            self._robot, self._scene, self.simulation.map, activation_s=activation_s)

    def see(self, now_s: float) -> Sight:
        """Return obstacles, map and scan in `odom`."""
        place = self._placed(now_s)
        true = self.simulation.obstacles_now()
        self._seen.append(ObstacleSet(now_s, true))
        if self._kept is not None:
            self._kept.obstacles(true, now_s)
        if self._scan is None or now_s - self._scan.stamp_s >= SCAN_S - 1e-9:
            self._scan = self.simulation.scan()
        seen = self._observer.update(true, now_s)
        return Sight(
            tuple(moved(item, inverse(place)) for item in seen), self._map, self._scan)

    def _placed(self, now_s: float) -> Array:
        """Return where `odom` lies in `map`; bring the map there where that has changed."""
        place: Array = np.asarray(self.simulation.map_to_odom())
        if (place != self._place).any():
            self._place = place
            if self.simulation.map is not None:
                self._map = self.simulation.map.moved(inverse(place))
            if self._kept is not None:
                self._kept.odom_in_map(place, now_s)
        return place

    def goal(self, index: int) -> Goal:
        """Return a goal of the scene where it lies in `odom` now."""
        return goal_in_world(self._scene.goals[index], inverse(self._place))

    def advance(
        self, motion: Trajectory | None, decision: SafetyDecision | None, dt_s: float
    ) -> RobotState:
        """Send the monitor's twist, or without a monitor that of the motion one tick ahead."""
        now_s = self.simulation.time_s
        if isinstance(self.simulation, IdealBase):
            return self.simulation.step(motion, dt_s)
        twist: Array | None = None
        if decision is not None and decision.send and decision.sample is not None:
            twist = np.asarray(decision.sample.velocity, dtype=float)
        elif decision is None and motion is not None:
            twist = twist_of(motion, max(now_s + dt_s, motion.start_s))
            if self._kept is not None:
                self._kept.twist(twist, now_s)
        if twist is not None:
            self._sent.append((now_s, twist))
        message = None if twist is None else TwistMessage(twist, now_s)
        state: RobotState = self.simulation.step(message, dt_s)
        return state

    def unmonitored(self, motion: Trajectory | None, state: RobotState, now_s: float
                    ) -> Trajectory | None:
        """Return the motion where the base is: twists alone leave it behind, as the monitor knows.

        Without that the base circled about its goal: motion and odometry disagreed for ever.
        """
        if motion is None or isinstance(self.simulation, IdealBase):
            return motion
        self._follower.measure(state)
        moved = self._follower.anchored(motion)
        self._follower.remember(moved, now_s)
        return moved

    def at_goal(self, index: int) -> bool:
        """Say whether the true base is at a goal of the scene."""
        return self._scene.goals[index].reached(self._robot, self.simulation.true_state())

    def scan_age_s(self, now_s: float) -> float:
        """Return the age of the newest scan [s]."""
        return np.inf if self._scan is None else now_s - self._scan.stamp_s

    def map_age_s(self, now_s: float) -> float:
        """Return 0: the map is there from the beginning, and where it lies is always known."""
        return 0.0

    def keep(self, root: Path) -> KeptBaseRun:
        """Return what writes a run folder."""
        self._kept = KeptBaseRun(root, self._robot)
        now_s = self.simulation.time_s
        self._kept.odom_in_map(np.asarray(self.simulation.map_to_odom()), now_s)
        if self.simulation.map is not None:
            self._kept.place(self.simulation.map, now_s)
        return self._kept

    def judge(self, *, verified: bool) -> Judged:
        """Return what the truth says about the run."""
        recorder = self.simulation.recorder
        assert recorder is not None
        return judge_base(
            self._robot, recorder.arrays(), self._sent if verified else None, self._seen,
            self.simulation.map)


def twist_of(motion: Trajectory, ros_s: float) -> Array:
    """Return a motion's twist in the body's frame at a ROS time, shape [3]."""
    sample = motion.sample(ros_s)
    return turned(np.array([0.0, 0.0, -sample.position[2]]), sample.velocity)
