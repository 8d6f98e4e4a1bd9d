# SPDX-License-Identifier: Apache-2.0
"""`evaluate maze2d --layout two_way`: an obstacle that can be passed on either side.

The start lies on one side of a block of 3 x 3 cells and the goal on the other, in the middle row;
both are moved by up to 0.1 m. A motion's class is the side on which it passes the block's middle
column. Told apart are: what is drawn (both classes among the candidates of the first plan), what
is chosen (the class of the first plan over the episodes), and whether a roll-out keeps to it: a
switch is a followed plan that passes on the other side than the one before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from diffusion_control.evaluation import statistics
from diffusion_control.evaluation.evaluation_checks import SCHEMA_VERSION
from diffusion_control.evaluation.host import host_information
from diffusion_control.evaluation.maze.agents import PlanningAgent, PlanTimes, Scene
from diffusion_control.evaluation.maze.drivers import ROBOT, made
from diffusion_control.evaluation.maze.layouts import Maze
from diffusion_control.evaluation.maze.options import TWO_WAY, MazeOptions
from diffusion_control.evaluation.maze.worlds import PhysicalWorld
from diffusion_control.evaluation.statistics import Check
from diffusion_control.planners.problem import PlanningProblem, PlanSet
from diffusion_control.planners.protocol import Planner

Array = NDArray[np.float64]
MAZE = Maze(TWO_WAY, (
    '#######', '#OOOOO#', '#O###O#', '#O###O#', '#O###O#', '#OOOOO#', '#######'))
START, GOAL, MIDDLE = (2.8, 0.8), (2.8, 4.8), 2.8
"""Middles of the cells of start and goal, and of the block along both axes [m]."""
NOISE_M, STEPS, RADIUS_M = 0.1, 400, 0.5
COLUMNS = ('planner', 'both drawn', 'low side', 'drawn low', 'success', 'switches', 'n')
EPISODES = 50
LEAST_BOTH, LEAST_SHARE = 0.5, 0.1


@dataclass(frozen=True)
class TwoWayRow:
    """One episode.

    Attributes:
        episode: Number.
        planner: Name.
        drawn: Candidates of the first plan that pass on the low and on the high side.
        side: Of the roll-out: -1, +1, or 0 where it did not pass.
        switches: Followed plans on another side than the one before.
        success: The goal is reached at the end.
    """

    episode: int
    planner: str
    drawn: tuple[int, int]
    side: int
    switches: int
    success: bool


class Watched:
    """A planner whose answers are kept; everything else is the planner's own."""

    def __init__(self, planner: Planner) -> None:
        self._planner, self.answers = planner, list[PlanSet]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._planner, name)

    def plan(self, problem: PlanningProblem, deadline_s: float | None = None) -> PlanSet:
        """Return the planner's answer."""
        found = self._planner.plan(problem, deadline_s)
        self.answers.append(found)
        return found


def side_of(places: Array) -> int:
    """Return on which side of the block places [K, 2] pass its middle: -1, +1; 0 = not at all."""
    across = places[:, 1] - MIDDLE
    passed = np.flatnonzero((across[:-1] < 0.0) & (across[1:] >= 0.0))
    return int(np.sign(places[passed[0], 0] - MIDDLE)) if len(passed) else 0


def run_two_way(planner: Planner, name: str, episode: int, options: MazeOptions) -> TwoWayRow:
    """Drive one episode and return its row."""
    seed = options.seed + episode
    generator = np.random.default_rng([seed, 5])
    start, goal = (np.array(place) + generator.uniform(-NOISE_M, NOISE_M, 2)
                   for place in (START, GOAL))
    planner.reset(seed)
    watched = Watched(planner)
    period = max(round(options.replan_s / ROBOT.period_s), 1)
    agent = PlanningAgent(watched, ROBOT, PlanTimes(
        0 if options.open_loop else period, period, round(options.latency_s / ROBOT.period_s),
        STEPS))
    world = PhysicalWorld(ROBOT, MAZE.map, np.append(start, np.zeros(2)))
    agent.told(Scene(MAZE.map, goal, RADIUS_M))
    places = [start[None]]
    while (step := sum(len(part) for part in places) - 1) < STEPS:
        places.append(agent.advance(world, step, STEPS).states[:, :2])
    way = np.concatenate(places)
    sides = [side_of(c.position) for c in watched.answers[0].candidates] if watched.answers else []
    followed = [side for found in watched.answers if found.trajectory is not None
                and (side := side_of(found.trajectory.position))]
    return TwoWayRow(
        episode, name, (sides.count(-1), sides.count(1)), side_of(way),
        int(np.count_nonzero(np.diff(followed))),
        bool(np.linalg.norm(way[-1] - goal) <= RADIUS_M))


def evaluate_two_way(options: MazeOptions) -> dict[str, Any]:
    """Run the episodes, print the table and return the result of the contract."""
    rows = []
    for name in dict.fromkeys((options.planner, *(options.peers or ()))):
        planner = made(name, options.model if name == options.planner else '')
        rows += [run_two_way(planner, name, k, options) for k in range(options.episodes)]
    Console(width=120).print(table_of(rows))
    checks = checks_of([row for row in rows if row.planner == options.planner])
    return {
        'schema_version': SCHEMA_VERSION, 'commit': options.commit, 'command': options.command,
        'host': host_information(), 'rows': [asdict(row) for row in rows],
        'checks': [check.row() for check in checks],
        'failed': statistics.failed_names(checks, [check.name for check in checks])}


def table_of(rows: list[TwoWayRow]) -> Table:
    """Return a line for each planner."""
    table = Table(title='evaluate maze2d, two_way: a block that can be passed on either side',
                  title_justify='left')
    for index, name in enumerate(COLUMNS):
        table.add_column(name, justify='left' if index == 0 else 'right')
    for planner in dict.fromkeys(row.planner for row in rows):
        mine = [row for row in rows if row.planner == planner]
        low = sum(row.drawn[0] for row in mine)
        drawn = low + sum(row.drawn[1] for row in mine)
        table.add_row(
            planner, f'{sum(min(row.drawn) > 0 for row in mine)}',
            f'{sum(row.side < 0 for row in mine)}', f'{low} of {drawn}',
            f'{sum(row.success for row in mine)}', f'{sum(row.switches for row in mine)}',
            f'{len(mine)}')
    return table


def checks_of(rows: list[TwoWayRow]) -> list[Check]:
    """Return the checks: both sides drawn and driven, no switch, success.

    Fewer episodes than `EPISODES` fail only where the whole interval is on the wrong side.
    """
    count, enough = len(rows), len(rows) >= EPISODES
    both = statistics.rate_check(
        'both_drawn', sum(min(row.drawn) > 0 for row in rows), count, at_least=LEAST_BOTH,
        decisive=enough)
    rarer = min(sum(row.side == side for row in rows) for side in (-1, 1))
    driven = statistics.rate_check(
        'rarer_side_driven', rarer, count, at_least=LEAST_SHARE, decisive=enough)
    kept = statistics.count_check(
        'switches', sum(row.switches for row in rows), count, at_most=0, decisive=enough)
    success = statistics.rate_check(
        'success', sum(row.success for row in rows), count, at_least=0.95, decisive=enough)
    return [both, driven, kept, success]
