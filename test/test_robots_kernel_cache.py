# SPDX-License-Identifier: Apache-2.0
"""Machine code on disk belongs to the program that runs, also after an update of a part of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diffusion_control.robots import kernel_cache

CALLEE = """
from diffusion_control.constants import {constant}
from diffusion_control.robots.jit import kernel

@kernel()
def callee(x):
    return {result}
"""
CALLER = """
from diffusion_control import callee as other
from diffusion_control.robots.jit import kernel

callee = other.callee

@kernel()
def caller(x):
    return callee(x) + 1.0
"""
RUN = """
from diffusion_control.caller import caller
value = caller(1.0)
print(value, sum(caller.stats.cache_hits.values()))
"""


class Program:
    """A package of the same name with two kernels, as small as can be."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.package = folder, folder / 'diffusion_control'
        robots = self.package / 'robots'
        robots.mkdir(parents=True)
        for empty in (self.package, robots):
            (empty / '__init__.py').write_text('')
        for name in ('jit.py', 'kernel_cache.py'):
            shutil.copy(kernel_cache.PACKAGE / 'robots' / name, robots / name)
        self.write('constants', 'HALF = 0.5\n')
        self.write('callee', CALLEE.format(constant='HALF', result='x * HALF'))
        self.write('caller', CALLER)

    def write(self, name: str, content: str) -> None:
        (self.package / f'{name}.py').write_text(content)

    def run(self, **more: str) -> tuple[float, int]:
        """Return the caller's result and how often it was found compiled."""
        done = subprocess.run(
            [sys.executable, '-c', RUN], capture_output=True, text=True, timeout=240, check=True,
            cwd=self.folder, env={**os.environ, 'PYTHONPATH': str(self.folder),
                                  'PYTHONSAFEPATH': '1', **more})
        value, hits = done.stdout.split()
        return float(value), int(hits)


def test_an_update_of_a_callee_or_of_a_constant_reaches_its_callers(tmp_path: Path) -> None:
    """Numba alone goes on with the old callee as long as the caller's own file is the same."""
    program = Program(tmp_path)
    own = {'NUMBA_CACHE_DIR': str(tmp_path / 'cache')}
    assert program.run(**own) == (1.5, 0)
    assert program.run(**own) == (1.5, 1), 'compiled once'
    program.write('callee', CALLEE.format(constant='HALF', result='x * HALF + 10.0'))
    assert program.run(**own) == (11.5, 0)
    program.write('constants', 'HALF = 0.25\n')
    assert program.run(**own) == (11.25, 0)
    assert program.run(**own) == (11.25, 1)


def test_machine_code_lies_beside_the_file_or_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / 'part.py'
    source.write_text('from diffusion_control.robots.jit import kernel\n')
    monkeypatch.setattr(kernel_cache.CONFIG, 'CACHE_DIR', '')
    assert Path(kernel_cache.folder_of(source)).parent == tmp_path / '__pycache__'
    monkeypatch.setattr(kernel_cache.os, 'access', lambda *_: False)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'home'))
    assert Path(kernel_cache.folder_of(source)).parent == tmp_path / 'home' / 'diffusion_control'


def test_parts_of_a_kernel_are_found_in_every_form_of_import() -> None:
    inside = kernel_cache.PACKAGE / 'planners' / 'base'
    parts = kernel_cache._made_of(inside / 'pursuit.py')
    assert {inside / 'mover_room.py', kernel_cache.PACKAGE / 'planners' / 'world.py',
            kernel_cache.PACKAGE / 'robots' / 'base_distance.py'} <= parts
