# SPDX-License-Identifier: Apache-2.0
"""The verb that judges a planner: `evaluate arm|base|maze2d|pointmaze`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diffusion_control import console
from diffusion_control.cli_options import (
    BlockCellAt,
    Episodes,
    EvaluationFallback,
    Goals,
    HorizonSteps,
    Jobs,
    Json,
    KeepRuns,
    LatencyMs,
    Layouts,
    Model,
    MoveGoalAt,
    Multi,
    OpenLoop,
    Out,
    Peer,
    Planner,
    Plant,
    RefMax,
    RefMin,
    Resume,
    RobotConfig,
    Safety,
    Scenes,
    Seed,
    Specified,
    Tier,
    Tracker,
    Untrained,
)
from diffusion_control.demo.options import check_choice
from diffusion_control.errors import ConfigurationError

ROBOT_TASKS, MAZE_TASKS = ('arm', 'base'), ('maze2d', 'pointmaze')
TASKS = (*ROBOT_TASKS, *MAZE_TASKS)
AUTO = 'auto'
OF_ROBOTS = {'robot_config': '', 'fallback': 'hold', 'scenes': None, 'tier': 'easy',
             'plant': 'default', 'keep_runs': 0}
OF_MAZES = {'goals': None, 'horizon_steps': None, 'ref_min': None, 'ref_max': None,
            'multi': False, 'move_goal_at': None, 'block_cell_at': None, 'open_loop': False,
            'specification': ''}
"""Options of one kind of task alone, with their defaults."""


def evaluate(
    task: Annotated[str, typer.Argument(metavar='TASK', help='arm, base, maze2d or pointmaze')],
    robot_config: RobotConfig = '',
    planner: Planner = AUTO,
    peer: Peer = None,
    fallback: EvaluationFallback = 'hold',
    episodes: Episodes = None,
    jobs: Jobs = 1,
    resume: Resume = False,
    scenes: Scenes = None,
    layout: Layouts = None,
    tier: Tier = 'easy',
    plant: Plant = 'default',
    goals: Goals = None,
    horizon_steps: HorizonSteps = None,
    ref_min: RefMin = None,
    ref_max: RefMax = None,
    multi: Multi = False,
    tracker: Tracker = '',
    safety: Safety = 'on',
    latency_ms: LatencyMs = None,
    move_goal_at: MoveGoalAt = None,
    block_cell_at: BlockCellAt = None,
    open_loop: OpenLoop = False,
    specification: Specified = '',
    keep_runs: KeepRuns = 0,
    model: Model = '',
    untrained: Untrained = False,
    seed: Seed = 0,
    out: Out = Path('runs'),
    json: Json = False,
) -> int:
    """Judge a planner over many scenes, in process and on a simulated clock."""
    given = dict(locals())
    check_choice('TASK', task, TASKS)
    check_choice('--safety', safety, ('on', 'off'))
    _refuse_others(given)
    if task not in MAZE_TASKS:
        check_choice('--tier', tier, ('easy', 'hard', 'both'))
        check_planner(planner, task)
        check_fallback(fallback)
    with console.output(json):
        result = _mazes(given) if task in MAZE_TASKS else _robots(given)
    return console.finish(result, json)


def _robots(given: dict[str, Any]) -> dict[str, Any]:
    """Evaluate arm or base."""
    from diffusion_control.evaluation.evaluate import (
        EvaluateOptions,
        evaluate_robot,
        judged_planner,
    )
    layouts = given.pop('layout') or [None]
    if len(layouts) > 1:
        raise ConfigurationError(
            'a base drives in one layout', where='--layout', value=layouts, allowed='one file')
    planner = judged_planner(
        given['task'], given['robot_config'], given.pop('planner'), given['model'])
    return evaluate_robot(EvaluateOptions(
        **{**_common(given), **{key: given[key] for key in OF_ROBOTS}}
        | {'planner': planner,
           'layout': None if layouts[0] is None else Path(layouts[0])}))


def _mazes(given: dict[str, Any]) -> dict[str, Any]:
    """Evaluate in mazes."""
    from diffusion_control.evaluation.maze.evaluate import evaluate_mazes, judged_planner
    from diffusion_control.evaluation.maze.options import MazeOptions
    given['episodes'] = given['episodes'] or MazeOptions.episodes
    return evaluate_mazes(MazeOptions(
        **{**_common(given), **{key: given[key] for key in OF_MAZES}},
        planner=judged_planner(given['planner'], given['model']),
        layouts=tuple(given['layout'] or ())))


def _common(given: dict[str, Any]) -> dict[str, Any]:
    """Return what every task takes."""
    from diffusion_control.evaluation.evaluate import peers
    from diffusion_control.evaluation.host import commit_of_code
    names = ('task', 'episodes', 'jobs', 'resume', 'tracker', 'latency_ms', 'model', 'untrained',
             'seed', 'out')
    return {**{name: given[name] for name in names}, 'peers': peers(given['peer']),
            'safety': given['safety'] == 'on', 'commit': commit_of_code()}


def _refuse_others(given: dict[str, Any]) -> None:
    """Refuse options of the other kind of task.

    Raises:
        ConfigurationError: With the option and the tasks that take it.
    """
    mazes = given['task'] in MAZE_TASKS
    others = OF_ROBOTS if mazes else OF_MAZES
    for name, default in others.items():
        if given[name] != default:
            raise ConfigurationError(
                f'evaluate {given["task"]} takes no such option',
                where=f'--{name.replace("_", "-")}', value=str(given[name]),
                allowed=f'evaluate {"|".join(ROBOT_TASKS if mazes else MAZE_TASKS)}')


def check_planner(name: str, robot_kind: str) -> None:
    """Raise a ConfigurationError unless there is a planner of that name for a kind of robot."""
    from diffusion_control.planners.registry import require_planner
    require_planner(name, robot_kind, also=(AUTO,))


def check_fallback(name: str) -> None:
    """Raise a ConfigurationError unless there is a fallback of that name."""
    from diffusion_control import parameters
    check_choice('--fallback', name, parameters.find('fallback', 'type').choices)
