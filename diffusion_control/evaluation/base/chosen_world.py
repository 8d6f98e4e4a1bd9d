# SPDX-License-Identifier: Apache-2.0
"""The world that somebody chose for a base: a file, a layout, both, or a seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from diffusion_control.errors import ConfigurationError, moved
from diffusion_control.evaluation.base_worlds import (
    GOALS,
    demo_world,
    generate_world,
    layout_world,
)
from diffusion_control.robots.base import Base
from diffusion_control.simulation.layout import read_layout
from diffusion_control.simulation.scene import Scene
from diffusion_control.simulation.scene_file import load_scene


def chosen_world(
    robot: Base, *, scene: str | Path | None, layout: str | Path | None, seed: int,
    tier: str = 'demo',
) -> Scene:
    """Return the scene of a file, or one of the seed.

    Args:
        robot: Any base.
        scene: YAML file of a scene; None or empty for none.
        layout: Text file of walls: in place of those of the scene, or with start, goals and
            movers of the seed. None or empty for none.
        seed: Draws what no file says.
        tier: Without any file: `demo`, `easy` or `hard`.

    Raises:
        ConfigurationError: A bad file, or a layout without a way.
    """
    rows = read_layout(layout) if layout else ()
    if scene:
        loaded = load_scene(scene)
        return replace(loaded, layout=rows) if rows else loaded
    if rows:
        return _in_file(str(layout), robot, rows, seed)
    if tier == 'demo':
        return demo_world(robot, seed)
    return generate_world(robot, seed, tier, goals=GOALS)


def _in_file(name: str, robot: Base, rows: tuple[str, ...], seed: int) -> Scene:
    """Return the world of a layout; what is wrong with it is said with the file's name."""
    try:
        return layout_world(robot, rows, seed)
    except ConfigurationError as error:
        raise moved(error, f'{name}: {error.where}') from error
