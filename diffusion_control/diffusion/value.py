# SPDX-License-Identifier: Apache-2.0
"""Learned costs: a value network whose gradient steers the samples (classifier guidance).

The network gives the cost of a clean motion. Its slope comes from autograd in eager mode. An
exported graph has no autograd: there, the slope is traced once as a function of its own
(`TracedGradient`), in which every derivative is an ordinary operation.

Original: P. Dhariwal, A. Nichol, NeurIPS 2021 (section 4); M. Janner et al., ICML 2022
(section 3.2: a return in place of the classifier).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx


class ValueNetwork(nn.Module):
    """The cost [B] of a clean motion [B, H, D] under a condition [B, C].

    Args:
        horizon: Knots H.
        channels: Channels D.
        condition: Length C of the condition vector.
        width: Of the hidden layers.
    """

    def __init__(self, horizon: int, channels: int, condition: int, width: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(horizon * channels + condition, width), nn.SiLU(),
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, clean: Tensor, condition: Tensor) -> Tensor:
        """Return the cost of each motion."""
        cost: Tensor = self.layers(torch.cat([clean.flatten(1), condition], dim=-1))[:, 0]
        return cost


def value_gradient(network: nn.Module, clean: Tensor, condition: Tensor) -> Tensor:
    """Return the slope of the cost by autograd, shape [B, H, D]."""
    with torch.enable_grad():
        at = clean.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(network(at, condition).sum(), at)
    return slope


class TracedGradient(nn.Module):
    """The slope of a cost as a graph of plain operations, for export.

    Args:
        network: From (clean, condition) to costs [B].
        clean: An example, shape [B, H, D]; the batch size stays free.
        condition: An example, shape [B, C].
    """

    def __init__(self, network: nn.Module, clean: Tensor, condition: Tensor) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

        def cost(at: Tensor, told: Tensor, weights: dict[str, Tensor]) -> Tensor:
            total: Tensor = functional_call(self.network, weights, (at, told)).sum()
            return total

        trace = make_fx(grad(cost), tracing_mode='symbolic')
        self.graph: GraphModule = trace(clean, condition, self._weights())

    def _weights(self) -> dict[str, Tensor]:
        return dict(self.network.named_parameters())

    def forward(self, clean: Tensor, condition: Tensor) -> Tensor:
        """Return the slope, shape [B, H, D]."""
        slope: Tensor = self.graph(clean, condition, self._weights())
        return slope
