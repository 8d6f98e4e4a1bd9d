# SPDX-License-Identifier: Apache-2.0
"""A network that looks at a whole map and a goal, and says how far each free cell is.

With the walls w and the goal g of a map [R, C] (1 where there is one), A learned actions and

    r_a = -softplus(MLP_a(3 x 3 neighbourhood of w)),     T_a = softmax of learned weights [3 x 3],
    v <- (1 - g) max_a (r_a + T_a * v),     v = 0 to begin with,

it is repeated until v no longer changes. Nothing is told to it but walls and goal; what an action
is, where it leads and what it costs are learned. An average of neighbours and a maximum never
enlarge a difference, so that any number of repetitions is stable, on maps of any size.

Original: A. Tamar, Y. Wu, G. Thomas, S. Levine, P. Abbeel, "Value Iteration Networks", NIPS 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

STEEP, LEAST_SHARE = 4.0, 1e-12


class ValueIteration(nn.Module):
    """The network.

    Args:
        actions: Number A.
        hidden: Features of the costs.
    """

    def __init__(self, actions: int = 12, hidden: int = 32) -> None:
        super().__init__()
        self.look = nn.Conv2d(1, hidden, 3)
        self.cost = nn.Conv2d(hidden, actions, 1)
        self.move = nn.Parameter(torch.randn(actions, 9))

    def rewards(self, walls: Tensor) -> Tensor:
        """Return r [B, A, R, C] of walls [B, R, C]; outside there are walls."""
        framed = functional.pad(walls[:, None], (1, 1, 1, 1), value=1.0)
        found: Tensor = self.cost(torch.relu(self.look(framed)))
        return -STEEP * functional.softplus(found)

    def forward(self, walls: Tensor, goal: Tensor, rounds: int) -> Tensor:
        """Return v [B, R, C] after some rounds, of walls and goals [B, R, C]."""
        rewards, open_ = self.rewards(walls), 1.0 - goal[:, None]
        kernel = torch.softmax(STEEP * self.move, dim=1).reshape(-1, 1, 3, 3)
        value = torch.zeros_like(open_)
        for _ in range(rounds):
            around = functional.pad(value, (1, 1, 1, 1), mode='replicate')
            value = open_ * (rewards + functional.conv2d(around, kernel)).amax(1, keepdim=True)
        return value[:, 0]

    def weights(self) -> dict[str, list[float]]:
        """Return all weights as lists, for `planners.point_mass.value_network`."""
        found = {name: value.detach().double().flatten().tolist()
                 for name, value in self.state_dict().items()}
        kernel = torch.softmax(STEEP * self.move.detach().double(), dim=1)
        return {**{name.replace('.', '_'): numbers for name, numbers in found.items()},
                'move': kernel.flatten().tolist()}

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Take over what `weights` wrote."""
        for name, mine in self.state_dict().items():
            found = torch.as_tensor(weights[name.replace('.', '_')], dtype=mine.dtype)
            if name == 'move':
                found = found.clamp(min=LEAST_SHARE).log() / STEEP
            mine.copy_(found.reshape(mine.shape))
