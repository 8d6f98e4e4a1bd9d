# SPDX-License-Identifier: Apache-2.0
"""The ground truth of a run at 1 kHz, in bounded memory, as `truth.npz`."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.simulation.contacts import Onset

Array = NDArray[Any]
CHUNK_ROWS = 1000
PARTS = 'truth.parts'
ONSET_TYPE = np.dtype([
    ('time_s', 'f8'), ('body_a', 'U64'), ('body_b', 'U64'), ('kind', 'U16'), ('depth_m', 'f8')])


@dataclass(frozen=True)
class Column:
    """One array of the truth: its name, its numbers' type, the shape of a row."""

    name: str
    dtype: str
    shape: tuple[int, ...]


def columns(
    joints: int, obstacles: int, drives: int | None = None, command: int | None = None
) -> tuple[Column, ...]:
    """Return the arrays that are recorded, one row each millisecond.

    `tau_demand` and `cmd` are as wide as `drives` and `command` say, else one each joint.
    `contacts` has two columns: penetrating pairs robot-obstacle, robot-robot or robot-floor.
    `obstacles` holds x, y, z and the bounding radius. `exempt` marks the simulator's own freezes.
    """
    widths = {'q': joints, 'dq': joints, 'ddq': joints, 'tau_demand': drives or joints,
              'cmd': command or joints}
    per_joint = [Column(name, '<f8', (width,)) for name, width in widths.items()]
    return (
        Column('t_s', '<f8', ()), *per_joint, Column('contacts', '<i2', (2,)),
        Column('point_speed_max_m_s', '<f4', ()), Column('distance_min_m', '<f4', ()),
        Column('obstacles', '<f4', (obstacles, 4)), Column('exempt', '|b1', ()))


class TruthRecorder:
    """Collect rows; with a folder, append them to one raw file per array, in chunks.

    `close` merges the raw files into `truth.npz` (written beside and renamed, so that it is whole
    or absent). What a killed process left behind is merged by `merge`.

    Args:
        folder: Folder of the run; None keeps everything in memory (see `arrays`).
        joint_names: In the order of the columns.
        obstacles: Number of obstacles.
        drives: Width of `tau_demand`, None for one each joint.
        command: Width of `cmd`, likewise.
    """

    def __init__(
        self, folder: str | Path | None, joint_names: tuple[str, ...], obstacles: int,
        drives: int | None = None, command: int | None = None,
    ) -> None:
        self.columns = columns(len(joint_names), obstacles, drives, command)
        self.joint_names = joint_names
        self._folder = None if folder is None else Path(folder)
        self._chunks: list[dict[str, Array]] = []
        self.buffers = self._new_buffers()
        self._row = 0
        first: Any = tuple(np.zeros(c.shape) for c in self.columns[1:6])
        self.write(  # compiles the kernel, which no loop has time for
            0.0, first, (0, 0), 0.0, 0.0, False, np.zeros((obstacles, 3)), np.zeros(obstacles))
        self._row = 0
        self._files: dict[str, IO[bytes]] = {}
        self._onsets: list[Onset] = []
        self._closed = False
        if self._folder is not None:
            self._open(self._folder / PARTS)

    @classmethod
    def of(
        cls, record: bool | str | Path, joint_names: tuple[str, ...], obstacles: int,
        drives: int | None = None, command: int | None = None,
    ) -> TruthRecorder | None:
        """Return a recorder into a folder, into memory (True), or none (False)."""
        if record is False:
            return None
        folder = None if record is True else record
        return cls(folder, joint_names, obstacles, drives, command)

    def write(
        self, t_s: float, joints: tuple[Array, Array, Array, Array, Array],
        contacts: tuple[int, int], speed_m_s: float, distance_m: float, exempt: bool,
        centre_m: Array, radius_m: Array,
    ) -> None:
        """Append one row.

        Args:
            t_s: `t_s`.
            joints: `q`, `dq`, `ddq`, `tau_demand`, `cmd`.
            contacts: `contacts`.
            speed_m_s: `point_speed_max_m_s`.
            distance_m: `distance_min_m`.
            exempt: `exempt`.
            centre_m: Centres of the obstacles, shape [k, 3].
            radius_m: Their bounding radii, shape [k].
        """
        if self._row == CHUNK_ROWS:
            self._flush()
        row: tuple[Any, ...] = (
            self._row, *self.buffers.values(), t_s, *joints, *contacts, speed_m_s, distance_m,
            exempt, centre_m, radius_m)
        _write(*row)
        self._row += 1

    def add_onsets(self, onsets: Sequence[Onset]) -> None:
        """Keep the contacts that began."""
        self._onsets.extend(onsets)
        if self._folder is not None:
            with (self._folder / PARTS / 'onsets.jsonl').open('a', encoding='utf-8') as stream:
                stream.writelines(json.dumps(onset) + '\n' for onset in onsets)

    def arrays(self) -> dict[str, Array]:
        """Return all that was recorded in memory, keys and shapes as in `truth.npz`."""
        parts = [*self._chunks, {k: b[:self._row] for k, b in self.buffers.items()}]
        merged = {c.name: np.concatenate([part[c.name] for part in parts]) for c in self.columns}
        return {**merged, **_tables(self._onsets, self.joint_names)}

    def clear(self) -> None:
        """Forget everything that was recorded, in memory and in the raw files."""
        self._chunks.clear()
        self._onsets.clear()
        self._row = 0
        if self._folder is not None and not self._closed:
            for stream in self._files.values():
                stream.close()
            self._open(self._folder / PARTS)

    def close(self) -> Path | None:
        """Write `truth.npz`; return its path. Later calls do nothing."""
        if self._folder is None or self._closed:
            return None
        self._closed = True
        self._flush()
        for stream in self._files.values():
            stream.close()
        return merge(self._folder)

    def _new_buffers(self) -> dict[str, Array]:
        return {c.name: np.zeros((CHUNK_ROWS, *c.shape), c.dtype) for c in self.columns}

    def _flush(self) -> None:
        """Hand the filled rows over to the files, or to memory."""
        if self._folder is None:
            self._chunks.append(self.buffers)
            self.buffers = self._new_buffers()
        else:
            for column in self.columns:
                self._files[column.name].write(self.buffers[column.name][:self._row].data)
        self._row = 0

    def _open(self, parts: Path) -> None:
        """Make the folder of raw files, and say in it what they hold."""
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        layout = {'joint_names': list(self.joint_names),
                  'columns': [[c.name, c.dtype, list(c.shape)] for c in self.columns]}
        (parts / 'layout.json').write_text(json.dumps(layout), encoding='utf-8')
        (parts / 'onsets.jsonl').touch()
        for column in self.columns:
            self._files[column.name] = (parts / f'{column.name}.raw').open('wb', buffering=0)


@kernel()
def _write(
    row: int, times: Array, position: Array, velocity: Array, acceleration: Array, demand: Array,
    command: Array, contacts: Array, speed: Array, distance: Array, obstacles: Array,
    exempt: Array, t_s: float, q: Array, dq: Array, ddq: Array, tau: Array, cmd: Array,
    touched: int, hit: int, speed_m_s: float, distance_m: float, is_exempt: bool,
    centre_m: Array, radius_m: Array,
) -> None:
    """Put one row into the buffers, which come first; one call costs less than eleven do."""
    times[row] = t_s
    for k in range(q.shape[0]):
        position[row, k], velocity[row, k], acceleration[row, k] = q[k], dq[k], ddq[k]
    for k in range(tau.shape[0]):
        demand[row, k] = tau[k]
    for k in range(cmd.shape[0]):
        command[row, k] = cmd[k]
    contacts[row, 0], contacts[row, 1] = touched, hit
    speed[row], distance[row] = speed_m_s, distance_m
    for k in range(centre_m.shape[0]):
        for axis in range(3):
            obstacles[row, k, axis] = centre_m[k, axis]
        obstacles[row, k, 3] = radius_m[k]
    exempt[row] = is_exempt


def merge(folder: str | Path) -> Path | None:
    """Turn the raw files below a run's folder into its `truth.npz`; None if there are none.

    Every array is cut to the rows that all of them have; nothing is held in memory whole.
    """
    folder = Path(folder)
    parts = folder / PARTS
    if not (parts / 'layout.json').is_file():
        return None
    layout = json.loads((parts / 'layout.json').read_text(encoding='utf-8'))
    shapes = [Column(name, dtype, tuple(shape)) for name, dtype, shape in layout['columns']]
    sizes = {c.name: np.dtype(c.dtype).itemsize * int(np.prod(c.shape)) for c in shapes}
    rows = min(
        ((parts / f'{c.name}.raw').stat().st_size // sizes[c.name]
         for c in shapes if sizes[c.name]), default=0)
    temporary = folder / 'truth.npz.tmp'
    with zipfile.ZipFile(temporary, 'w', allowZip64=True) as archive:
        for column in shapes:
            with archive.open(f'{column.name}.npy', 'w', force_zip64=True) as target:
                np.lib.format.write_array_header_1_0(target, {
                    'descr': column.dtype, 'fortran_order': False,
                    'shape': (rows, *column.shape)})
                with (parts / f'{column.name}.raw').open('rb') as source:
                    _copy(source, target, rows * sizes[column.name])
        onsets = _read_onsets(parts / 'onsets.jsonl')
        for name, table in _tables(onsets, tuple(layout['joint_names'])).items():
            with archive.open(f'{name}.npy', 'w') as target:
                np.lib.format.write_array(target, table, allow_pickle=False)
    os.replace(temporary, folder / 'truth.npz')
    shutil.rmtree(parts, ignore_errors=True)
    return folder / 'truth.npz'


def _tables(onsets: Sequence[Onset], joint_names: tuple[str, ...]) -> dict[str, Array]:
    """Return the arrays that do not have a row per millisecond."""
    return {'contact_pairs': np.array([tuple(onset) for onset in onsets], dtype=ONSET_TYPE),
            'joint_names': np.array(joint_names)}


def _read_onsets(path: Path) -> list[Onset]:
    """Return the onsets of a file whose last line may be cut off."""
    onsets = []
    for line in path.read_text(encoding='utf-8').splitlines():
        try:
            onsets.append(Onset(*json.loads(line)))
        except json.JSONDecodeError:
            break
    return onsets


def _copy(source: IO[bytes], target: IO[bytes], count: int) -> None:
    """Copy the first `count` bytes in blocks of a megabyte."""
    while count > 0:
        block = source.read(min(count, 1 << 20))
        target.write(block)
        count -= len(block)
