# SPDX-License-Identifier: Apache-2.0
"""The question that is explained: robot, scene, planner, and plans of it by their settings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control import planners, robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.base.chosen_world import chosen_world
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.planners.base.world import BaseWorld
from diffusion_control.planners.problem import PlanningProblem, PlanSet
from diffusion_control.planners.trace import USUAL, CostWeights, Observer
from diffusion_control.planners.world import Judgement, World
from diffusion_control.robots.state import RobotState
from diffusion_control.simulation.layout import occupancy_map
from diffusion_control.simulation.scene import Scene
from diffusion_control.simulation.scene_file import load_scene
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
GUIDANCE = 'guidance_scale'
SCALES = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)
LEAST_STEPS = 8


@dataclass(frozen=True)
class ExplainOptions:
    """What is to be explained.

    Attributes:
        robot_config: Name or file of a robot.
        planner: Name of a planner.
        model: Folder of its model; '' is the shipped one.
        scene: File of a scene; None generates one from the seed.
        seed: Of the scene and of the planner.
        scales: Strengths of guidance that are compared; None: `SCALES`, if there is guidance.
        steps: Reverse steps that are shown; None: the planner's, at least `LEAST_STEPS`.
        out: Where run folders are made.
        command: The command line, for the report.
        commit: The commit of the code, for the report.
    """

    robot_config: str
    planner: str
    model: str = ''
    scene: Path | None = None
    seed: int = 0
    scales: tuple[float, ...] | None = None
    steps: int | None = None
    out: Path = Path('runs')
    command: str = ''
    commit: str = ''


class Question:
    """Robot, problem and planner, asked again and again from the same seed."""

    def __init__(self, options: ExplainOptions) -> None:
        self.robot: Any = robots.load(options.robot_config)
        self.seed = options.seed
        self.scene = _scene(options, self.robot)
        where = str(options.scene or 'scene')
        self.scene.check(self.robot, where)
        self.scene.require_goal(where)
        start = np.asarray(self.scene.start_rad, dtype=float)
        self.problem = PlanningProblem(
            RobotState(start, np.zeros_like(start), 0.0), self.scene.goals[0],
            self.scene.obstacles,
            map=occupancy_map(self.scene) if self.robot.kind == 'base' else None)
        self.planner: Any = planners.make(
            options.planner, robot=self.robot, model=options.model or None, seed=self.seed)
        self.scales = self._scales(options)

    @property
    def values(self) -> dict[str, Any]:
        """The planner's parameters."""
        kept = getattr(self.planner, 'values', None)
        return {} if kept is None else dataclasses.asdict(kept)

    def _scales(self, options: ExplainOptions) -> tuple[float, ...]:
        """Return the strengths of guidance to compare; none for a planner that has no such."""
        if GUIDANCE in self.values:
            return options.scales or SCALES
        if options.scales is not None:
            raise ConfigurationError(
                f'{options.planner} has no guidance to compare', where='--guidance-scale',
                value=list(options.scales), remedy='leave it away, or explain another planner')
        return ()

    @property
    def watched(self) -> bool:
        """Whether the planner shows its work (`planners.trace`)."""
        return hasattr(self.planner, 'observer')

    def plan(
        self, *, weights: CostWeights = USUAL, observer: Observer | None = None,
        problem: PlanningProblem | None = None, **values: Any,
    ) -> PlanSet:
        """Return the planner's answer without a deadline, with some settings changed."""
        planner = self.planner
        planner.reset(self.seed)
        kept = getattr(planner, 'values', None)
        try:
            if values:
                planner.values = dataclasses.replace(planner.values, **values)
            if self.watched:
                planner.weights, planner.observer = weights, observer
            answer: PlanSet = planner.plan(problem or self.problem)
            return answer
        finally:
            if kept is not None:
                planner.values = kept
            if self.watched:
                planner.weights, planner.observer = USUAL, None

    def judge(self, motion: Trajectory) -> Judgement:
        """Return what the planner's dense check says about a motion in the whole scene."""
        margin_m = float(self.values.get('margin_m', 0.015))
        if self.robot.kind == 'base':
            return BaseWorld(self.robot, self.problem, margin_m).judge(motion)
        return World(self.robot, self.problem.obstacles, margin_m=margin_m).judge(motion)

    def path(self, motion: Trajectory, points: int = 65) -> Array:
        """Return the places of the tool (or the base) along a motion, [K, 3] [m]."""
        times = np.linspace(motion.start_s, motion.end_s, points)
        return np.asarray(self.robot.tool_positions(motion.sample_many(times)[0]))


def obstacle_name(problem: PlanningProblem, index: int) -> str:
    """Return the key of an obstacle, or its number where it has none."""
    return problem.obstacles[index].key or str(index)


def chosen(answer: PlanSet) -> Trajectory:
    """Return the best motion of an answer, or the first where none is free."""
    return answer.candidates[answer.best or 0]


def _scene(options: ExplainOptions, robot: Any) -> Scene:
    """Return the scene of the file, or a hard one of the seed."""
    if robot.kind == 'base':
        return chosen_world(
            robot, scene=options.scene, layout=None, seed=options.seed, tier='hard')
    if options.scene is not None:
        return load_scene(options.scene)
    return generate_scene(robot, options.seed, 'hard')
