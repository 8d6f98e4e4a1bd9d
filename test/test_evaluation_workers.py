# SPDX-License-Identifier: Apache-2.0
"""Processes side by side end with the one that began them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from diffusion_control.evaluation.workers import run_tasks

PARENT = """
from test_evaluation_workers import wait_beside
from diffusion_control.evaluation.workers import run_tasks
if __name__ == '__main__':
    list(run_tasks(wait_beside, [{folder!r}] * 3, 2, 'wait', 'tasks'))
"""


def wait_beside(folder: str) -> None:
    """Say which process this is, and wait for longer than the test lasts."""
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600.0)


def squared(number: int) -> tuple[int, int]:
    """Return a number and its square."""
    return number, number * number


def test_results_are_the_same_by_any_number_of_jobs():
    """Every task is done once, here as in other processes."""
    one, two = (dict(run_tasks(squared, range(7), jobs, 'square', 'numbers')) for jobs in (1, 2))
    assert one == two == {number: number * number for number in range(7)}


def test_workers_end_when_their_parent_is_killed(tmp_path):
    """Even a parent that can close nothing down leaves no process behind."""
    script = tmp_path / 'parent.py'
    script.write_text(PARENT.format(folder=str(tmp_path / 'pids')))
    (tmp_path / 'pids').mkdir()
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(
        [str(Path(__file__).parent), str(Path(__file__).parent.parent),
         os.environ.get('PYTHONPATH', '')]))
    parent = subprocess.Popen([sys.executable, str(script)], env=environment)
    try:
        wait_for(lambda: len(list((tmp_path / 'pids').iterdir())) == 2)
        workers = [psutil.Process(int(file.name)) for file in (tmp_path / 'pids').iterdir()]
    finally:
        parent.kill()
        parent.wait()
    gone, alive = psutil.wait_procs(workers, timeout=60.0)
    for process in alive:
        process.kill()
    assert len(gone) == 2 and not alive


def wait_for(condition, most_s=120.0):
    """Wait until a condition holds; fail after a long time."""
    until = time.monotonic() + most_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
