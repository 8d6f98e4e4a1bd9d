# SPDX-License-Identifier: Apache-2.0
"""One episode of a maze task in closed loop, with what happens in the middle of it, as a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.maze.agents import Agent, PlanLog, Scene
from diffusion_control.evaluation.maze.judgement import TOUCH_M, trapped
from diffusion_control.evaluation.maze.layouts import Maze
from diffusion_control.evaluation.maze.tasks import MazeTask
from diffusion_control.evaluation.maze.worlds import Steps, World, joined
from diffusion_control.evaluation.rates import onsets, spans
from diffusion_control.planners.point_mass.specification import SPECIFICATIONS
from diffusion_control.robots.point_mass import PointMass

Array = NDArray[np.float64]
AT_REST_M_S = 0.005
CLEAR_CELLS_M, CLEAR_STEPS = 1.0, 30
"""A cell is not walled up that is nearer to the mass than this, or reached sooner."""


@dataclass(frozen=True)
class Changes:
    """What happens in the middle: at which step the goal moves, or a cell is walled up."""

    move_goal_at: int | None = None
    block_cell_at: int | None = None


@dataclass(frozen=True)
class MazeEpisode:
    """The row of one planner in one episode.

    Attributes:
        episode: Number in its layout.
        seed: Of the episode.
        planner: Its name.
        layout: Of the maze.
        success: At the goal at some step, and at the last one.
        time_s: Until the goal was reached, from the beginning or from the change [s]; None if not.
        contact_moving: Onsets of overlap of ball and wall while the ball moved.
        contacts_at_rest: Onsets while it stood.
        violations: `plan`: followed plans that overlap a wall at a knot; `inter_sample`: between
            knots; `roll_out`: onsets of overlap of the ball itself.
        returned: Steps at the goal.
        steps: Length of the episode.
        clearance_min_m: Of the ball, at most 2 mm [m].
        evaluations: Mean over the plans.
        plan_p50_s: Median processor latency of a plan [s]; None without one.
        plan_latency_s: Of every plan [s].
        plans: Number of plans.
        failures: Questions without a plan to follow.
        trapped: Away from the goal at the end, and no nearer in the last quarter.
        plans_trapped: Followed plans that are.
        h_min_plan: Least value of the specification in followed plans; without one the clearance.
        h_min_dense: The same between knots.
        h_min_rollout: The same where the ball went.
        changed: What was to happen in the middle did happen.
    """

    episode: int
    seed: int
    planner: str
    layout: str
    success: bool
    time_s: float | None
    contact_moving: int
    contacts_at_rest: int
    violations: dict[str, int | None]
    returned: int
    steps: int
    clearance_min_m: float | None
    evaluations: float
    plan_p50_s: float | None
    plan_latency_s: list[float] = field(default_factory=list)
    plans: int = 0
    failures: int = 0
    trapped: bool = False
    plans_trapped: int = 0
    h_min_plan: float | None = None
    h_min_dense: float | None = None
    h_min_rollout: float | None = None
    changed: bool = False

    def row(self) -> dict[str, Any]:
        """Return the row; `score` is filled later."""
        return {**asdict(self), 'return': float(self.returned), 'score': None}

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> MazeEpisode:
        """Return the episode of a row."""
        return cls(**{item.name: row[item.name] for item in fields(cls)})


def run_maze_episode(
    task: MazeTask, agent: Agent, world: World, planner: str, changes: Changes,
    specification: str = '', log: PlanLog | None = None,
) -> MazeEpisode:
    """Drive one episode and return its row.

    Args:
        task: Start, goal, length.
        agent: Drives.
        world: In which it drives; at the task's start.
        planner: Name in the row.
        changes: What happens in the middle.
        specification: Name of the region to keep out of; '' = none.
        log: What the agent's planner did; None = it has none.
    """
    scene = Scene(task.maze.map, task.goal, task.radius_m, specification)
    generator = np.random.default_rng([task.seed, 2])
    asked = (changes.move_goal_at, changes.block_cell_at)
    due = sorted({step for step in asked if step is not None and step < task.steps})
    maze, found, inside, happened = task.maze, [], [], 0
    agent.told(scene)
    step = 0
    while step < task.steps:
        if due and step == due[0]:
            due.pop(0)
            before = scene, maze
            scene, maze = _changed(task, maze, scene, agent, world, changes, step, generator)
            happened += (scene.goal is not before[0].goal) + (maze is not before[1])
        until = due[0] if due else task.steps
        done = agent.advance(world, step, until)
        found.append(done)
        away = np.linalg.norm(done.states[:, :2] - scene.goal, axis=1)
        inside.append(away <= task.radius_m)
        step += len(done.states)
    whole = joined(found)
    changed = 0 < happened == len(asked) - asked.count(None)
    since = max((s for s in asked if s is not None), default=0) if changed else 0
    row = _row(task, scene, whole, np.concatenate(inside), since, planner, log or PlanLog())
    return replace(row, changed=changed)


def _changed(
    task: MazeTask, maze: Maze, scene: Scene, agent: Agent, world: World, changes: Changes,
    step: int, generator: np.random.Generator,
) -> tuple[Scene, Maze]:
    """Let happen what is due at a step, and return what there is now."""
    before = scene
    if step == changes.move_goal_at:
        scene = replace(scene, goal=task.later_goal)
    if step == changes.block_cell_at:
        cell = blocked_cell(maze, agent.ahead(step), world.state[:2], scene.goal, generator)
        if cell is not None:
            maze = maze.with_wall(cell)
            scene = replace(scene, known=maze.map)
            world.block(maze.map)
    if scene is not before:
        agent.told(scene)
    return scene, maze


def blocked_cell(
    maze: Maze, ahead: Array, place: Array, goal: Array, generator: np.random.Generator
) -> tuple[int, int] | None:
    """Return a cell on a plan that can be walled up with the goal still in reach, or None.

    Args:
        maze: The walls.
        ahead: Places of the plan, one a step, shape [K, 2].
        place: Of the mass [2].
        goal: Of the plan [2].
        generator: Draws one of several.
    """
    kept = {maze.cell_at(place), maze.cell_at(goal)}
    far = [tuple(p) for p in ahead[CLEAR_STEPS:] if np.linalg.norm(p - place) > CLEAR_CELLS_M]
    cells = dict.fromkeys(maze.cell_at(np.array(p)) for p in far)
    fit = []
    for cell in cells:
        regions = maze.regions(closed=cell)
        if cell not in kept and regions[maze.cell_at(place)] == regions[maze.cell_at(goal)] > 0:
            fit.append(cell)
    return fit[int(generator.integers(len(fit)))] if fit else None


def _row(
    task: MazeTask, scene: Scene, whole: Steps, inside: NDArray[np.bool_], since: int,
    planner: str, log: PlanLog,
) -> MazeEpisode:
    robot = PointMass()
    arrived = np.flatnonzero(inside[since:])
    moving = np.abs(whole.states[:, 2:]).max(axis=1) > AT_REST_M_S
    overlap, places = whole.gaps < 0.0, whole.states[:, :2]
    touched, reports = onsets(overlap), log.reports
    resting = sum(not moving[first:last].any() for first, last in spans(overlap))
    specification = SPECIFICATIONS.get(scene.specification)
    h = whole.gaps if specification is None else specification.h(places)
    success = bool(inside[-1])
    return MazeEpisode(
        task.episode, task.seed, planner, task.layout, success,
        robot.period_s * float(arrived[0] + 1) if success else None,
        touched - resting, resting,
        {'plan': sum(r.clearance_m < -TOUCH_M for r in reports),
         'inter_sample': sum(r.clearance_dense_m < -TOUCH_M for r in reports),
         'roll_out': touched},
        int(inside.sum()), task.steps, float(whole.gaps.min()),
        float(np.mean(log.evaluations)) if log.evaluations else 0.0,
        float(np.median(log.latency_s)) if log.latency_s else None, log.latency_s,
        len(log.latency_s), log.failures,
        not success and trapped(robot, places, scene.known, scene.goal, task.radius_m),
        sum(r.trapped for r in reports), min((r.h for r in reports), default=None),
        min((r.h_dense for r in reports), default=None), float(h.min()))
