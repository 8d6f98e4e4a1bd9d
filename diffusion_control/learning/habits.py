# SPDX-License-Identifier: Apache-2.0
"""Habits: what demonstrations know and no cost says.

A habit is a name, scenes in which it shows, a rule that the scripted expert keeps while it makes
demonstrations, and a question to a motion: was it kept? The rule asks for more than the question,
so that who has learned the habit may err a little. No planner is told any of it.

    upright   start and goal hold the tool upright: it stays within 15 degrees of upright
    left      the tool passes the largest obstacle on the obstacle's left, seen in its direction
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import require_known
from diffusion_control.learning.arm_expert import demonstrate
from diffusion_control.learning.demonstration import Demonstration, Question
from diffusion_control.learning.habit_rules import (
    MOST_TILT_RAD,
    LeftRule,
    Rule,
    Side,
    UprightRule,
    tilt,
)
from diffusion_control.learning.habit_scenes import largest, left_scene, upright_scene
from diffusion_control.planners.world import JUDGED_POINTS
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.obstacles import ObstacleArrays
from diffusion_control.simulation.scene import Scene
from diffusion_control.trajectory.spline import FIXED, basis

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Habit:
    """One habit.

    Attributes:
        name: What it is called on the command line.
        scene: Returns the scene of a seed.
        rule: Returns what the expert keeps in a scene.
        kept: Says whether the configurations [L, n] of a motion in a scene keep the habit.
    """

    name: str
    scene: Callable[[Arm, int], Scene]
    rule: Callable[[Any, Scene], Rule]
    kept: Callable[[Any, Scene, Array], bool]


def habit_named(name: str) -> Habit:
    """Return a habit by name, or say which there are."""
    require_known('unknown habit', '--habit', name, HABITS)
    return HABITS[name]


def demonstrate_habit(robot: Arm, name: str, seed: int, *, count: int) -> list[Demonstration]:
    """Return up to `count` motions of the expert, who keeps a habit in the scene of a seed."""
    habit = habit_named(name)
    scene = habit.scene(robot, seed)
    question = Question(
        seed, scene.tier or '', scene.start_rad, _goal(scene),
        ObstacleArrays.pack(scene.obstacles))
    return demonstrate(
        robot, question, scene.obstacles, count=count, seed=seed, rule=habit.rule(robot, scene))


def motion_of(shown: Demonstration) -> Array:
    """Return the configurations of a demonstration at even times, shape [L, n] [rad]."""
    asked = shown.question
    ends = [np.repeat(end[None], FIXED, 0) for end in (asked.start, asked.goal)]
    points = np.concatenate([ends[0], shown.free, ends[1]])
    return np.asarray(basis(JUDGED_POINTS).position @ points)


def _goal(scene: Scene) -> Array:
    """Return the configuration of a scene's goal."""
    return np.asarray(scene.goals[0].joints_rad, dtype=float)


def _side(robot: Any, scene: Scene) -> Side:
    """Return left and right of the largest obstacle of a scene."""
    return Side.between(robot, scene.start_rad, _goal(scene), largest(scene.obstacles))


def _stays_upright(robot: Any, scene: Scene, positions: Array) -> bool:
    """Say whether the tool is never tilted by more than 15 degrees."""
    del scene
    return bool(tilt(robot, positions).max() <= MOST_TILT_RAD)


def _passes_left(robot: Any, scene: Scene, positions: Array) -> bool:
    """Say whether the tool is left of the largest obstacle each time that it comes beside it."""
    along, left = _side(robot, scene).of(robot.tool_positions(positions))
    beside = np.flatnonzero((along[:-1] < 0.0) != (along[1:] < 0.0))
    return bool(len(beside) and (left[beside] > 0.0).all() and (left[beside + 1] > 0.0).all())


HABITS = {
    'upright': Habit(
        'upright', upright_scene, lambda robot, scene: UprightRule(robot), _stays_upright),
    'left': Habit(
        'left', left_scene, lambda robot, scene: LeftRule(robot, _side(robot, scene)),
        _passes_left)}
