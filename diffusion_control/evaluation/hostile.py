# SPDX-License-Identifier: Apache-2.0
"""What of `bench safety` depends on the kind of robot: scenes, adversaries, times and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.side import Side, Sight
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.scene import Scene

Array = NDArray[np.float64]


class AnyAdversary(Protocol):
    """One source of references.

    Attributes:
        kind: One of the robot's kinds of adversaries.
    """

    kind: str

    def velocity(self, position: Array, sight: Sight, now_s: float) -> Array:
        """Return the velocity [n], of a base the twist, to go for from a commanded position."""
        ...


@dataclass(frozen=True)
class Timed:
    """One check on times.

    Attributes:
        run: Name of the timed run.
        key: Of its row [s].
        at_most_s: Bound; None where no issue names one.
    """

    run: str
    key: str
    at_most_s: float | None


@dataclass(frozen=True)
class Timing:
    """Thread times of one run by part, without `_s`: `filter`, `full`, `step`, ... [s].

    Attributes:
        parts: One time for each tick that asked for the part.
        actions: How the ticks ended, by name.
    """

    parts: dict[str, Array]
    actions: dict[str, int]


class Hostility(Protocol):
    """What one kind of robot is tested with.

    Attributes:
        kinds: Of adversaries.
        timeouts_s: Time-outs of the receiver at which everything is run [s]; None = it has none.
        timings: Names of the timed runs.
        timed: Checks by name.
        planner: That goals are asked of with the monitor on and off.
    """

    kinds: tuple[str, ...]
    timeouts_s: tuple[float | None, ...]
    timings: tuple[str, ...]
    timed: Mapping[str, Timed]
    planner: str

    def at_timeout(self, timeout_s: float | None) -> Any:
        """Return the robot with a receiver of that time-out."""
        ...

    def scene(self, seed: int, random: np.random.Generator) -> Scene:
        """Return a scene full of things to hit, movers among them, at first clear of them."""
        ...

    def goal_scene(self, seed: int) -> Scene:
        """Return an easy scene with a goal."""
        ...

    def side(self, robot: Any, scene: Scene, plant: Plant, wander_seed: int) -> Side:
        """Return the simulated robot, whose movers turn at random."""
        ...

    def adversary(self, kind: str, random: np.random.Generator) -> AnyAdversary:
        """Return an adversary."""
        ...

    def indifferent(self, robot: Any, parameters: Any) -> Any:
        """Return a judge of motions that lets all pass that distances alone speak against."""
        ...

    def way(self, arrays: Mapping[str, Any]) -> dict[str, float]:
        """Return how far the true robot went, as fields of `Adversarial`."""
        ...

    def time(self, name: str, ticks: int, seed: int) -> Timing:
        """Return the thread times of a named run."""
        ...


def hostility_of(robot: Arm | Base) -> Hostility:
    """Return what the robot's kind is tested with."""
    if isinstance(robot, Base):
        from diffusion_control.evaluation.base.hostile import HostileBase
        return HostileBase(robot)
    from diffusion_control.evaluation.arm_hostile import HostileArm
    return HostileArm(robot)
