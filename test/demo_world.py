# SPDX-License-Identifier: Apache-2.0
"""Run the demo as a user would, in a domain of its own, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusion_control.middleware import local_environment

CODE = 'import sys; from diffusion_control import cli; sys.exit(cli.run(sys.argv[1:]))'
PATIENCE_S = 240


@dataclass(frozen=True)
class DemoRun:
    """A finished demo: exit code, what it printed, and its summary (None without one)."""

    exit_code: int
    stdout: str
    stderr: str
    summary: dict[str, Any] | None
    folder: Path

    @property
    def events(self) -> list[dict[str, Any]]:
        """What the run's folder says happened, in order."""
        lines = (self.folder / 'events.jsonl').read_text().splitlines()
        return [json.loads(line) for line in lines]

    @property
    def text(self) -> str:
        """Everything that was printed."""
        return self.stdout + self.stderr


def environment(domain_id: int) -> dict[str, str]:
    """Return an environment with its own domain that stays on this machine."""
    return {**os.environ, **local_environment(), 'ROS_DOMAIN_ID': str(domain_id)}


def run_demo(out: Path, domain_id: int, *arguments: str) -> DemoRun:
    """Run `diffusion_control demo` to its end."""
    done = subprocess.run(
        [sys.executable, '-c', CODE, 'demo', '--headless', '--out', str(out), *arguments],
        env=environment(domain_id), capture_output=True, text=True, timeout=PATIENCE_S)
    folder = out / 'latest'
    file = folder / 'summary.json'
    summary = json.loads(file.read_text()) if file.is_file() else None
    return DemoRun(done.returncode, done.stdout, done.stderr, summary, folder)


@contextmanager
def running_demo(out: Path, domain_id: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Keep a demo running beside the test; it is interrupted at the end."""
    process = subprocess.Popen(
        [sys.executable, '-c', CODE, 'demo', '--headless', '--out', str(out), *arguments],
        env=environment(domain_id), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def violations(summary: dict[str, Any]) -> dict[str, int]:
    """Return the violations that count (contacts at rest do not), those above 0 only."""
    return {name: count for name, count in summary['violations'].items()
            if count and name != 'contacts_at_rest'}


def harm(summary: dict[str, Any]) -> dict[str, int]:
    """Return the violations that no late message can cause: contacts and position limits.

    A receiver of single samples turns every late tick into a short change of speed, and one of
    trajectories steps to a braking motion that comes 20 ms late, so that the other counts depend
    on how busy the machine is.
    """
    kinds = ('position', 'self_or_wall', 'contact_moving')
    return {name: count for name, count in violations(summary).items() if name in kinds}


def node_processes(domain_id: int) -> list[int]:
    """Return the processes of this package's nodes that run in a domain."""
    found = []
    wanted = f'ROS_DOMAIN_ID={domain_id}'.encode()
    for entry in Path('/proc').iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / 'cmdline').read_bytes()
            surroundings = (entry / 'environ').read_bytes().split(b'\0')
        except OSError:
            continue
        if b'diffusion_control.nodes' in command and wanted in surroundings:
            found.append(int(entry.name))
    return found
