# SPDX-License-Identifier: Apache-2.0
"""Optional packages: found without loading them, loaded when asked for, missed with a way out."""

from __future__ import annotations

from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

from diffusion_control.console import install_command
from diffusion_control.errors import MissingDependencyError

INSTALL = {
    **{name: install_command(name) for name in ('onnxruntime', 'torch', 'tensorrt')},
    'onnxruntime-gpu': "pip uninstall onnxruntime; pip install 'diffusion_control[gpu]'",
    'onnx': "pip install 'diffusion_control[cpu]'",
}


def installed(name: str) -> bool:
    """Return whether a module can be found; nothing is imported."""
    try:
        return find_spec(name) is not None
    except ValueError:  # a module without a spec, put there by hand
        return True


def version(name: str) -> str:
    """Return a package's version without importing it, empty where it is unknown."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ''


def load(name: str, backend: str) -> Any:
    """Import an optional package.

    Raises:
        MissingDependencyError: It is not installed, or does not start.
    """
    try:
        return import_module(name)
    except (ImportError, OSError) as error:
        raise MissingDependencyError(
            f'the inference backend {backend} needs {name}', where='planner.backend',
            value=f'{type(error).__name__}: {error}', remedy=INSTALL[name]) from error
