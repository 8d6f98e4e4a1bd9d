# SPDX-License-Identifier: Apache-2.0
"""What every bench is asked, and how its rows are made: times alone, the rest side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from diffusion_control.evaluation.host import command_line
from diffusion_control.evaluation.row_store import RowStore, contents
from diffusion_control.evaluation.workers import run_tasks

Task = TypeVar('Task')


@dataclass(frozen=True)
class BenchOptions:
    """What to run.

    Attributes:
        robot_config: Name in config/robots, or a file.
        quick: Less of everything, in under three minutes.
        resume: Keep the rows that `out` already has.
        jobs: Processes side by side; times are always taken by one alone.
        episodes: Episodes of each closed loop instead of the usual number.
        seed: Of the first episode.
        out: Folder of the results.
        commit: Version of the code, for the result.
        command: Command line, for the result.
    """

    robot_config: str = 'panda'
    quick: bool = False
    resume: bool = False
    jobs: int = 1
    episodes: int | None = None
    seed: int = 0
    out: Path = Path('runs')
    commit: str = ''
    command: str = field(default_factory=command_line)

    def settings(self) -> dict[str, Any]:
        """Return what rows depend on, for JSON; a bench adds its own."""
        return {'robot_config': self.robot_config, 'seed': self.seed,
                'contents': contents((self.robot_config,))}


def make_rows(
    store: RowStore, run: Callable[[Task], dict[str, Any]], tasks: Sequence[Task],
    alone: Callable[[Task], bool], *, jobs: int, label: str, unit: str,
) -> None:
    """Make the rows of tasks and keep each as it comes.

    Args:
        store: Where they are kept.
        run: Returns the row of a task; can be pickled.
        tasks: Those that are left.
        alone: Says of a task that nothing may run beside it.
        jobs: Processes for the others.
        label: Begins the line of progress.
        unit: What rows are called in it.
    """
    timed = [task for task in tasks if alone(task)]
    others = [task for task in tasks if not alone(task)]
    for some, processes in ((timed, 1), (others, jobs)):
        for row in run_tasks(run, some, processes, label, unit):
            store.add([row])
