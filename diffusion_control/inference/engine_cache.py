# SPDX-License-Identifier: Apache-2.0
"""Built TensorRT engines, kept for exactly the model, TensorRT and GPU they were built with.

An engine is code for one GPU. Opening one that was built for another model, by another version,
for another GPU, or changed since, is undefined; so each key has a folder of its own with a
manifest of hashes, and what the manifest does not vouch for is removed before TensorRT looks.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from diffusion_control.errors import ConfigurationError

MANIFEST = 'manifest.json'
OWNER_ONLY = 0o700


@dataclass(frozen=True)
class EngineKey:
    """What an engine belongs to.

    Attributes:
        model_sha256: Of the ONNX file.
        tensorrt: Version of TensorRT.
        gpu: Name of the GPU.
    """

    model_sha256: str
    tensorrt: str
    gpu: str

    def digest(self) -> str:
        """Return the name of the key's folder: 64 hexadecimal digits."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def default_cache() -> Path:
    """Return the user's cache folder of this package."""
    base = os.environ.get('XDG_CACHE_HOME') or str(Path.home() / '.cache')
    return Path(base) / 'diffusion_control'


class EngineCache:
    """The folder of one key.

    Args:
        root: Of all keys.
        key: What the engines are for.

    Raises:
        ConfigurationError: The folder cannot be made, or belongs to somebody else.
    """

    def __init__(self, root: Path, key: EngineKey) -> None:
        self.key = key
        self.folder = root / 'tensorrt' / key.digest()
        try:
            self.folder.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
            owner = self.folder.stat().st_uid
        except OSError as error:
            raise ConfigurationError(
                'the cache of engines cannot be made', where=str(self.folder), value=str(error),
                remedy='set XDG_CACHE_HOME to a folder that you own') from error
        if owner != os.getuid():
            raise ConfigurationError(
                'the cache of engines belongs to another user', where=str(self.folder),
                value=f'uid {owner}', allowed=f'uid {os.getuid()}',
                remedy='set XDG_CACHE_HOME to a folder that you own')

    def clear_foreign(self) -> list[str]:
        """Remove every file that this key's manifest does not vouch for; return their names."""
        known, removed = self._vouched(), []
        for path in sorted(self.folder.iterdir()):
            if path.name == MANIFEST and known:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
                removed.append(path.name)
            elif path.is_symlink() or path.name not in known or (
                    _sha256(path) != known[path.name]):
                path.unlink()
                removed.append(path.name)
        return removed

    def seal(self) -> None:
        """Write the manifest for the engines that were just built here."""
        engines = {path.name: _sha256(path) for path in sorted(self.folder.iterdir())
                   if path.name != MANIFEST and path.is_file()}
        draft = self.folder / f'{MANIFEST}.{os.getpid()}'
        draft.write_text(json.dumps({**asdict(self.key), 'engines': engines}), encoding='utf-8')
        draft.replace(self.folder / MANIFEST)

    def _vouched(self) -> dict[str, str]:
        """Return name -> sha256 of the manifest, nothing when it is absent or of another key."""
        path = self.folder / MANIFEST
        try:
            data = json.loads(path.read_text(encoding='utf-8'))
            engines = data.pop('engines')
            own = data == asdict(self.key)
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return {}
        return engines if own and not path.is_symlink() and isinstance(engines, dict) else {}


def _sha256(path: Path) -> str:
    """Return a file's hash; what is not a file has none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ''
