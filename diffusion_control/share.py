# SPDX-License-Identifier: Apache-2.0
"""Where the files that ship with the package lie: config, launch, models."""

from __future__ import annotations

from pathlib import Path

from diffusion_control.errors import MissingDependencyError


def share_directory() -> Path:
    """Return the folder that holds `package.xml`, `config` and `models`.

    Installed (pip, colcon) this is `share/diffusion_control` below the prefix that the package
    lies in; in a checkout it is the repository's root.

    Raises:
        MissingDependencyError: Neither is there, so the installation is not complete.
    """
    package = Path(__file__).resolve().parent
    for parent in package.parents:
        for candidate in (parent / 'share' / 'diffusion_control', parent):
            if (candidate / 'package.xml').is_file() and (candidate / 'config').is_dir():
                return candidate
    raise MissingDependencyError(
        "the package's share folder is missing", where=str(package),
        allowed='share/diffusion_control below the prefix, or a checkout',
        remedy='install again with `pip install .` or `colcon build`')
