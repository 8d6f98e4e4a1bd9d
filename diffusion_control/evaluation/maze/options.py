# SPDX-License-Identifier: Apache-2.0
"""What `evaluate maze2d|pointmaze` can be told."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from diffusion_control import parameters
from diffusion_control.errors import ConfigurationError, require_known
from diffusion_control.evaluation.host import command_line
from diffusion_control.evaluation.maze.layouts import MAZES, SMALLEST
from diffusion_control.evaluation.row_store import contents
from diffusion_control.planners.models import model_if_any
from diffusion_control.planners.point_mass.specification import SPECIFICATIONS
from diffusion_control.robots.point_mass import PointMass

MAZE2D, POINTMAZE = 'maze2d', 'pointmaze'
TASKS = (MAZE2D, POINTMAZE)
EXPERT, STOP_AND_GO = 'expert', 'stop_and_go'
RANDOM, NEAREST, CLONING, UNTRAINED = (
    'random_controls', 'nearest_demonstration', 'behaviour_cloning', 'untrained')
SCRIPTED = (EXPERT, STOP_AND_GO, RANDOM, NEAREST, CLONING)
TRACKERS = ('pd', 'ideal')
TWO_WAY = 'two_way'
RANDOM_LAYOUT = re.compile(r'random:(\d+)x(\d+)')


@dataclass(frozen=True)
class MazeOptions:
    """What to evaluate.

    Attributes:
        task: `maze2d` or `pointmaze`.
        planner: The planner that is judged.
        episodes: Episodes of each layout.
        jobs: Processes side by side.
        resume: Keep the rows that `out` already has.
        layouts: Names, files, `random:ROWSxCOLUMNS` (a new maze every episode), or `two_way`
            alone (see `two_way`).
        goals: File of goal cells, `row col` a line; None = those of the task.
        horizon_steps: Length of an episode; None = the named layout's, or 4 x the expert's mean.
        ref_min: Return that scores 0; None = the named layout's.
        ref_max: Return that scores 100.
        multi: Draw the goal anew every episode.
        tracker: `pd`, or `ideal`: the mass is where the plan says.
        latency_ms: From the question to a plan's arrival [ms]; None = 1000 / planner.rate_hz. The
            first plan of an episode is there when it begins, as where the scores are published.
        open_loop: Plan once, at the beginning.
        move_goal_at: Step at which the goal moves; None = never.
        block_cell_at: Step at which a cell on the running plan is walled up; None = never.
        specification: Region that the planner is told to keep out of; '' = none.
        safety: A command filter keeps the specification, too.
        untrained: Run the judged planner with random weights, too.
        model: Model of the judged planner; '' = the shipped one.
        seed: Seed of the first episode.
        out: Folder of the results.
        peers: Planners beside the judged one and the expert; None = the usual ones.
        commit: Version of the code, for the result.
        command: Command line, for the result.
    """

    task: str = MAZE2D
    planner: str = 'astar'
    episodes: int = 100
    jobs: int = 1
    resume: bool = False
    layouts: tuple[str, ...] = ()
    goals: Path | None = None
    horizon_steps: int | None = None
    ref_min: float | None = None
    ref_max: float | None = None
    multi: bool = False
    tracker: str = ''
    latency_ms: float | None = None
    open_loop: bool = False
    move_goal_at: int | None = None
    block_cell_at: int | None = None
    specification: str = ''
    safety: bool = True
    untrained: bool = False
    model: str = ''
    seed: int = 0
    out: Path = Path('runs')
    peers: tuple[str, ...] | None = None
    commit: str = ''
    command: str = field(default_factory=command_line)

    def __post_init__(self) -> None:
        """Refuse what cannot be run.

        Raises:
            ConfigurationError: An unknown name, or options that exclude each other.
        """
        require_known('unknown tracker', '--tracker', self.tracker or TRACKERS[0], TRACKERS)
        if self.specification:
            require_known('unknown specification', '--specification', self.specification,
                          tuple(SPECIFICATIONS))
            self._require(self.names == ('large',) and self.task == MAZE2D, '--specification',
                          self.specification, 'evaluate maze2d --layout large',
                          'add --layout large: the regions lie on its ways')
        self._require((self.ref_min is None) == (self.ref_max is None), '--ref-min',
                      (self.ref_min, self.ref_max), 'both --ref-min and --ref-max, or neither')
        if self.ref_min is not None and self.ref_max is not None:
            self._require(self.ref_max > self.ref_min, '--ref-max', self.ref_max, '> --ref-min')
        if TWO_WAY in self.names:
            plain = not (self.multi or self.goals or self.changes or self.specification
                         or self.untrained or self.ideal)
            self._require(self.names == (TWO_WAY,) and self.task == MAZE2D and plain, '--layout',
                          TWO_WAY, 'evaluate maze2d with --planner, --peer, --episodes, --seed, '
                          '--model, --latency-ms, --open-loop alone')
            return
        for name in self.names:
            found = RANDOM_LAYOUT.fullmatch(name)
            if found:
                self._require(min(int(k) for k in found.groups()) >= SMALLEST, '--layout', name,
                              f'at least {SMALLEST} rows and columns')
            elif name not in MAZES:
                self._require_file(name)
        self._require(self.block_cell_at is None or self.task == MAZE2D, '--block-cell-at',
                      self.block_cell_at, 'evaluate maze2d')
        self._require(self.goals is None or not (self.specification or self.multi), '--goals',
                      str(self.goals), '--goals beside neither --multi nor --specification')

    def _require_file(self, name: str) -> None:
        """Refuse a layout that is no name, unless it is a file and the task takes one."""
        allowed = ', '.join((*MAZES, 'random:RxC'))
        if self.task == MAZE2D:
            allowed += f', {TWO_WAY}, or an existing file of # O G'
        if self.task == POINTMAZE or not Path(name).is_file():
            raise ConfigurationError(
                'unknown layout', where='--layout', value=name, allowed=allowed)

    def _require(
        self, good: bool, where: str, value: Any, allowed: str, remedy: str = ''
    ) -> None:
        if not good:
            raise ConfigurationError(
                'this cannot be evaluated', where=where, value=value, allowed=allowed,
                remedy=remedy)

    @property
    def names(self) -> tuple[str, ...]:
        """The layouts."""
        return tuple(dict.fromkeys(self.layouts)) or tuple(MAZES)

    @property
    def named(self) -> bool:
        """Whether all three named layouts are run, and nothing else."""
        return set(self.names) == set(MAZES)

    @property
    def ideal(self) -> bool:
        """Whether the mass is where its plan says."""
        return self.tracker == 'ideal'

    @property
    def changes(self) -> bool:
        """Whether something happens in mid-episode."""
        return self.move_goal_at is not None or self.block_cell_at is not None

    @property
    def latency_s(self) -> float:
        """From the question to a plan's arrival [s]."""
        if self.latency_ms is not None:
            return self.latency_ms / 1000.0
        return self.replan_s

    @property
    def replan_s(self) -> float:
        """From one question to the next [s]."""
        rate = parameters.defaults('planner')['rate_hz']
        assert isinstance(rate, float)
        return 1.0 / rate

    def planners(self, layout: str) -> tuple[str, ...]:
        """Return the expert, the judged planner and its peers in a layout.

        What knows the demonstrations of one maze has none in a maze that is new every episode.
        """
        usual: tuple[str, ...] = (RANDOM, NEAREST, CLONING, STOP_AND_GO, 'straight_line')
        if self.peers is None and (RANDOM_LAYOUT.fullmatch(layout) or self.specification):
            usual = (RANDOM, STOP_AND_GO, 'straight_line')
        random = (UNTRAINED,) if self.untrained else ()
        return tuple(dict.fromkeys(
            (EXPERT, self.planner, *random, *(usual if self.peers is None else self.peers))))

    def settings(self) -> dict[str, Any]:
        """Return everything that rows depend on, for JSON."""
        free = ('jobs', 'resume', 'out', 'episodes', 'commit', 'command', 'peers', 'untrained',
                'ref_min', 'ref_max')
        values = {key: value for key, value in asdict(self).items() if key not in free}
        return {**values, 'goals': None if self.goals is None else str(self.goals),
                'layouts': list(self.names), 'latency_ms': 1000.0 * self.latency_s,
                'contents': contents((
                    *self.names, self.goals, model_if_any(self.model, PointMass())))}
