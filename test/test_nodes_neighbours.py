# SPDX-License-Identifier: Apache-2.0
"""A ROS domain is one run's alone: what a run of the same user sees at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffusion_control.errors import ConfigurationError
from diffusion_control.nodes import neighbours
from diffusion_control.nodes.neighbours import alone_in_domain, held_domain

HOLD = ('import sys\n'
        'from diffusion_control.nodes.neighbours import held_domain\n'
        'with held_domain():\n'
        '    print("held", flush=True)\n'
        '    sys.stdin.read()\n')


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setenv('ROS_DOMAIN_ID', '149')
    monkeypatch.setattr(neighbours, 'LISTEN_S', 0.0)
    monkeypatch.setattr(neighbours, 'PROBES_S', 0.1)


def test_a_run_of_another_process_is_refused_until_it_ends(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    other = subprocess.Popen([sys.executable, '-c', HOLD], env=dict(os.environ), text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None and other.stdout.readline() == 'held\n'
    for entered in (alone_in_domain, held_domain):
        with pytest.raises(ConfigurationError, match='another run is in this ROS domain') as error:
            with entered():
                raise AssertionError('entered')
        assert error.value.value == '149, with a file that it holds'
    monkeypatch.setenv('ROS_DOMAIN_ID', '148')
    with held_domain():
        pass
    monkeypatch.setenv('ROS_DOMAIN_ID', '149')
    other.kill()
    other.communicate(timeout=10)
    with alone_in_domain(), held_domain():
        pass


def test_looking_around_does_not_keep_another_from_looking() -> None:
    with alone_in_domain(), alone_in_domain():
        pass


def test_a_home_that_cannot_be_written_keeps_nobody_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'file').write_text('no folder')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    with alone_in_domain(), held_domain():
        pass
