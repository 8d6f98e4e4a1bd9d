# SPDX-License-Identifier: Apache-2.0
"""What the parts of `bench inference` have in common: model, scenes, questions, rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_control.errors import MissingDependencyError
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.evaluation.workers import warm_arm
from diffusion_control.inference.card import CARD_FILE
from diffusion_control.inference.untrained import write_untrained
from diffusion_control.planners.models import TRAINED, model_directory
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.state import RobotState
from diffusion_control.simulation.scene import Scene

PLANNER = TRAINED
GRID, PEERS, PLANS, DEADLINE, WARM, PREFIX, ORACLE, SCENES = (
    'grid', 'peers', 'plans', 'deadline', 'warm', 'prefix', 'oracle', 'scenes')
TIERS = ('easy', 'hard')
PLAN_SEED, LOOP_SEED, CALIBRATION_SEED = 40_000, 42_000, 44_000
ABSENT = 'absent'
Row = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One row that is still to be made.

    Attributes:
        part: What is measured, one of the names above.
        name: Which arrangement of it.
        seed: Of the (first) scene.
        amount: Scenes or repeats of the row.
    """

    part: str
    name: str
    seed: int = 0
    amount: int = 1

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What names the row."""
        return self.part, self.name, self.seed, self.amount


@dataclass(frozen=True)
class Setup:
    """What every task needs, small enough to be handed to another process.

    Attributes:
        robot_config: Name in config/robots, or a file.
        model: Folder of the trained model.
        untrained: Folder of the same with random weights, '' where it cannot be made.
        untrained_absent: Why not.
        folder: Where the rows of the bench are.
    """

    robot_config: str
    model: str
    untrained: str = ''
    untrained_absent: str = ''
    folder: Path = Path('runs')

    @classmethod
    def make(cls, robot_config: str, model: str, folder: Path) -> Setup:
        """Find the model, and write it with random weights to `folder`.

        Raises:
            ConfigurationError: No such model, or not what its card says.
        """
        found = model_directory(model, PLANNER, warm_arm(robot_config))
        out = folder / 'untrained'
        try:
            write_untrained(found, out)
        except MissingDependencyError as error:
            return cls(
                robot_config, str(found), '', f'{error.what}: {error.remedy}', folder)
        return cls(robot_config, str(found), str(out), folder=folder)

    @property
    def sha256(self) -> str:
        """What the card says of the model's contents."""
        card = json.loads((Path(self.model) / CARD_FILE).read_text(encoding='utf-8'))
        return str(card['sha256'])

    @property
    def robot(self) -> Arm:
        """The arm with its kernels compiled."""
        return warm_arm(self.robot_config)

    def scene(self, seed: int) -> Scene:
        """Return an unseen scene; those of odd seeds are hard."""
        return generate_scene(self.robot, seed, TIERS[seed % 2])

    def question(self, seed: int) -> PlanningProblem:
        """Return the question of a scene at rest."""
        scene = self.scene(seed)
        state = RobotState(scene.start_rad, np.zeros(self.robot.dof))
        return PlanningProblem(state, scene.goals[0], scene.obstacles)


def percentiles(samples: Any, name: str) -> dict[str, float]:
    """Return p50 and p99 of times [s]."""
    p50, p99 = np.percentile(np.asarray(samples, dtype=float), [50.0, 99.0])
    return {f'{name}_p50_s': float(p50), f'{name}_p99_s': float(p99)}


def of_part(rows: Any, part: str) -> dict[str, Row]:
    """Return the rows of a part that were measured, by name; of scenes the last."""
    return {row['name']: row for row in rows if row['part'] == part and ABSENT not in row}
