# SPDX-License-Identifier: Apache-2.0
"""Return guidance in a maze: what the motions out of the network return, by its strength.

Every strength plans the same episodes from the same noise, one plan an episode. `free` is the
share of all motions of a plan that arrive without touching a wall, `time` the mean time to the
goal of these. `return` is that of the episode, in which the ball follows the best of them, `more`
the difference to the first strength, episode by episode, and `score` what the task makes of it.

Example: OMP_NUM_THREADS=1 python benchmarks/guidance.py --layout medium --episodes 100
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from hierarchical import ROBOT, run, scores_of
from numbers_given import positive, seed_number
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from diffusion_control import planners
from diffusion_control.evaluation.maze.layouts import MAZES
from diffusion_control.evaluation.maze.options import MazeOptions
from diffusion_control.evaluation.maze.table import mean_text
from diffusion_control.evaluation.maze.tasks import draw_task, with_length
from diffusion_control.evaluation.maze.two_way import Watched
from diffusion_control.planners.problem import PlanSet

SCALES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
COLUMNS = ('guidance_scale', 'free', 'time s', 'return', 'more', 'score', 'success')


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--layout', default='medium', choices=sorted(MAZES))
    parser.add_argument('--episodes', type=positive, default=100)
    parser.add_argument('--candidates', type=positive, default=8, help='motions drawn at once')
    parser.add_argument('--scales', type=float, nargs='*', default=list(SCALES))
    parser.add_argument('--seed', type=seed_number, default=0)
    return parser.parse_args()


def free_times(answer: PlanSet) -> NDArray[np.float64]:
    """Return the time to the goal of each motion [s]; NaN where it touches a wall, or is away."""
    lost = answer.costs['blocked'] + answer.costs['unreached'] > 0.0
    return np.where(lost, np.nan, answer.costs['time'])


def main() -> None:
    """Measure and print."""
    asked = arguments()
    options = MazeOptions(layouts=(asked.layout,), multi=True, seed=asked.seed,
                          episodes=asked.episodes, open_loop=True)
    tasks = with_length(options, [
        draw_task(options, asked.layout, k) for k in range(asked.episodes)])
    table = Table(*COLUMNS, title=f'{asked.layout}: {" ".join(sys.argv)}', title_justify='left')
    first = None
    for scale in asked.scales:
        planner = Watched(planners.make(
            'diffuser', robot=ROBOT, guidance_scale=scale, num_candidates=asked.candidates,
            clock=time.thread_time))
        episodes = [run(planner, 'diffuser', task, options) for task in tasks]
        times = np.concatenate([free_times(answer) for answer in planner.answers])
        returns = np.array([item.returned for item in episodes], dtype=float)
        first = returns if first is None else first
        table.add_row(
            f'{scale:g}', f'{np.isfinite(times).mean():.2f}', f'{np.nanmean(times):.3f}',
            mean_text([returns]), mean_text([returns - first]),
            mean_text([scores_of(MAZES[asked.layout], episodes)]),
            f'{sum(item.success for item in episodes)}/{len(episodes)}')
    Console(width=160).print(table)


if __name__ == '__main__':
    main()
