# SPDX-License-Identifier: Apache-2.0
"""Spline motions out of a trained network: question in, free control points out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.inference.card import CARD_FILE, ModelCard
from diffusion_control.inference.tensor import Array as AnyArray
from diffusion_control.planners.arm_features import ArmFeatures
from diffusion_control.planners.graph_guidance import KERNEL, Guided, make_guidance
from diffusion_control.planners.models import load_chain, model_directory
from diffusion_control.planners.motion_code import MotionCode
from diffusion_control.planners.spline_problem import FREE_POINTS, SplineProblem
from diffusion_control.planners.trace import SHOWN_MOTIONS, Denoised, Observer, knot_norms
from diffusion_control.planners.world import MOVER_HORIZON_S

Array = NDArray[np.float64]
WARM_UP_RUNS = 2
Barrier = Callable[[Array, Array, float], Array]
"""Free points before and after a move, the share of the run that is done: those after it."""


@dataclass(frozen=True)
class Draw:
    """How motions are drawn.

    Attributes:
        evaluations: Of the network.
        start: Level to start from, in (0, 1].
        descent: Gradient steps on the clean estimates between evaluations, see `graph_guidance`.
        until_s: When the motions are needed, a reading of the clock [s].
    """

    evaluations: int
    start: float = 1.0
    descent: int = 0
    until_s: float = math.inf


class MotionSampler:
    """A trained network for one arm, loaded and checked.

    Args:
        robot: The arm.
        model: Folder, name in `models/`, or None: the shipped one.
        planner: Name of the planner, for the shipped model and for messages.
        backend: A name of `inference.available_backends()`.
        require_gpu: Refuse a CPU.
        clock: Steady time [s].
        guide: What takes the steps of `Draw.descent`, of `graph_guidance.GUIDES`.

    Raises:
        ConfigurationError: No such model, not what its card says, of another robot, or without
            the guide in its graph that is asked for.
        MissingDependencyError: The backend is missing.
    """

    def __init__(
        self, robot: Any, model: Any, *, planner: str, backend: str, require_gpu: bool,
        clock: Callable[[], float], guide: str = KERNEL,
    ) -> None:
        self.folder = model_directory(model, planner, robot)
        self.chain = load_chain(
            self.folder, robot, backend=backend, require_gpu=require_gpu, clock=clock)
        self.code = MotionCode.of_card(self.chain.card.normaliser, FREE_POINTS, robot.dof)
        self.features = ArmFeatures(robot)
        _require_inputs(self.chain.card, self.features.lengths, self.folder)
        self.guidance = make_guidance(guide, self.chain.card, self.folder)

    def warm_up(self, splines: SplineProblem, goal: Array, count: int) -> None:
        """Run the network, so that the first plan takes no longer than the others."""
        for _ in range(WARM_UP_RUNS):
            self.draw(splines, goal, 1.0, np.random.default_rng(0), count, Draw(1))

    def evaluation_s(
        self, splines: SplineProblem, goal: Array, count: int, repeats: int
    ) -> Array:
        """Return what single evaluations for so many motions take, shape [repeats] [s]."""
        clock, spent = self.chain.clock, np.zeros(repeats)
        for index in range(repeats):
            began = clock()
            self.draw(splines, goal, 1.0, np.random.default_rng(index), count, Draw(1))
            spent[index] = clock() - began
        return spent

    def draw(
        self, splines: SplineProblem, goal: Array, duration_s: float,
        generator: np.random.Generator, count: int, how: Draw, plan: Array | None = None,
        observer: Observer | None = None, barrier: Barrier | None = None,
    ) -> tuple[Array, int]:
        """Return free points [count, F, n] to a goal [n], and the evaluations that were made.

        Args:
            splines: The question: start and world.
            goal: Configuration [n] [rad].
            duration_s: Of the straight motion [s].
            generator: Of the noise.
            count: Motions.
            how: Evaluations, level, descent, deadline.
            plan: Free points [F, n] to start from.
            observer: Is told of every evaluation.
            barrier: Is applied to the moves of the noised motions.
        """
        line = splines.line(goal[None])
        noise = generator.standard_normal(
            (count, *self.code.mean.shape), dtype=np.float32)
        code = None
        if plan is not None:
            code = np.repeat(self.code.encode(plan[None], line), count, 0)
        goals, durations = np.repeat(goal[None], count, 0), np.full(count, duration_s)
        guided = Guided(splines, self.code, goal, duration_s, how.descent)

        def show(x: NDArray[np.float32], clean: NDArray[np.float32], alpha: float, sigma: float,
                 ) -> None:
            assert observer is not None
            x, clean = x[:SHOWN_MOTIONS], clean[:SHOWN_MOTIONS]
            noised, found = (splines.shown(
                splines.clip(self.code.decode(code, line)), goals[:len(x)], durations[:len(x)])
                for code in (x, clean))
            step = (alpha * clean - x).astype(float)
            observer(Denoised(sigma, noised, found, knot_norms(step, sigma)))

        def keep(
            before: NDArray[np.float32], after: NDArray[np.float32], done: float,
        ) -> NDArray[np.float32]:
            assert barrier is not None
            was, becomes = self.code.decode(before, line), self.code.decode(after, line)
            return self.code.encode(barrier(was, becomes, done), line)

        run = self.chain.run(
            {**self._conditions(splines, goal, duration_s), **self.guidance.inputs(guided)},
            noise, how.evaluations, start=how.start, plan=code,
            improve=self.guidance.improve(guided),
            until_s=how.until_s, move=None if barrier is None else keep,
            watch=None if observer is None else show)
        return splines.clip(self.code.decode(run.clean, line)), run.evaluations

    def _conditions(
        self, splines: SplineProblem, goal: Array, duration_s: float
    ) -> dict[str, AnyArray]:
        """Return what the network is told."""
        found: dict[str, AnyArray] = dict(self.features(
            splines.start.position, goal, splines.world.all, duration_s, MOVER_HORIZON_S))
        return found


def _require_inputs(card: ModelCard, lengths: Mapping[str, int], where: Path) -> None:
    """Refuse a model that was trained on another description of a question.

    Raises:
        ConfigurationError: With the lengths of its inputs and those that this version gives.
    """
    read = {name: card.inputs[name].shape[-1] for name in lengths if name in card.inputs}
    if read != lengths:
        raise ConfigurationError(
            'the model was trained by another version of this software: it reads other inputs',
            where=str(where / CARD_FILE), value=read, allowed=f'expected {dict(lengths)}',
            remedy='train and export it again (docs/learning.md), or take the one of models/')
