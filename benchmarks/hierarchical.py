# SPDX-License-Identifier: Apache-2.0
"""Hierarchical against flat planning in a maze, at equal evaluations of the networks.

Both planners run the same episodes at several numbers of evaluations: `diffuser` with N a window,
`hierarchical` with N for sub-goals and M for the motion between them (`--pairs N:M`). Evaluations
of both networks count alike and with everything that is drawn again; they are those that were
really spent on a plan, in the mean. `flat at equal` is the flat planner's score at the same
evaluations, on the line between its two neighbouring rows (`-` outside of them), and `difference`
is the row's score less that, episode by episode.

With `--open-loop` each episode is one plan, so that all plans are new; otherwise most plans begin
at the one before, where both planners are the same.

Example: OMP_NUM_THREADS=1 python benchmarks/hierarchical.py --open-loop --episodes 100
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numbers_given import positive, seed_number
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from diffusion_control import planners
from diffusion_control.evaluation.maze.agents import PlanningAgent, PlanTimes
from diffusion_control.evaluation.maze.episode import Changes, MazeEpisode, run_maze_episode
from diffusion_control.evaluation.maze.layouts import MAZES, Maze
from diffusion_control.evaluation.maze.options import MazeOptions
from diffusion_control.evaluation.maze.table import mean_text
from diffusion_control.evaluation.maze.tasks import MazeTask, draw_task, with_length
from diffusion_control.evaluation.maze.worlds import PhysicalWorld
from diffusion_control.planners.protocol import Planner
from diffusion_control.robots.point_mass import PointMass

Array = NDArray[np.float64]
ROBOT = PointMass()
FLAT, PAIRS = (1, 2, 3, 6), ('1:1', '2:2', '3:2', '6:2')
COLUMNS = ('planner', 'steps', 'evaluations', 'score', 'flat at equal', 'difference', 'success',
           'time s', 'plans refused', 'plan ms p50 / p99')


@dataclass(frozen=True)
class Line:
    """A planner with its numbers of evaluations, and what came of it.

    Attributes:
        name: Of the planner.
        steps: As on the command line.
        scores: Of the episodes, shape [E].
        episodes: What happened.
    """

    name: str
    steps: str
    scores: Array
    episodes: list[MazeEpisode]

    @property
    def evaluations(self) -> float:
        """Evaluations a plan, in the mean over the episodes."""
        return float(np.mean([item.evaluations for item in self.episodes]))


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--layout', default='large', choices=sorted(MAZES))
    parser.add_argument('--multi', action='store_true', help='draw the goals anew')
    parser.add_argument('--episodes', type=positive, default=100)
    parser.add_argument('--open-loop', action='store_true', help='one plan an episode')
    parser.add_argument('--candidates', type=positive, default=8, help='motions drawn at once')
    parser.add_argument('--flat', type=positive, nargs='*', default=list(FLAT))
    parser.add_argument('--pairs', nargs='*', default=list(PAIRS))
    parser.add_argument('--level', type=float, default=0.0, help='fill_level; 0: its default')
    parser.add_argument('--seed', type=seed_number, default=0)
    return parser.parse_args()


def made(name: str, steps: str, asked: argparse.Namespace) -> Planner:
    """Return a planner with its numbers of evaluations."""
    first, _, second = steps.partition(':')
    more: dict[str, Any] = {'clock': time.thread_time}
    if second:
        more['num_fill_steps'] = int(second)
    if second and asked.level:
        more['fill_level'] = asked.level
    return planners.make(name, robot=ROBOT, num_inference_steps=int(first),
                         num_candidates=asked.candidates, **more)


def run(planner: Planner, name: str, task: MazeTask, options: MazeOptions) -> MazeEpisode:
    """Drive one episode, as `evaluate maze2d` does."""
    planner.reset(task.seed)
    period = round(options.replan_s / ROBOT.period_s)
    agent = PlanningAgent(planner, ROBOT, PlanTimes(
        0 if options.open_loop else period, period, round(options.latency_s / ROBOT.period_s),
        task.steps))
    world = PhysicalWorld(ROBOT, task.maze.map, task.start)
    return run_maze_episode(task, agent, world, name, Changes(None, None), log=agent.log)


def scores_of(maze: Maze, done: list[MazeEpisode]) -> Array:
    """Return the scores of episodes in a named maze, shape [E]."""
    assert maze.ref_min is not None and maze.ref_max is not None
    returns = np.array([item.returned for item in done], dtype=float)
    return 100.0 * (returns - maze.ref_min) / (maze.ref_max - maze.ref_min)


def cells(line: Line, flat: list[Line]) -> list[str]:
    """Return a row of the table."""
    count, episodes = len(line.scores), line.episodes
    spent, scores = (np.array([getattr(item, key) for item in flat])
                     for key in ('evaluations', 'scores'))
    other = np.full(count, np.nan)
    if flat and line not in flat:
        order = np.argsort(spent)
        other = np.array([np.interp(line.evaluations, spent[order], column[order], np.nan, np.nan)
                          for column in scores.T])
    reached = [item.time_s for item in episodes if item.time_s is not None]
    latency = 1e3 * np.array([value for item in episodes for value in item.plan_latency_s])
    return [
        line.name, line.steps, f'{line.evaluations:.1f}', mean_text([line.scores]),
        *(('-', '-') if np.isnan(other).any() else (
            f'{other.mean():.1f}', mean_text([line.scores - other]))),
        f'{sum(item.success for item in episodes)}/{count}',
        f'{np.mean(reached):.2f}' if reached else '-',
        str(sum(item.failures for item in episodes)),
        f'{np.median(latency):.0f} / {np.percentile(latency, 99):.0f}' if len(latency) else '-']


def main() -> None:
    """Measure and print."""
    asked = arguments()
    options = MazeOptions(layouts=(asked.layout,), multi=asked.multi, seed=asked.seed,
                          episodes=asked.episodes, open_loop=asked.open_loop)
    tasks = with_length(options, [
        draw_task(options, asked.layout, k) for k in range(asked.episodes)])
    lines = []
    for name, steps in (*(('diffuser', str(n)) for n in asked.flat),
                        *(('hierarchical', pair) for pair in asked.pairs)):
        planner = made(name, steps, asked)
        done = [run(planner, name, task, options) for task in tasks]
        lines.append(Line(name, steps, scores_of(MAZES[asked.layout], done), done))
    flat = [line for line in lines if line.name == 'diffuser']
    table = Table(*COLUMNS, title=f'{asked.layout}: {" ".join(sys.argv)}', title_justify='left')
    for line in lines:
        table.add_row(*cells(line, flat))
    Console(width=160).print(table)


if __name__ == '__main__':
    main()
