# SPDX-License-Identifier: Apache-2.0
"""Agents and worlds by the names that an evaluation gives them."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from diffusion_control import planners
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.maze.agents import (
    Agent,
    CloningAgent,
    PlanLog,
    PlanningAgent,
    PlanTimes,
    RandomAgent,
)
from diffusion_control.evaluation.maze.data_baselines import NearestDemonstration, clone_in
from diffusion_control.evaluation.maze.demonstrations import EXPERTS
from diffusion_control.evaluation.maze.episode import Changes, MazeEpisode, run_maze_episode
from diffusion_control.evaluation.maze.gym_world import GymWorld
from diffusion_control.evaluation.maze.layouts import MAZES
from diffusion_control.evaluation.maze.options import (
    CLONING,
    NEAREST,
    POINTMAZE,
    RANDOM,
    SCRIPTED,
    UNTRAINED,
    MazeOptions,
)
from diffusion_control.evaluation.maze.tasks import MazeTask
from diffusion_control.evaluation.maze.worlds import (
    FilteredWorld,
    IdealWorld,
    PhysicalWorld,
    World,
)
from diffusion_control.planners import registry
from diffusion_control.planners.point_mass.specification import SPECIFICATIONS
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.planners.protocol import Planner
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.point_mass import PointMass
from diffusion_control.robots.state import RobotState

ROBOT = PointMass()


def check_planners(options: MazeOptions) -> None:
    """Refuse unknown planners, and ones that cannot be opened, before anything runs.

    Raises:
        ConfigurationError: An unknown name, a planner of another robot, or a bad model.
    """
    for name in (options.planner, *(options.peers or ())):
        registry.require_planner(name, ROBOT.kind, also=SCRIPTED)
        if name not in SCRIPTED:
            made(name, options.model if name == options.planner else '')
    if options.untrained and (options.planner in SCRIPTED or 'model' not in registry.parameters_of(
            options.planner, ROBOT.kind)):
        raise ConfigurationError(
            f'planner {options.planner} has no weights', where='--untrained', value=True,
            allowed='a learned planner, for example --planner diffuser')


@lru_cache(maxsize=8)
def made(name: str, model: str) -> Planner:
    """Return a planner by name, made and warm once a process; its clock is processor time."""
    if name in EXPERTS:
        planner: Planner = EXPERTS[name](ROBOT, clock=time.thread_time)
    else:
        planner = planners.make(name, robot=ROBOT, model=model or None, **registry.clocked(
            name, time.thread_time, ROBOT.kind))
    maze = MAZES['umaze']
    planner.plan(PlanningProblem(
        RobotState(maze.place_of(maze.free[0]), np.array([0.1, 0.0])),
        Goal(position_m=np.append(maze.place_of(maze.free[-1]), 0.0)), map=maze.map,
        dt_s=ROBOT.period_s, horizon_s=3.0))
    return planner


def drive(options: MazeOptions, folder: Path, task: MazeTask, name: str) -> MazeEpisode:
    """Run one episode with one planner."""
    world, task = _world(options, task)
    agent, log = _agent(options, folder, task, name)
    try:
        return run_maze_episode(
            task, agent, world, name, Changes(options.move_goal_at, options.block_cell_at),
            options.specification, log)
    finally:
        if isinstance(world, GymWorld):
            world.close()


def _world(options: MazeOptions, task: MazeTask) -> tuple[World, MazeTask]:
    """Return where to drive, and the task as it begins there."""
    if options.task == POINTMAZE:
        found = GymWorld(ROBOT, task.maze, task.start_cell, task.goal_cell, task.seed)
        task = replace(task, start=found.state.copy(), goal=found.goal)
        if not options.ideal:
            return found, task
        found.close()
    if options.ideal:
        return IdealWorld(ROBOT, task.maze.map, task.start), task
    if options.safety and options.specification:
        return FilteredWorld(ROBOT, task.maze.map, task.start,
                             SPECIFICATIONS[options.specification]), task
    return PhysicalWorld(ROBOT, task.maze.map, task.start), task


def _agent(
    options: MazeOptions, folder: Path, task: MazeTask, name: str
) -> tuple[Agent, PlanLog | None]:
    """Return who drives, and what will be known of its plans."""
    if name == RANDOM:
        return RandomAgent(task.seed), None
    if name == CLONING:
        return CloningAgent(clone_in(task.maze)), None
    planner = _planner(options, folder, task, name)
    planner.reset(task.seed)
    once = options.open_loop or name in SCRIPTED
    period = max(round(options.replan_s / ROBOT.period_s), 1)
    agent = PlanningAgent(planner, ROBOT, PlanTimes(
        0 if once else period, period, round(options.latency_s / ROBOT.period_s), task.steps),
        ideal=options.ideal)
    return agent, agent.log


def _planner(options: MazeOptions, folder: Path, task: MazeTask, name: str) -> Planner:
    if name == NEAREST:
        return NearestDemonstration(task.maze, ROBOT)
    if name == UNTRAINED:
        return made(options.planner, str(folder / UNTRAINED))
    return made(name, options.model if name == options.planner else '')
