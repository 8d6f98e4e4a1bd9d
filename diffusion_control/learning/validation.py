# SPDX-License-Identifier: Apache-2.0
"""Validation by closed-loop score: the network plans, the robot moves, goals are counted.

A falling loss says little about plans; so the averaged weights are exported as they are shipped,
and run in scenes that neither the data nor an evaluation uses, with ideal tracking.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_control.evaluation.closed_loop import IDEAL, LoopOptions, run_episode
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.learning.export_model import ExportOptions, export
from diffusion_control.planners.models import TRAINED
from diffusion_control.whole_file import written_whole

FIRST_SEED = 500_000


@dataclass(frozen=True)
class Score:
    """What a validation found.

    Attributes:
        success: Share of the scenes in which the goal was reached.
        time_s: Mean time to the goal where it was [s].
    """

    success: float
    time_s: float

    @property
    def value(self) -> float:
        """Success, and among equals the shorter time: less than one scene's share per minute."""
        return self.success - 1e-5 * min(self.time_s, 60.0)


def validate(robot: Any, file: Path, scenes: int) -> Score:
    """Return the score of a checkpoint over so many scenes, every second one hard."""
    found: list[tuple[bool, float | None]] = []
    with tempfile.TemporaryDirectory() as folder:
        model = export(ExportOptions(file, Path(folder) / 'model'))
        options = LoopOptions(
            tracker=IDEAL, safety=False, plant='nominal', model=str(model))
        for index in range(scenes):
            tier = ('easy', 'hard')[index % 2]
            scene = generate_scene(robot, FIRST_SEED + index, tier)
            episode = run_episode(robot, scene, TRAINED, options)
            found.append((episode.success, episode.time_s))
    times = [time for success, time in found if success and time is not None]
    return Score(
        float(np.mean([success for success, _ in found])),
        float(np.mean(times)) if times else float('inf'))


def keep_best(robot: Any, last: Path, best: Path, scenes: int, score: float | None) -> float:
    """Validate a checkpoint, copy it where it is better than `score`, return the better score."""
    found = validate(robot, last, scenes).value
    if score is None or found > score:
        with written_whole(best) as waiting:
            waiting.write_bytes(last.read_bytes())
        return found
    return score
