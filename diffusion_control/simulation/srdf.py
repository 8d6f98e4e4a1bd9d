# SPDX-License-Identifier: Apache-2.0
"""Pairs of links that the robot's SRDF says are not to be checked against each other."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

Pair = tuple[str, str]


def disabled_pairs(urdf_path: Path) -> tuple[Pair, ...]:
    """Return the `disable_collisions` pairs of the SRDF that belongs to a URDF, if there is one.

    It is looked for in the folder `../srdf` of the URDF and beside it: the file whose stem is the
    longest beginning of the URDF's stem. These pairs are adjacent, can never touch, or have
    coarse meshes that overlap where the real links do not (MoveIt Setup Assistant's reasons).
    """
    stem = urdf_path.stem
    candidates = [
        path for folder in (urdf_path.parent.parent / 'srdf', urdf_path.parent)
        for path in sorted(folder.glob('*.srdf')) if stem.startswith(path.stem)]
    if not candidates:
        return ()
    best = max(candidates, key=lambda path: len(path.stem))
    try:
        root = ElementTree.parse(best).getroot()
    except ElementTree.ParseError:
        return ()
    return tuple((tag.get('link1', ''), tag.get('link2', ''))
                 for tag in root.iter('disable_collisions'))
