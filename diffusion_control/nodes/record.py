# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control record`: the recorder node in this process, for a time or until Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from mcap.reader import make_reader

from diffusion_control.demo.options import RecordOptions
from diffusion_control.errors import DiffusionControlError
from diffusion_control.evaluation.run_folder import RunFolder
from diffusion_control.nodes.control_node import run
from diffusion_control.nodes.recorder import RecorderNode


class _Timed(RecorderNode):
    """A recorder that starts a timer once it records."""

    def __init__(self, timer: threading.Timer | None) -> None:
        super().__init__()
        self._timer = timer

    def activate(self) -> None:
        """Begin to write."""
        super().activate()
        if self._timer is not None:
            self._timer.start()


def record(options: RecordOptions) -> dict[str, Any]:
    """Write `run.mcap` into a new run folder and return its path and message counts.

    Raises:
        DiffusionControlError: The recorder refused to start (it has said why).
    """
    folder = RunFolder.create(options.out)
    timer = threading.Timer(options.duration_s or 0.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    kept = {number: signal.getsignal(number)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        made = partial(_Timed, None if options.duration_s is None else timer)
        code = run('recorder', made, list(_arguments(options, folder.path)))
    finally:
        timer.cancel()
        rclpy.try_shutdown()
        for number, handler in kept.items():
            signal.signal(number, handler)
    if code:
        error = DiffusionControlError('nothing was recorded', where='recorder')
        error.exit_code = code
        raise error
    folder.make_latest()
    return {'file': str(folder.recording), 'messages': counts(folder.recording)}


def _arguments(options: RecordOptions, folder: Path) -> Iterator[str]:
    """Yield the command line of the recorder node."""
    yield from ('--ros-args', '-p', f'out:={folder}', '-p', f'robot:={options.robot_config}')
    if options.topics:
        yield from ('-p', f'topics:=[{", ".join(options.topics)}]')
    if options.namespace:
        yield from ('-r', f'__ns:=/{options.namespace.strip("/")}')


def counts(path: Path) -> dict[str, int]:
    """Return how many messages of each topic an MCAP file holds."""
    with path.open('rb') as stream:
        summary = make_reader(stream).get_summary()
    if summary is None or summary.statistics is None:
        return {}
    numbers = summary.statistics.channel_message_counts
    return {
        channel.topic: numbers[number] for number, channel in summary.channels.items()
        if numbers.get(number)}
