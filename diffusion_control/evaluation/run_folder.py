# SPDX-License-Identifier: Apache-2.0
"""The folder of one run: names of its files, and the small writers of its text files."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from diffusion_control.errors import ConfigurationError

LATEST = 'latest'


@dataclass(frozen=True)
class RunFolder:
    """Paths of `runs/<utc>/` and what appends to its text files.

    Attributes:
        path: The folder.
    """

    path: Path

    @classmethod
    def create(cls, root: str | Path = 'runs', now: datetime | None = None) -> RunFolder:
        """Make a new folder named after the UTC time.

        `root/latest` keeps pointing to the last run that was finished (see `make_latest`).
        Two runs that begin in the same second get `-2`, `-3`, ... behind the time.

        Raises:
            ConfigurationError: The folder cannot be made.
        """
        root = Path(root)
        name = (now or datetime.now(UTC)).astimezone(UTC).strftime('%Y%m%dT%H%M%SZ')
        for count in range(1, 1000):
            path = root / (name if count == 1 else f'{name}-{count}')
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError as error:
                raise ConfigurationError(
                    f'the folder of the run cannot be made: {error.strerror}', where='--out',
                    value=str(path), allowed='a folder that may be written',
                    remedy='name another --out') from error
            return cls(path)
        raise ConfigurationError('too many runs in one second', where='--out', value=str(root))

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Return the folder of an existing run (a path, or a link such as `runs/latest`).

        Raises:
            ConfigurationError: There is no such folder.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise ConfigurationError(
                'there is no run folder', where='RUN_DIR', value=str(path),
                allowed='a folder such as runs/latest', remedy='run diffusion_control demo first')
        return cls(folder.resolve())

    @property
    def summary_json(self) -> Path:
        """The run in numbers."""
        return self.path / 'summary.json'

    @property
    def summary_png(self) -> Path:
        """The run in one picture."""
        return self.path / 'summary.png'

    @property
    def recording(self) -> Path:
        """All messages."""
        return self.path / 'run.mcap'

    @property
    def truth(self) -> Path:
        """The simulator's ground truth."""
        return self.path / 'truth.npz'

    @property
    def params_yaml(self) -> Path:
        """All parameters of all nodes."""
        return self.path / 'params.yaml'

    @property
    def plans_jsonl(self) -> Path:
        """One `planner/report` a line."""
        return self.path / 'plans.jsonl'

    @property
    def events_jsonl(self) -> Path:
        """One change of state a line."""
        return self.path / 'events.jsonl'

    @property
    def log_txt(self) -> Path:
        """What the processes printed."""
        return self.path / 'log.txt'

    def make_latest(self) -> None:
        """Point the link `latest` beside this folder to it, now that its run is finished.

        That is done atomically; where links are impossible, there is none.
        """
        temporary = self.path.parent / f'.{LATEST}.{os.getpid()}'
        try:
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(self.path.name, target_is_directory=True)
            temporary.replace(self.path.parent / LATEST)
        except OSError:
            temporary.unlink(missing_ok=True)

    def append_event(
        self, node: str, event: str, *, from_state: str | None = None,
        to_state: str | None = None, cause: str = '', action: str = '',
        t_steady_s: float | None = None,
    ) -> None:
        """Append one line to `events.jsonl`; the time is the steady clock's [s] unless given."""
        self._append(self.events_jsonl, {
            't_steady_s': time.monotonic() if t_steady_s is None else t_steady_s,
            'node': node, 'event': event, 'from': from_state, 'to': to_state,
            'cause': cause, 'action': action})

    def append_plan(self, report: Mapping[str, Any]) -> None:
        """Append one `planner/report` to `plans.jsonl`."""
        self._append(self.plans_jsonl, report)

    def append_log(self, text: str) -> None:
        """Append text to `log.txt`, ending with a newline."""
        with self.log_txt.open('a', encoding='utf-8') as stream:
            stream.write(text if text.endswith('\n') else text + '\n')

    def write_params(self, params: Mapping[str, Any]) -> None:
        """Write `params.yaml` (node -> ros__parameters -> name: value)."""
        self.params_yaml.write_text(
            yaml.safe_dump(json.loads(json.dumps(params)), sort_keys=False), encoding='utf-8')

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write `summary.json`; numbers that are not finite become null."""
        self.summary_json.write_text(
            json.dumps(finite(summary), indent=1, allow_nan=False) + '\n', encoding='utf-8')

    def _append(self, path: Path, values: Mapping[str, Any]) -> None:
        line = json.dumps(finite(values), allow_nan=False) + '\n'
        with path.open('a', encoding='utf-8') as stream:
            stream.write(line)


def finite(value: Any) -> Any:
    """Return plain JSON values: numpy scalars and arrays as Python's, NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if hasattr(value, 'tolist'):
        return finite(value.tolist())
    if isinstance(value, float):
        return value if abs(value) <= 1.7976931348623157e308 else None
    return value
