# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control data card`: what a data set holds, and a hash of it."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_control.learning.data_set import Demonstrations, read_about, read_parts


def describe(folder: Path) -> dict[str, Any]:
    """Return what made a data set, its numbers, and the sha256 of its arrays.

    Raises:
        ConfigurationError: It is missing or damaged.
    """
    about, data = read_about(folder), read_parts(folder)
    return {
        **about, 'demonstrations': len(data), 'scenes_solved': len(np.unique(data.scene)),
        'hard_share': round(float(data.hard.mean()), 4),
        'duration_p50_s': round(float(np.median(data.duration)), 3),
        'duration_p99_s': round(float(np.percentile(data.duration, 99)), 3),
        'obstacles_mean': round(float(data.count.mean()), 2), 'sha256': digest(data)}


def digest(data: Demonstrations) -> str:
    """Return the sha256 of all arrays, in the order of the fields."""
    found = hashlib.sha256()
    for field in fields(data):
        found.update(np.ascontiguousarray(getattr(data, field.name)).tobytes())
    return found.hexdigest()
