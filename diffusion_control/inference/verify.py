# SPDX-License-Identifier: Apache-2.0
"""Verify a model's folder before anything in it is opened.

Every file is read once, hashed, and handed on as these bytes: what was verified is what runs,
also when the file changes in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from diffusion_control.errors import ConfigurationError
from diffusion_control.inference.card import CARD_FILE, MODEL_FILE, ModelCard, parse
from diffusion_control.inference.card_json import LARGEST_CARD_BYTES
from diffusion_control.inference.onnx_file import refuse_external_data


@dataclass(frozen=True)
class VerifiedModel:
    """A folder whose files are what its card says.

    Attributes:
        folder: Where it lies.
        card: The checked card.
        contents: The bytes of `model.onnx` and of every file that the card names.
    """

    folder: Path
    card: ModelCard
    contents: Mapping[str, bytes]

    @property
    def model(self) -> bytes:
        """Return the bytes of `model.onnx`."""
        return self.contents[MODEL_FILE]

    @property
    def model_path(self) -> str:
        """Return the path of `model.onnx`, for messages."""
        return str(self.folder / MODEL_FILE)


def verify(model_dir: str | Path) -> VerifiedModel:
    """Return a model whose card, hashes and file names are in order.

    Links are followed only to the folder that the card really lies in (so a folder of links, as
    `colcon build --symlink-install` makes it, is fine).

    Args:
        model_dir: Folder with `card.json` and `model.onnx`.

    Raises:
        ConfigurationError: A file is missing, leads out of the folder, or has another hash than
            the card says; the card is malformed; the model keeps data in other files.
    """
    folder = Path(model_dir)
    card_path = folder / CARD_FILE
    home = _resolved(card_path).parent
    card = parse(_read(card_path, home, limit=LARGEST_CARD_BYTES + 1), str(card_path))
    contents = {}
    for name, expected in {MODEL_FILE: card.sha256, **card.files}.items():
        data = _read(folder / name, home)
        actual = hashlib.sha256(data).hexdigest()
        if actual != expected:
            raise ConfigurationError(
                f'{name} is not the file of its card (corrupted, truncated or swapped)',
                where=str(folder / name), value=f'{actual} ({len(data)} bytes)',
                allowed=f'expected sha256 {expected}',
                remedy='restore the folder from where it came, or export the model again')
        contents[name] = data
    refuse_external_data(contents[MODEL_FILE], str(folder / MODEL_FILE))
    return VerifiedModel(folder, card, contents)


def _resolved(path: Path) -> Path:
    """Return the path without links, or say that there is no such file."""
    try:
        real = path.resolve(strict=True)
        regular = real.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # missing, a loop of links, a NUL
        raise _unreadable(path, error) from error
    if not regular:
        raise ConfigurationError(
            f'{path.name} of the model is not a file', where=str(path),
            allowed='expected a regular file')
    return real


def _read(path: Path, home: Path, limit: int = -1) -> bytes:
    real = _resolved(path)
    if real.parent != home:
        raise ConfigurationError(
            f'{path.name} leads out of the folder of its model', where=str(path), value=str(real),
            allowed=f'expected a file in {home}', remedy='copy the file into the folder')
    try:
        with real.open('rb') as file:
            return file.read(limit)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f'{path.name} of the model cannot be read', where=str(path),
        value=f'{type(error).__name__}: {error}', allowed=f'expected {MODEL_FILE} and {CARD_FILE}',
        remedy='name a folder models/NAME that holds both')
