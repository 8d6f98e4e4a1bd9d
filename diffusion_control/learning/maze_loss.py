# SPDX-License-Identifier: Apache-2.0
"""The loss of the denoiser of mazes: denoising, speeds that fit the places, and walls."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from diffusion_control.diffusion.loss import DiffusionLoss
from diffusion_control.diffusion.prediction import Prediction
from diffusion_control.diffusion.schedules import make_schedule
from diffusion_control.learning.maze_batches import MazeBatch
from diffusion_control.learning.settings import PREDICTION, SCHEDULE
from diffusion_control.learning.training import NOISE_SHARE, WEIGHTING
from diffusion_control.planners.point_mass import map_view

STEADY_WEIGHT, KEEP_CELLS, TINY = 0.05, 0.13, 1e-12


def loss_of(
    network: nn.Module, batch: MazeBatch, generator: np.random.Generator, knot_s: float,
    wall_weight: float,
) -> Tensor:
    """Return the loss of a batch: denoising, speeds that fit the places, and walls."""
    schedule = make_schedule(SCHEDULE, noise_share=NOISE_SHARE)
    walls = torch.as_tensor(batch.walls)

    def penalty(code: Tensor) -> Tensor:
        steady = STEADY_WEIGHT * unsteady(code, knot_s)
        if wall_weight == 0.0:
            return steady
        return steady + wall_weight * in_walls(code, walls, knot_s)

    loss = DiffusionLoss(
        schedule, Prediction(PREDICTION), weighting=WEIGHTING, clean_input=True, penalty=penalty,
        penalty_weight=1.0)
    noise = generator.standard_normal(batch.code.shape, dtype=np.float32)
    time = schedule.training_times(generator, len(batch.code))
    condition = torch.as_tensor(batch.condition)

    def denoise(code: Tensor, at: Tensor) -> Tensor:
        out: Tensor = network(code, at, condition)
        return out

    return loss(denoise, torch.as_tensor(batch.code), torch.as_tensor(noise), time,
                torch.as_tensor(batch.mask))


def unsteady(code: Tensor, knot_s: float) -> Tensor:
    """Return how far the places are from what the speeds say, mean square, shape [B]."""
    place, speed = map_view.PLACE_SCALE * code[..., :2], map_view.SPEED_SCALE * code[..., 2:]
    moved = (place[:, 1:] - place[:, :-1]) / knot_s
    error = (moved - 0.5 * (speed[:, 1:] + speed[:, :-1])) / map_view.SPEED_SCALE
    return error.square().mean(dim=(1, 2))


def in_walls(code: Tensor, walls: Tensor, knot_s: float) -> Tensor:
    """Return the mean square of what knots and middles lack to `KEEP_CELLS` from walls, [B].

    Args:
        code: Clean motions, shape [B, H, 4].
        walls: Around the start's cell, shape [B, K, K].
        knot_s: Time between knots [s].
    """
    place, speed = map_view.PLACE_SCALE * code[..., :2], map_view.SPEED_SCALE * code[..., 2:]
    middle = 0.5 * (place[:, 1:] + place[:, :-1]) - 0.125 * knot_s * (
        speed[:, 1:] - speed[:, :-1])
    points = torch.cat([place, middle], dim=1)
    cell, side = torch.round(points.detach()), walls.shape[1]
    lack = torch.zeros_like(points[..., 0])
    for x in (-1, 0, 1):
        for y in (-1, 0, 1):
            at = cell + torch.tensor([x, y])
            over = (points - at).abs() - 0.5
            far = (over.clamp(min=0.0).square().sum(-1) + TINY).sqrt() + over.amax(-1).clamp(
                max=0.0)
            index = (at + side // 2).clamp(0, side - 1).long()
            wall = walls.flatten(1).gather(1, index[..., 0] * side + index[..., 1])
            lack = torch.maximum(lack, wall * (KEEP_CELLS - far))
    return lack.square().mean(dim=1)
