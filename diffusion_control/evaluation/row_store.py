# SPDX-License-Identifier: Apache-2.0
"""Rows of a long run on disk, one JSON object a line, so that an interrupted run can go on."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import IO, Any

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.host import commit_of_code
from diffusion_control.evaluation.run_folder import finite
from diffusion_control.inference.card import CARD_FILE
from diffusion_control.inference.card_seal import digest
from diffusion_control.whole_file import locked, written_whole

ROWS, SETTINGS, RESULT, COMMITS = 'rows.jsonl', 'settings.json', 'result.json', 'commits.json'
LOCK = '.lock'
Row = dict[str, Any]


def read_rows(file: Path) -> list[Row]:
    """Return the rows of a file, none without one; a line that was cut off is dropped."""
    rows: list[Row] = []
    for line in file.read_text(encoding='utf-8').splitlines() if file.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def append_rows(file: Path, rows: Iterable[Row]) -> None:
    """Append rows to a file, so that they survive whatever comes."""
    with file.open('a', encoding='utf-8') as stream:
        for row in rows:
            stream.write(json.dumps(finite(row), allow_nan=False) + '\n')


class RowFile:
    """Rows of a benchmark or of `faults` in one file, each with what it was made with.

    Args:
        file: Its rows are kept and gone on with; None keeps nothing.
        asked: What rows depend on.

    Raises:
        ConfigurationError: The file has rows of other settings.
    """

    def __init__(self, file: Path | None, asked: Row) -> None:
        self._file, self._asked = file, json.loads(json.dumps(asked, default=str))
        self.rows = [] if file is None else read_rows(file)
        for row in self.rows:
            if row.get('asked') != self._asked:
                raise ConfigurationError(
                    'the rows to go on with have other settings', where=str(file),
                    value=row.get('asked'), allowed=str(self._asked),
                    remedy='begin anew, or name another place')

    def add(self, rows: Iterable[Row]) -> None:
        """Keep rows."""
        new = [{**row, 'asked': self._asked} for row in rows]
        self.rows += new
        if self._file is not None:
            append_rows(self._file, new)


def contents(names: Iterable[object]) -> dict[str, str]:
    """Return the sha256 of those names that are files, or folders with a model card.

    Of a card without its score: what was measured of a model makes no other model of it.
    """
    found = {}
    for name in names:
        path = Path(str(name)) if name else Path()
        file = path / CARD_FILE if path.is_dir() else path
        if file.is_file():
            found[str(name)] = _unscored(file.read_bytes())
    return found


def _unscored(data: bytes) -> str:
    """Return the sha256 of a file, or of a card's other keys."""
    try:
        table = json.loads(data)
    except ValueError:
        table = None
    if not isinstance(table, dict) or 'score' not in table:
        return hashlib.sha256(data).hexdigest()
    return digest({key: value for key, value in table.items() if key != 'score'})


def _held(folder: Path) -> IO[str]:
    """Return a file that is this run's alone for as long as it is open.

    Raises:
        ConfigurationError: Another run has it.
    """
    file = (folder / LOCK).open('w', encoding='utf-8')
    if not locked(file):
        file.close()
        raise ConfigurationError(
            'another run is writing its rows there', where='--out', value=str(folder),
            allowed='a folder that no other run has', remedy='wait for it, or name another --out')
    return file


class RowStore:
    """The rows of one folder by their key.

    Args:
        folder: Made if it is not there; `commits.json` in it names the code that made its rows.
        settings: Everything that rows depend on; rows of other settings are not resumed.
        resume: Keep the rows that are there.
        key: Names a row.

    Raises:
        ConfigurationError: The folder cannot be written, its rows have other settings, or another
            run is writing there.
    """

    def __init__(
        self, folder: Path, settings: Row, *, resume: bool, key: Callable[[Row], Hashable]
    ) -> None:
        self.folder, self._key = folder, key
        self.rows: dict[Hashable, Row] = {}
        text = json.dumps(settings, indent=1, sort_keys=True) + '\n'
        self._prepare(text, resume)
        if resume:
            self._read()
        self._name_commit()

    def add(self, rows: Iterable[Row]) -> None:
        """Append rows, see `append_rows`."""
        added = list(rows)
        append_rows(self.folder / ROWS, added)
        self.rows |= {self._key(row): row for row in added}

    def write_result(self, result: Row) -> None:
        """Write the result beside the rows, say where, and leave the folder to others."""
        (self.folder / RESULT).write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')
        self._lock.close()
        print(f'written: {self.folder}')

    def _prepare(self, settings: str, resume: bool) -> None:
        file = self.folder / SETTINGS
        before = file.read_text(encoding='utf-8') if resume and file.exists() else settings
        if before != settings:
            raise ConfigurationError(
                'the rows to resume have other settings', where=str(file),
                value=_difference(before, settings), allowed='the same settings as before',
                remedy='leave out --resume, or name another --out')
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _held(self.folder)
            file.write_text(settings, encoding='utf-8')
            if not resume:
                (self.folder / ROWS).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f'the folder of the results cannot be written: {error.strerror}', where='--out',
                value=str(self.folder), allowed='a folder that may be written',
                remedy='name another --out') from error

    def _name_commit(self) -> None:
        """Note which code adds rows now, and say so if that is not what made those kept."""
        file, now = self.folder / COMMITS, commit_of_code()
        known = json.loads(file.read_text(encoding='utf-8')) if self.rows and file.exists() else []
        if known and known[-1] != now:
            print(f'--resume keeps {len(self.rows)} rows made at {", ".join(known)}; those added '
                  f'are of {now}', file=sys.stderr)
        commits = [*known, now] if now not in known[-1:] else known
        with written_whole(file) as waiting:
            waiting.write_text(json.dumps(commits) + '\n', encoding='utf-8')

    def _read(self) -> None:
        """Take over the rows; a line that was cut off by an interruption is dropped."""
        file = self.folder / ROWS
        if not file.exists():
            return
        self.rows |= {self._key(row): row for row in read_rows(file)}
        file.write_text(
            ''.join(json.dumps(row) + '\n' for row in self.rows.values()), encoding='utf-8')


def _difference(before: str, now: str) -> str:
    """Return the settings that differ, as `name: before -> now`."""
    try:
        old, new = json.loads(before), json.loads(now)
        files = old.get('contents') or {}, new.get('contents') or {}
        changed = [name for name in files[1] if files[0].get(name, '') != files[1][name]]
        if changed:
            return f'contents of {", ".join(changed)}'
        return '; '.join(f'{key}: {old.get(key)} -> {new.get(key)}'
                         for key in sorted({*old, *new}) if old.get(key) != new.get(key))
    except (json.JSONDecodeError, AttributeError):
        return 'unreadable settings'
