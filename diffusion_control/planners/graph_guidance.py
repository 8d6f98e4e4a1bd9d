# SPDX-License-Identifier: Apache-2.0
"""What moves the clean estimates of a run: the compiled kernel between steps, or the graph itself.

Both take the same steps down the collision cost, those of `SplineProblem.descend`, on every clean
estimate but the last one of a run. The kernel's are taken outside, so that the run goes step by
step; those of a graph are a loop in it (`learning.guided_model` puts it there), whose question
comes in as further inputs. F free control points, S instants, O obstacles:

    guidance_steps [1], guidance_weights [2] (collision, smoothness),
    guidance_centre [F, n] (free points of the code 0), guidance_lower, guidance_upper [n] [rad],
    guidance_rest [F, n] (what the fixed points do to the slope of smoothness),
    arm_offset [S, n] (positions where the free points are 0) [rad], arm_margins [2] [m] and
    arm_obstacle_code, _centre, _rotation, _half: as for the cost `arm_spheres`, docs/diffusion.md
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError, require_known
from diffusion_control.inference.card import CARD_FILE, ModelCard
from diffusion_control.inference.chain import Improve
from diffusion_control.planners.motion_code import MotionCode
from diffusion_control.planners.spline_problem import (
    DESCENT_EXTRA_M,
    FREE,
    FREE_POINTS,
    SMOOTH_WEIGHT,
    SplineProblem,
)
from diffusion_control.planners.world import MOVER_HORIZON_S, World
from diffusion_control.trajectory.spline import basis, smoothness

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]
KERNEL, GRAPH = 'kernel', 'graph'
GUIDES = (KERNEL, GRAPH)
INPUTS = (
    'guidance_steps', 'guidance_weights', 'guidance_centre', 'guidance_lower', 'guidance_upper',
    'guidance_rest', 'arm_offset', 'arm_margins', 'arm_obstacle_code', 'arm_obstacle_centre',
    'arm_obstacle_rotation', 'arm_obstacle_half')


@dataclass(frozen=True)
class Guided:
    """A question whose clean estimates are to be moved.

    Attributes:
        splines: Start and world.
        code: From codes to free points.
        goal: Configuration [n] [rad].
        duration_s: Of every motion [s].
        steps: Down the cost, at each clean estimate.
    """

    splines: SplineProblem
    code: MotionCode
    goal: Array
    duration_s: float
    steps: int

    @property
    def line(self) -> Array:
        """Return the free points of the straight motion, shape [1, F, n]."""
        return self.splines.line(self.goal[None])


class Guidance(Protocol):
    """Something that moves clean estimates: by inputs of the graph, or between its steps."""

    def inputs(self, asked: Guided) -> dict[str, Array32]:
        """Return what the graph takes beside the inputs of its sampler and its network."""
        ...

    def improve(self, asked: Guided) -> Improve | None:
        """Return what moves the clean estimates between steps of the graph; None: nothing."""
        ...


class GraphGuidance:
    """Guidance inside the graph.

    Args:
        instants: S, of a motion at which the graph looks for collisions.
    """

    def __init__(self, instants: int) -> None:
        self._instants = instants

    def inputs(self, asked: Guided) -> dict[str, Array32]:
        """See `Guidance`; in the order of `INPUTS`."""
        splines, at = asked.splines, basis(self._instants)
        fixed = splines.assemble(
            np.zeros((1, FREE_POINTS, len(asked.goal))), asked.goal[None],
            np.array([asked.duration_s]))[0]
        weights = (splines.guidance * splines.weights.collision,
                   splines.weights.smoothness * SMOOTH_WEIGHT)
        world = splines.world
        found = {
            'guidance_steps': [asked.steps], 'guidance_weights': weights,
            'guidance_centre': asked.line[0] + asked.code.mean,
            'guidance_lower': splines.lower, 'guidance_upper': splines.upper,
            'guidance_rest': (smoothness().metric @ fixed)[FREE],
            'arm_offset': at.position @ fixed,
            'arm_margins': world.cost_margins_m(DESCENT_EXTRA_M),
            **_obstacles(world, at.phase * asked.duration_s)}
        return {name: np.asarray(found[name], dtype=np.float32) for name in INPUTS}

    def improve(self, asked: Guided) -> Improve | None:
        """See `Guidance`: nothing is left to be done outside."""
        del asked
        return None


class KernelGuidance:
    """Guidance by the compiled kernel of the planner's cost.

    Args:
        idle: What a graph with guidance of its own is told, so that it takes no step; None: it
            has none.
    """

    def __init__(self, idle: GraphGuidance | None = None) -> None:
        self._idle = idle

    def inputs(self, asked: Guided) -> dict[str, Array32]:
        """See `Guidance`."""
        if self._idle is None:
            return {}
        return {**self._idle.inputs(asked), 'guidance_steps': np.zeros(1, np.float32)}

    def improve(self, asked: Guided) -> Improve | None:
        """See `Guidance`."""
        if asked.steps == 0:
            return None
        splines, code, line = asked.splines, asked.code, asked.line

        def descend(clean: Array32) -> Array32:
            free = splines.descend(
                splines.clip(code.decode(clean, line)), np.repeat(asked.goal[None], len(clean), 0),
                np.full(len(clean), asked.duration_s), steps=asked.steps)
            return code.encode(free, line)

        return descend


def make_guidance(guide: str, card: ModelCard, folder: Path) -> Guidance:
    """Return what moves the clean estimates of a model.

    Args:
        guide: `kernel`, which any model can be guided by, or `graph`.
        card: Of the model.
        folder: Of the model, for messages.

    Raises:
        ConfigurationError: An unknown guide; the graph is asked for and has no guidance, or is of
            another version.
    """
    require_known('unknown guide of clean estimates', 'guide', guide, GUIDES)
    missing = [name for name in INPUTS if name not in card.inputs]
    if guide == KERNEL and len(missing) == len(INPUTS):
        return KernelGuidance()
    if missing:
        raise ConfigurationError(
            'the graph of this model has no guidance in it', where=str(folder / CARD_FILE),
            value=f'guide = {guide}; no input {", ".join(missing)}',
            allowed=f'expected inputs {", ".join(INPUTS)}',
            remedy='guide: kernel, or put it into the graph (docs/inference.md)')
    instants = card.inputs['arm_offset'].shape[0]
    if not isinstance(instants, int):
        raise ConfigurationError(
            'model card: the guidance of the graph has no fixed number of instants',
            where=str(folder / CARD_FILE), value=instants, allowed='a number as first axis of '
            'arm_offset', remedy='export the model again')
    inside = GraphGuidance(instants)
    return inside if guide == GRAPH else KernelGuidance(inside)


def _obstacles(world: World, times_s: Array) -> dict[str, Array]:
    """Return the obstacles at some times, an empty place where there is none."""
    found, until_s = world.all, np.minimum(times_s, MOVER_HORIZON_S)
    if len(found.code) == 0:
        return {'arm_obstacle_code': np.zeros(1), 'arm_obstacle_rotation': np.eye(3)[None],
                'arm_obstacle_centre': np.zeros((len(times_s), 1, 3)),
                'arm_obstacle_half': np.zeros((1, 3))}
    return {
        'arm_obstacle_code': found.code.astype(float), 'arm_obstacle_half': found.half_m,
        'arm_obstacle_rotation': found.rotation,
        'arm_obstacle_centre': found.centre_m + until_s[:, None, None] * found.velocity_m_s}
