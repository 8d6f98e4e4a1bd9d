# SPDX-License-Identifier: Apache-2.0
"""Windows of drives as training batches: what the denoiser is told, and what it shall say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.learning.maze_data import ROW_S, MazeData
from diffusion_control.learning.maze_settings import MazeSettings
from diffusion_control.planners.point_mass import map_view

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]
AT_REST, ENDING = 8, 0.5
PLACE_NOISE, SPEED_NOISE, BACK_S = 0.03, 0.3, 0.08
FRAME = ((0, 0), (map_view.RADIUS,) * 2, (map_view.RADIUS,) * 2)
Walks = Callable[[NDArray[np.int64], NDArray[np.int64]], Array32]


@dataclass(frozen=True)
class MazeBatch:
    """B windows.

    Attributes:
        code: Clean motions, shape [B, H, 4].
        mask: 1 where a value is known, same shape.
        condition: Shape [B, C].
        walls: Of the picture, also where the condition hides what is free, shape [B, K, K].
    """

    code: Array32
    mask: Array32
    condition: Array32
    walls: Array32


class MazeBatches:
    """Draws windows.

    Args:
        data: The drives.
        values: Of the value network for each drive, shape [E, N, N].
        settings: Length of a window, its knots, the seed of the draws.
        walks: Says how far cells are from cells [B, 2] in mazes of numbers [B], [B, N, N].
    """

    def __init__(
        self, data: MazeData, values: Array32, settings: MazeSettings, walks: Walks
    ) -> None:
        self.data, self.settings, self.walks = data, settings, walks
        self.stride = round(settings.knot_s / ROW_S)
        self.walls = np.pad(data.walls.astype(np.float32), FRAME, constant_values=1.0)
        self.values = np.pad(values, FRAME)

    def draw(self, step: int, count: int) -> tuple[MazeBatch, np.random.Generator]:
        """Return the batch of a step, and the generator for the rest of the step."""
        generator = np.random.default_rng([self.settings.seed, step])
        data, horizon = self.data, self.settings.horizon
        drive = generator.integers(len(data.maze), size=count)
        length = data.first[drive + 1] - data.first[drive]
        begin = (generator.random(count) * (length + AT_REST)).astype(np.int64)
        at = begin[:, None] + self.stride * np.arange(horizon)
        over = at >= length[:, None] - 1
        rows = data.knots[data.first[drive][:, None] + np.minimum(at, length[:, None] - 1)]
        motion = rows.astype(float)
        motion[over, 2:] = 0.0
        motion[over, :2] = np.broadcast_to(
            data.goal[drive][:, None], (count, horizon, 2))[over]
        motion += _leading_back(generator, count, self.settings)
        ends = over[:, -1] & (generator.random(count) < ENDING)
        motion[ends, -1, :2], motion[ends, -1, 2:] = data.goal[drive][ends], 0.0
        place, goal = motion[:, 0, :2], data.goal[drive]
        real, value = self.walls[data.maze[drive]], self.values[drive]
        window_s = (horizon - 1) * self.settings.knot_s
        shown = np.pad(map_view.shown(
            self.walks(data.maze[drive], np.floor(place).astype(int)), place, window_s), FRAME)
        seen = map_view.view(np.where(shown, real, 1.0), value, goal, place)
        walls = map_view.view(real, value, goal, place).picture[:, 0]
        condition = map_view.told(seen, place, motion[:, 0, 2:], goal, ends)
        code = map_view.encode(seen, motion)
        mask = np.zeros_like(code)
        mask[:, 0], mask[ends, -1] = 1.0, 1.0
        kinds = np.arange(count) * map_view.SYMMETRIES // count
        return MazeBatch(
            map_view.turned_motions(code, kinds), mask, map_view.turned(condition, kinds),
            map_view.turned_pictures(walls[:, None], kinds)[:, 0]), generator


def _leading_back(
    generator: np.random.Generator, count: int, settings: MazeSettings
) -> Array:
    """Return errors that begin at random and die out, e = (p + (v + p / T) t) exp(-t / T)."""
    t = settings.knot_s * np.arange(settings.horizon)[None, :, None]
    place = generator.normal(0.0, PLACE_NOISE, (count, 1, 2))
    speed = generator.normal(0.0, SPEED_NOISE, (count, 1, 2))
    slope, fading = speed + place / BACK_S, np.exp(-t / BACK_S)
    return np.concatenate([(place + slope * t) * fading,
                           (speed - slope * t / BACK_S) * fading], axis=2)
