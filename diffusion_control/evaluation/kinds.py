# SPDX-License-Identifier: Apache-2.0
"""What an evaluation asks of each kind of robot: its scenes, peers and bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from diffusion_control.evaluation.base_worlds import generate_world
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.planners.models import TRAINED
from diffusion_control.simulation.scene import Scene


@dataclass(frozen=True)
class Bounds:
    """What a planner is asked for.

    Attributes:
        episodes: Scenes per tier that it takes to judge it.
        success: Least share of the expert's successes, by tier.
    """

    episodes: int
    success: Mapping[str, float]


@dataclass(frozen=True)
class Kind:
    """A task of `evaluate`.

    Attributes:
        robot: Robot that is driven unless another is named.
        peers: Planners beside the judged one and the expert.
        usual: Bounds of every planner that has none of its own.
        own: Bounds by the name of the planner.
        time_ratio: Largest mean time to the goal over the expert's; None asks for none.
        generate: Returns the scene of a robot, a seed and a tier.
    """

    robot: str
    peers: tuple[str, ...]
    usual: Bounds
    time_ratio: float | None
    generate: Callable[[Any, int, str], Scene] = field(repr=False)
    own: Mapping[str, Bounds] = field(default_factory=dict)

    def bounds(self, planner: str) -> Bounds:
        """Return what a planner is asked for."""
        return self.own.get(planner, self.usual)


KINDS: dict[str, Kind] = {
    'arm': Kind(
        'panda', ('training_free', 'multi_start', 'straight_line', 'random'),
        Bounds(100, {'easy': 0.97, 'hard': 0.88}), None, generate_scene,
        {TRAINED: Bounds(250, {'easy': 0.99, 'hard': 0.93})}),
    'base': Kind(
        'base', ('astar', 'mppi', 'cem', 'straight_line', 'random'),
        Bounds(50, {'easy': 0.95, 'hard': 0.95}), 1.25, generate_world),
}
