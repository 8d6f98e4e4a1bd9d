# SPDX-License-Identifier: Apache-2.0
"""Demonstrations on disk: numpy archives of some hundred motions each, and what made them.

    DIR/data.json            robot, joint names, seeds, expert, habit, commit
    DIR/part_SEED.npz        arrays of one part; written whole or not at all

Archives are read without pickle.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.learning.demonstration import Demonstration
from diffusion_control.robots.obstacles import ObstacleArrays
from diffusion_control.whole_file import written_whole

Array = NDArray[np.float64]
MOST_OBSTACLES = 16
DATA_FILE = 'data.json'
SCHEMA_VERSION = 1
BAG = 'bag'
DAMAGES = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Demonstrations:
    """N demonstrations as arrays; obstacles padded to `MOST_OBSTACLES` places k.

    Attributes:
        scene: Seed of each scene, shape [N].
        hard: Whether its tier is `hard`, shape [N].
        start: Shape [N, n] [rad].
        goal: Shape [N, n] [rad].
        free: Shape [N, F, n] [rad].
        duration: Shape [N] [s].
        count: Obstacles of each, shape [N].
        code: Shape [N, k].
        centre: Shape [N, k, 3] [m].
        rotation: Shape [N, k, 3, 3].
        half: Shape [N, k, 3] [m].
    """

    scene: NDArray[np.int64]
    hard: NDArray[np.bool_]
    start: Array
    goal: Array
    free: Array
    duration: Array
    count: NDArray[np.int64]
    code: NDArray[np.int64]
    centre: Array
    rotation: Array
    half: Array

    def __len__(self) -> int:
        return len(self.scene)

    def take(self, index: NDArray[Any]) -> Demonstrations:
        """Return those of the given indices or mask."""
        return Demonstrations(*(getattr(self, f.name)[index] for f in fields(self)))

    def obstacles(self, index: int) -> ObstacleArrays:
        """Return the obstacles of one demonstration, without the padding."""
        k = slice(0, int(self.count[index]))
        return ObstacleArrays(
            np.ascontiguousarray(self.code[index, k]), np.ascontiguousarray(self.centre[index, k]),
            np.ascontiguousarray(self.rotation[index, k]),
            np.ascontiguousarray(self.half[index, k]), np.zeros((k.stop, 3)),
            np.zeros(k.stop, dtype=np.bool_))


def stack(found: Sequence[Demonstration]) -> Demonstrations:
    """Return demonstrations as arrays."""
    count = np.array([len(d.question.obstacles.code) for d in found], dtype=np.int64)
    if len(found) == 0 or count.max() > MOST_OBSTACLES:
        raise ConfigurationError(
            'a part of a data set needs demonstrations with few obstacles', where='data set',
            value=0 if len(found) == 0 else int(count.max()),
            allowed=f'one demonstration or more, of 0 to {MOST_OBSTACLES} obstacles')

    def padded(name: str, like: Any) -> Any:
        out = np.zeros((len(found), MOST_OBSTACLES, *like.shape), dtype=like.dtype)
        for row, k, one in zip(out, count, found, strict=True):
            row[:k] = getattr(one.question.obstacles, name)
        return out

    return Demonstrations(
        np.array([d.question.scene for d in found], dtype=np.int64),
        np.array([d.question.tier == 'hard' for d in found]),
        np.array([d.question.start for d in found]), np.array([d.question.goal for d in found]),
        np.array([d.free for d in found]), np.array([d.duration_s for d in found]), count,
        padded('code', np.zeros((), dtype=np.int64)), padded('centre_m', np.zeros(3)),
        padded('rotation', np.eye(3)), padded('half_m', np.zeros(3)))


def write_part(folder: Path, name: str, part: Demonstrations) -> None:
    """Write one part; a half-written file is never left under its name."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f.name: getattr(part, f.name) for f in fields(part)}
    with written_whole(folder / f'{name}.npz') as waiting:
        np.savez_compressed(waiting, **{
            key: value.astype(np.float32) if value.dtype == np.float64 else value
            for key, value in arrays.items()})


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """Write what made a data set.

    Raises:
        ConfigurationError: The folder holds a data set that was made otherwise.
    """
    require_same(folder, about)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {'schema_version': SCHEMA_VERSION, **about}
    with written_whole(folder / DATA_FILE) as waiting:
        waiting.write_text(json.dumps(wanted, indent=2, sort_keys=True) + '\n', encoding='utf-8')


def require_same(folder: Path, about: dict[str, Any]) -> None:
    """Raise a ConfigurationError if a folder holds a data set that was made otherwise."""
    path, wanted = folder / DATA_FILE, {'schema_version': SCHEMA_VERSION, **about}
    if path.exists():
        kept = read_about(folder)
        differing = sorted(
            key for key in {*kept, *wanted} - {'commit', 'scenes', 'runs'}
            if kept.get(key) != wanted.get(key))
        if differing:
            raise ConfigurationError(
                'the folder holds a data set that was made otherwise', where=str(path),
                value={key: kept.get(key) for key in differing},
                allowed=str({key: wanted.get(key) for key in differing}),
                remedy='choose another --out, or remove the folder')


def read_about(folder: Path) -> dict[str, Any]:
    """Return what made a data set.

    Raises:
        ConfigurationError: There is none, or it is not readable.
    """
    path = folder / DATA_FILE
    try:
        about = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            'no data set', where=str(path), value=str(error), allowed=f'a folder with {DATA_FILE}',
            remedy='make one with `diffusion_control data generate`') from error
    if not isinstance(about, dict) or about.get('schema_version') != SCHEMA_VERSION:
        raise ConfigurationError(
            'a data set of another version', where=str(path), value=about,
            allowed=f'schema_version {SCHEMA_VERSION}', remedy='generate it again')
    return about


def read_parts(folder: Path) -> Demonstrations:
    """Return all demonstrations of a data set, ordered by part.

    Raises:
        ConfigurationError: There are none, or a part is damaged.
    """
    read_about(folder)
    parts = []
    for path in sorted(folder.glob('part_*.npz')):
        try:
            with np.load(path, allow_pickle=False) as archive:
                values = [archive[f.name] for f in fields(Demonstrations)]
            if len({len(value) for value in values}) != 1:
                raise ValueError('arrays of different lengths')
        except DAMAGES as error:
            raise ConfigurationError(
                'a damaged part of a data set', where=str(path),
                value=f'{type(error).__name__}: {error}',
                allowed='an archive that `data generate` wrote',
                remedy='remove it and run `data generate --resume`') from error
        parts.append([
            value.astype(np.float64) if value.dtype == np.float32 else value for value in values])
    if not parts:
        raise ConfigurationError(
            'a data set without demonstrations', where=str(folder), allowed='part_*.npz',
            remedy='run `diffusion_control data generate`')
    return Demonstrations(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
