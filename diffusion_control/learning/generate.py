# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control data generate`: demonstrations of the scripted expert over many scenes.

Scenes come from the generator of the evaluation, with seeds from `FIRST_SEED` on, which no
evaluation uses; movers are left out. Two of three scenes are hard. The scenes of a habit are its
own, and the expert keeps it there (`habits.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.scene_geometry import standing
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.evaluation.workers import run_tasks, warm_arm
from diffusion_control.learning.arm_expert import demonstrate
from diffusion_control.learning.data_set import (
    DATA_FILE,
    read_about,
    require_same,
    stack,
    write_about,
    write_part,
)
from diffusion_control.learning.demonstration import Demonstration, Question
from diffusion_control.learning.habits import demonstrate_habit, habit_named
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.obstacles import ObstacleArrays

FIRST_SEED = 1_000_000
SCENES_PER_PART = 50
MOTIONS = 3
EXPERT = 'rrt_connect+splines'


@dataclass(frozen=True)
class GenerateOptions:
    """What to generate.

    Attributes:
        robot_config: Name in config/robots, or a file.
        scenes: How many scenes.
        seed: Added to `FIRST_SEED`: the first scene.
        jobs: Processes side by side.
        resume: Keep the parts that are there.
        out: Folder of the data set.
        commit: Version of the code.
        habit: What the expert keeps beside, a name of `habits.HABITS`; '' = none.
    """

    robot_config: str = 'panda'
    scenes: int = 8000
    seed: int = 0
    jobs: int = 1
    resume: bool = False
    out: Path = Path('data/arm_panda')
    commit: str = ''
    habit: str = ''


@dataclass(frozen=True)
class Part:
    """Some scenes in a row."""

    robot_config: str
    first: int
    count: int
    out: Path
    habit: str = ''

    @property
    def name(self) -> str:
        """Name of its file, without the ending."""
        return f'part_{self.first:09d}'

    @property
    def path(self) -> Path:
        """Where it is written."""
        return self.out / f'{self.name}.npz'


def generate(options: GenerateOptions) -> int:
    """Write a data set and return how many demonstrations were added.

    Raises:
        ConfigurationError: The folder holds parts already and `resume` was not asked for, or no
            such habit.
    """
    if options.scenes < 1 or options.seed < 0:
        raise ConfigurationError(
            'bad range of scenes', where='--scenes, --seed', value=(options.scenes, options.seed),
            allowed='at least 1 scene, a seed of 0 or more')
    if options.habit:
        habit_named(options.habit)
    robot = warm_arm(options.robot_config)
    if not options.resume and any(options.out.glob('part_*.npz')):
        raise ConfigurationError(
            'the folder holds a data set', where=str(options.out), value='part_*.npz',
            allowed='an empty folder', remedy='add --resume, or choose another --out')
    before = _scenes_before(options.out)
    if before == 0 and any(options.out.glob('part_*.npz')):
        raise ConfigurationError(
            'the folder holds parts, but not what made them', where=str(options.out / DATA_FILE),
            value='missing', allowed='the file that was written with the parts',
            remedy='choose another --out, or remove the folder')
    about = {
        'task': 'arm', 'robot': robot.name, 'joint_names': list(robot.joint_names),
        'expert': EXPERT, 'seed': options.seed, 'scenes': options.scenes,
        'commit': options.commit, **({'habit': options.habit} if options.habit else {})}
    require_same(options.out, about)
    first = FIRST_SEED + options.seed
    parts = [
        Part(options.robot_config, first + k, min(SCENES_PER_PART, options.scenes - k),
             options.out, options.habit)
        for k in range(0, options.scenes, SCENES_PER_PART)]
    beyond = sorted(set(options.out.glob('part_*.npz')) - {part.path for part in parts})
    if beyond:
        raise ConfigurationError(
            'the folder holds more scenes than that', where='--scenes', value=options.scenes,
            allowed=f'{before} or more',
            remedy=f'choose another --out, or remove {beyond[0].name} and those after it')
    for part in parts:
        if min(SCENES_PER_PART, first + before - part.first) != part.count:
            part.path.unlink(missing_ok=True)  # the last one of fewer scenes, or of more
    write_about(options.out, about)
    waiting = [part for part in parts if not part.path.exists()]
    return sum(run_tasks(write_demonstrations, waiting, options.jobs, 'data generate', 'parts'))


def _scenes_before(out: Path) -> int:
    """Return how many scenes the data set of a folder was to have; 0 = there is none."""
    return int(read_about(out).get('scenes', 0)) if (out / DATA_FILE).exists() else 0


def write_demonstrations(part: Part) -> int:
    """Write the demonstrations of some scenes and return how many there are."""
    robot = warm_arm(part.robot_config)
    found: list[Demonstration] = []
    for seed in range(part.first, part.first + part.count):
        found += demonstrate_habit(
            robot, part.habit, seed, count=MOTIONS) if part.habit else of_scene(robot, seed)
    if found:
        write_part(part.out, part.name, stack(found))
    return len(found)


def of_scene(robot: Arm, seed: int) -> list[Demonstration]:
    """Return the expert's motions in the scene of a seed."""
    tier = 'easy' if seed % 3 == 0 else 'hard'
    scene = generate_scene(robot, seed, tier)
    obstacles = standing(scene.obstacles)
    goal = np.asarray(scene.goals[0].joints_rad, dtype=float)
    question = Question(seed, tier, scene.start_rad, goal, ObstacleArrays.pack(obstacles))
    return demonstrate(robot, question, obstacles, count=MOTIONS, seed=seed)
