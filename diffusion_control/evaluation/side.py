# SPDX-License-Identifier: Apache-2.0
"""What of a closed loop depends on the kind of robot: its world, its senses and its command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.kept_run import KeptRun
from diffusion_control.evaluation.loop_truth import Judged
from diffusion_control.planners.protocol import Planner
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.state import RobotState
from diffusion_control.safety import SafetyDecision
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sight:
    """What the robot's sensors say at one instant, in the frame in which it plans.

    Attributes:
        obstacles: With velocities by differencing.
        map: OccupancyMap of a base; None for an arm.
        scan: Scan of a base; None for an arm.
    """

    obstacles: tuple[Obstacle, ...] = ()
    map: Any = None
    scan: Any = None


class Side(Protocol):
    """The simulated robot of one kind, from its senses to what is judged.

    Attributes:
        simulation: The simulator, with the ground truth that it records.
    """

    simulation: Any

    def expert(self, activation_s: float) -> Planner:
        """Return the planner that knows the truth; its movers start at `activation_s`."""
        ...

    def see(self, now_s: float) -> Sight:
        """Return what is seen now, and note it for the judgement."""
        ...

    def goal(self, index: int) -> Goal:
        """Return a goal of the scene in the frame in which the robot plans."""
        ...

    def advance(
        self, motion: Trajectory | None, decision: SafetyDecision | None, dt_s: float
    ) -> RobotState:
        """Send what is to be sent, advance, and return the measured state.

        Args:
            motion: The tracker's motion, sent as it is where there is no monitor.
            decision: Of the monitor; None without one.
            dt_s: Time to advance [s].
        """
        ...

    def unmonitored(self, motion: Trajectory | None, state: RobotState, now_s: float
                    ) -> Trajectory | None:
        """Return the tracker's motion as the command of a loop without a monitor."""
        ...

    def at_goal(self, index: int) -> bool:
        """Say whether the true robot is at a goal of the scene and stands."""
        ...

    def scan_age_s(self, now_s: float) -> float | None:
        """Return the age of the newest scan [s]; None where none is used."""
        ...

    def map_age_s(self, now_s: float) -> float | None:
        """Return the age of the map [s]; None where none is used."""
        ...

    def keep(self, root: Path) -> KeptRun:
        """Return what writes a run folder of this robot."""
        ...

    def judge(self, *, verified: bool) -> Judged:
        """Return what the truth says about the run.

        Args:
            verified: A monitor verified the commands, so that they are judged, too.
        """
        ...
