# SPDX-License-Identifier: Apache-2.0
"""The collision cost of decoded motions as a differentiable function of their codes.

    penalty(code) = sum over S samples of the cost of `CollisionModel.cost` at q = M P(code),

with P the control points (`MotionCode.decode`, fixed ends added) and M the spline basis. The
gradient is that of the compiled kernel, led back through M and the code's linear map.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusion_control.learning.data_set import Demonstrations
from diffusion_control.planners.motion_code import MotionCode
from diffusion_control.planners.spline_problem import FREE
from diffusion_control.trajectory.spline import FIXED, basis, straight

Array = NDArray[np.float64]
SAMPLES = 24
MARGIN_M, OWN_MARGIN_M = 0.03, 0.015


class CollisionPenalty:
    """Costs of a batch of codes.

    Args:
        robot: The arm.
        code: The map from codes to free points.
        questions: B questions.
        repeats: Codes per question, next to each other.
    """

    def __init__(
        self, robot: Any, code: MotionCode, questions: Demonstrations, repeats: int
    ) -> None:
        self.robot, self.code, self.questions = robot, code, questions
        self.repeats = repeats

    def __call__(self, clean: Tensor) -> Tensor:
        """Return the penalties [B r] of codes [B r, F, n]."""
        result: Tensor = _Penalty.apply(clean, self)
        return result

    def evaluate(self, clean: Array) -> tuple[Array, Array]:
        """Return penalties [B r] and their gradients [B r, F, n]."""
        data, repeats = self.questions, self.repeats
        line = np.repeat(straight(data.start, data.goal), repeats, 0)
        free = self.code.decode(clean, line)
        ends = [np.repeat(end[:, None], FIXED, 1).repeat(repeats, 0)
                for end in (data.start, data.goal)]
        points = np.concatenate([ends[0], free, ends[1]], axis=1)
        matrix = basis(SAMPLES).position
        positions = (matrix @ points).reshape(len(data), -1, points.shape[-1])
        times = np.zeros(positions.shape[1])
        cost = np.empty((len(data), repeats * SAMPLES))
        slope = np.empty_like(positions)
        for row in range(len(data)):
            cost[row], _, gradient = self.robot.collision.cost(
                positions[row], times, data.obstacles(row), MARGIN_M, OWN_MARGIN_M, True)
            slope[row] = gradient
        along = matrix[:, FREE].T @ slope.reshape(len(points), SAMPLES, -1)
        back = self.code.factor.T @ (along * self.code.deviation)
        return cost.reshape(len(points), SAMPLES).sum(1), back


class _Penalty(torch.autograd.Function):
    """The gradient is computed with the value and kept."""

    @staticmethod
    def forward(context: Any, clean: Tensor, penalty: CollisionPenalty) -> Tensor:
        """Return the penalties."""
        cost, slope = penalty.evaluate(clean.detach().numpy().astype(np.float64))
        context.save_for_backward(torch.as_tensor(slope, dtype=clean.dtype))
        return torch.as_tensor(cost, dtype=clean.dtype)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the gradient by the codes."""
        (slope,) = context.saved_tensors
        return gradients[0][:, None, None] * slope, None
