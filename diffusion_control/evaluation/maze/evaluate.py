# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control evaluate maze2d|pointmaze`: a planner in mazes, beside what it is worth."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.maze.checks import result_of, scored
from diffusion_control.evaluation.maze.drivers import ROBOT, check_planners, drive
from diffusion_control.evaluation.maze.options import TWO_WAY, UNTRAINED, MazeOptions
from diffusion_control.evaluation.maze.table import print_mazes
from diffusion_control.evaluation.maze.tasks import MazeTask, draw_task, with_length
from diffusion_control.evaluation.maze.two_way import evaluate_two_way
from diffusion_control.evaluation.row_store import RowStore
from diffusion_control.evaluation.run_folder import finite
from diffusion_control.evaluation.workers import run_tasks
from diffusion_control.inference.untrained import write_untrained
from diffusion_control.planners.models import (
    TRAINED,
    TRAINING_FREE,
    model_directory,
    resolve,
)

Row = dict[str, Any]
WITHOUT_MODEL = 'astar'


@dataclass(frozen=True)
class Work:
    """One episode with the planners that still have to run in it."""

    task: MazeTask
    planners: tuple[str, ...]


def judged_planner(planner: str, model: str = '') -> str:
    """Return the planner that a name means for a point mass: `auto` is the trained one."""
    found = resolve(planner, ROBOT, model)
    return WITHOUT_MODEL if found == TRAINING_FREE and planner != TRAINING_FREE else found


def evaluate_mazes(options: MazeOptions) -> Row:
    """Run the evaluation, print its tables and return the result of the contract.

    Raises:
        ConfigurationError: Unknown names, malformed files, or rows of other settings in `out`.
        MissingDependencyError: pointmaze without Gymnasium-Robotics.
    """
    check_planners(options)
    if options.names == (TWO_WAY,):
        return evaluate_two_way(options)
    tasks = tasks_of(options)
    _require_changes(options, tasks)
    _say_parts(tasks)
    store = RowStore(_folder(options), options.settings(), resume=options.resume, key=_key)
    if options.untrained:
        write_untrained(model_directory(options.model, TRAINED, ROBOT), store.folder / UNTRAINED)
    work = [Work(task, tuple(name for name in options.planners(task.layout)
                             if (task.layout, task.episode, name) not in store.rows))
            for task in tasks]
    work = [item for item in work if item.planners]
    run = partial(run_work, options, store.folder)
    for found in run_tasks(run, work, options.jobs, f'evaluate {options.task}', 'episodes'):
        store.add(found)
    rows = [store.rows[task.layout, task.episode, name] for task in tasks
            for name in options.planners(task.layout)]
    print_mazes(scored(rows, options), options)
    result: Row = finite(result_of(rows, options))
    store.write_result(result)
    return result


def tasks_of(options: MazeOptions) -> list[MazeTask]:
    """Return the episodes of all layouts."""
    return [task for layout in options.names for task in with_length(
        options, [draw_task(options, layout, k) for k in range(options.episodes)])]


def _require_changes(options: MazeOptions, tasks: list[MazeTask]) -> None:
    """Refuse a change that comes after the end of an episode."""
    for where, step in (('--move-goal-at', options.move_goal_at),
                        ('--block-cell-at', options.block_cell_at)):
        for task in tasks:
            if step is not None and step >= task.steps:
                raise ConfigurationError(
                    'the change comes after the end of an episode', where=where, value=step,
                    allowed=f'< {task.steps} steps, the length in {task.layout}',
                    remedy='an earlier step, or a longer --horizon-steps')


def _say_parts(tasks: list[MazeTask]) -> None:
    """Say which layouts have free cells that no way connects."""
    for layout, maze in {task.layout: task.maze for task in tasks}.items():
        parts = int(maze.regions().max())
        if parts > 1:
            print(f'{layout}: free cells in {parts} parts that no way connects; start and goal of '
                  'an episode are in the same one', file=sys.stderr)


def run_work(options: MazeOptions, folder: Path, work: Work) -> list[Row]:
    """Run one episode with each of its planners and return the rows."""
    return [drive(options, folder, work.task, name).row() for name in work.planners]


def _folder(options: MazeOptions) -> Path:
    """Return a folder named after what is evaluated, so that it can be resumed."""
    layouts = '+'.join(Path(name).stem.replace(':', '_') for name in options.layouts) or 'named'
    goals = options.goals.stem if options.goals else ''
    kinds = {'multi': options.multi, f'goals_{goals}': goals, 'ideal': options.ideal,
             options.specification: options.specification,
             'open': options.open_loop, 'moved': options.move_goal_at,
             'blocked': options.block_cell_at, Path(options.model).name: options.model}
    marks = [layouts, *(name for name, given in kinds.items() if given), options.planner]
    return options.out / f'evaluate_{options.task}-{"-".join(marks)}'


def _key(row: Row) -> tuple[str, int, str]:
    """Return what names a row."""
    return row['layout'], row['episode'], row['planner']
