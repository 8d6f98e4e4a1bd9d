# SPDX-License-Identifier: Apache-2.0
"""Windows of motions out of a trained network that is told the map around the start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.inference.chain import Held
from diffusion_control.planners.models import load_chain, model_directory
from diffusion_control.planners.point_mass import map_view
from diffusion_control.planners.point_mass.value_network import ValueNetwork
from diffusion_control.planners.trace import SHOWN_MOTIONS, Denoised, Observer, knot_norms
from diffusion_control.robots.occupancy_map import OccupancyMap

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]
Correct = Callable[[Array], Array]
"""From knots [B, H, 4] to better ones, in metres."""
MoveKnots = Callable[[Array, Array, float], Array]
"""From noised knots before and after an evaluation and the share that is done, in metres."""


@dataclass(frozen=True)
class Ground:
    """A map with a goal, as the network is told.

    Attributes:
        known: The map.
        walls: Framed, see `map_view.view`, shape [X, Y].
        value: Framed, shape [X, Y].
        goal: In cells, shape [2].
    """

    known: OccupancyMap
    walls: Array
    value: Array
    goal: Array

    def cells(self, places: Array) -> Array:
        """Return places [..., 2] [m] in cells."""
        found: Array = (places - self.known.origin[:2]) / self.known.resolution_m
        return found

    def metres(self, knots: Array) -> Array:
        """Return knots x, y, vx, vy in cells and cells/s as [m] and [m/s]."""
        found = knots * self.known.resolution_m
        found[..., :2] += self.known.origin[:2]
        return found

    def to_go(self, places: Array) -> Array:
        """Return the cells to go from places [..., 2] [m], as the value network says."""
        cell = np.floor(self.cells(places)).astype(np.int64) + map_view.RADIUS
        x = np.clip(cell[..., 0], 0, self.walls.shape[0] - 1)
        y = np.clip(cell[..., 1], 0, self.walls.shape[1] - 1)
        found: Array = -self.value[x, y]
        return found


@dataclass(frozen=True)
class Draw:
    """How windows are drawn.

    Attributes:
        evaluations: Of the network.
        start: Level to start from, in (0, 1].
        plan: Knots to start from [B, H, 4], in metres; None = pure noise.
        ends: Which windows end at rest in the goal, shape [B]; None = none.
        correct: Applied to clean estimates between the evaluations.
        move: Applied to the moves of the noised knots.
        observer: Is told of every evaluation, with places [M, H, 2] [m].
    """

    evaluations: int
    start: float = 1.0
    plan: Array | None = None
    ends: NDArray[np.bool_] | None = None
    correct: Correct | None = None
    move: MoveKnots | None = None
    observer: Observer | None = None


class MapSampler:
    """A trained network for a point on maps, loaded and checked.

    Args:
        robot: The point mass.
        model: Folder, name in `models/`, or None: the shipped one.
        planner: Name of the planner, for the shipped model and for messages.
        backend: A name of `inference.available_backends()`.
        require_gpu: Refuse a CPU.
        clock: Steady time [s].

    Raises:
        ConfigurationError: No such model, not what its card says, or of another robot.
        MissingDependencyError: The backend is missing.
    """

    def __init__(
        self, robot: Any, model: Any, *, planner: str, backend: str, require_gpu: bool,
        clock: Callable[[], float],
    ) -> None:
        self.chain = load_chain(
            model_directory(model, planner, robot), robot, backend=backend,
            require_gpu=require_gpu, clock=clock)
        card = self.chain.card
        self.values = ValueNetwork.of(card.normaliser['value_network'])
        self.horizon = int(card.inputs['x'].shape[1])
        self.knot_s = 1.0 / card.rate_hz
        self._ground: tuple[bytes, Ground] | None = None
        self._walks: dict[tuple[int, int], Array] = {}

    def ground(self, known: OccupancyMap, goal: Array) -> Ground:
        """Return a map with a goal [2] [m]; the last one is kept."""
        cells = known.occupied.T
        at = (goal - known.origin[:2]) / known.resolution_m
        cell = np.clip(np.floor(at).astype(int), 0, np.array(cells.shape) - 1)
        key = b'|'.join([cells.tobytes(), bytes(str(cells.shape), 'ascii'), cell.tobytes(),
                         known.origin.tobytes()])
        if self._ground is None or self._ground[0] != key:
            mark = np.zeros(cells.shape)
            mark[cell[0], cell[1]] = 1.0
            walls = cells.astype(float)
            self._rewards, self._walks = self.values.rewards(walls), {}
            value = self.values.value(walls, mark)
            self._ground = key, Ground(
                known, np.pad(walls, map_view.RADIUS, constant_values=1.0),
                np.pad(value, map_view.RADIUS), at)
        return Ground(known, self._ground[1].walls, self._ground[1].value, at)

    def draw(
        self, ground: Ground, states: Array, generator: np.random.Generator, how: Draw
    ) -> Array:
        """Return windows from states x, y, vx, vy [B, 4] on, shape [B, H, 4] [m], [m/s].

        The first knot is the state, exactly; the last one the goal at rest where it ends there.
        Each window is drawn in a map that is turned or mirrored in its own way, as in training, so
        that what the network does wrong is not the same in all of them.
        """
        count, cells = len(states), ground.known.resolution_m
        place, speed = ground.cells(states[:, :2]), states[:, 2:] / cells
        goal = np.repeat(ground.goal[None], count, 0)
        seen = map_view.view(
            np.where(self._shown(place), ground.walls, 1.0),
            np.broadcast_to(ground.value, (count, *ground.value.shape)), goal, place)
        ends = np.zeros(count, dtype=bool) if how.ends is None else how.ends
        kinds = (generator.integers(map_view.SYMMETRIES) + np.arange(count)) % map_view.SYMMETRIES
        mask, values = self._held(seen, place, speed, goal, ends)
        held = mask, map_view.turned_motions(values, kinds)
        noise = generator.standard_normal(held[0].shape, dtype=np.float32)

        def code(knots: Array) -> Array32:
            local = np.concatenate([ground.cells(knots[..., :2]), knots[..., 2:] / cells], axis=2)
            return map_view.turned_motions(map_view.encode(seen, local), kinds)

        def knots(clean: Array32) -> Array:
            return ground.metres(map_view.decode(
                seen, map_view.turned_motions(clean, kinds, back=True)))

        def show(x: Array32, clean: Array32, alpha: float, sigma: float) -> None:
            assert observer is not None
            kept = slice(SHOWN_MOTIONS)
            step = (alpha * clean - x)[kept].astype(float)
            observer(Denoised(sigma, knots(x)[kept, :, :2], knots(clean)[kept, :, :2],
                              knot_norms(step, sigma)))

        correct, move, observer = how.correct, how.move, how.observer
        run = self.chain.run(
            {'condition': map_view.turned(
                map_view.told(seen, place, speed, goal, ends), kinds)}, noise, how.evaluations,
            start=how.start, plan=None if how.plan is None else code(how.plan), held=held,
            improve=None if correct is None else lambda clean: code(correct(knots(clean))),
            move=None if move is None else lambda before, after, share: code(
                move(knots(before), knots(after), share)),
            watch=None if observer is None else show)
        found = knots(run.clean)
        found[:, 0] = states
        found[ends, -1] = [*ground.metres(ground.goal), 0.0, 0.0]
        return found

    def _shown(self, place: Array) -> NDArray[np.bool_]:
        """Return which cells, framed, are shown from places in cells [B, 2], shape [B, X, Y].

        The value network says how far they are, asked for the way to the start, not the goal.
        """
        shape = np.array(self._rewards.shape[:2])
        cells = np.clip(np.floor(place).astype(int), 0, shape - 1)
        window_s = (self.horizon - 1) * self.knot_s
        for x, y in np.unique(cells, axis=0):
            if (x, y) not in self._walks:
                mark = np.zeros(shape)
                mark[x, y] = 1.0
                self._walks[x, y] = -self.values.repeated(
                    self._rewards, mark, map_view.walk_rounds(window_s))
        walk = np.stack([self._walks[x, y] for x, y in cells])
        return np.pad(map_view.shown(walk, place, window_s), (
            (0, 0), (map_view.RADIUS,) * 2, (map_view.RADIUS,) * 2))

    def _held(
        self, seen: map_view.View, place: Array, speed: Array, goal: Array,
        ends: NDArray[np.bool_],
    ) -> Held:
        """Return the known values of windows: the first knot, and the last one if it ends."""
        motion = np.zeros((len(place), self.horizon, 4))
        motion[:, 0, :2], motion[:, 0, 2:], motion[:, -1, :2] = place, speed, goal
        mask = np.zeros(motion.shape, np.float32)
        mask[:, 0], mask[ends, -1] = 1.0, 1.0
        return mask, mask * map_view.encode(seen, motion)
