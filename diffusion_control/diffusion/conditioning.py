# SPDX-License-Identifier: Apache-2.0
"""What a plan depends on, as one vector: state, goal, return, and a set of obstacles.

    c = MLP(sum over parts of (E_part(part), or a learned vector where the part is left out)).

The obstacles are a set: each goes through the same network, and what comes out is pooled by its
maximum and its sum / (1 + count) over the obstacles that the mask marks as present. So their order
and the number of empty places do not matter, and any number is admitted, none included.

Left out at random in training (`dropped`), a part need not be given at inference: the vector with
the droppable parts left out is the condition of classifier-free guidance at scale 0.

Original: M. Zaheer et al., "Deep Sets", NeurIPS 2017 (theorem 2); C. Qi et al., "PointNet", CVPR
2017 (the maximum); J. Ho, T. Salimans, "Classifier-Free Diffusion Guidance", 2021 (dropping).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diffusion_control.errors import ConfigurationError

FAR_BELOW = -1e9


@dataclass(frozen=True)
class ConditionSpec:
    """Which parts a condition has; a length of 0 leaves a part out.

    Attributes:
        state: Numbers that describe the present state.
        goal: Numbers that describe the goal.
        target_return: Numbers that say how good the plan shall be.
        obstacle: Numbers per obstacle.
        droppable: Parts that classifier-free guidance leaves out.
    """

    state: int = 0
    goal: int = 0
    target_return: int = 0
    obstacle: int = 0
    droppable: tuple[str, ...] = ('goal', 'target_return')

    def __post_init__(self) -> None:
        if not self.parts or min(self.lengths.values()) < 1:
            raise ConfigurationError(
                'A condition needs one part or more.', where='conditioning', value=self.lengths,
                allowed='lengths of 1 or more; 0 leaves a part out')
        unknown = set(self.droppable) - {'state', 'goal', 'target_return', 'obstacles'}
        if unknown:
            raise ConfigurationError(
                'Unknown part of the condition.', where='droppable', value=sorted(unknown),
                allowed='state, goal, target_return, obstacles')

    @property
    def lengths(self) -> dict[str, int]:
        """Return the length of each part that there is."""
        every = {'state': self.state, 'goal': self.goal, 'target_return': self.target_return,
                 'obstacles': self.obstacle}
        return {name: length for name, length in every.items() if length != 0}

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the parts that there are, in order."""
        return tuple(self.lengths)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the names of the encoder's inputs, in order."""
        masks = ('obstacle_mask',) if 'obstacles' in self.parts else ()
        return (*self.parts, *masks)


class ObstacleSet(nn.Module):
    """A permutation-invariant encoder of a set."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.each = nn.Sequential(
            nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.pooled = nn.Linear(2 * width, width)

    def forward(self, obstacles: Tensor, mask: Tensor) -> Tensor:
        """Return [B, width] of obstacles [B, N, F] and a mask [B, N], 1 where there is one."""
        h, there = self.each(obstacles), mask[..., None]
        count = there.sum(1)
        highest = torch.where(there > 0.5, h, FAR_BELOW).amax(1)
        highest = torch.where(count > 0.5, highest, 0.0)
        total = torch.where(there > 0.5, h, 0.0).sum(1) / (1.0 + count)
        pooled: Tensor = self.pooled(torch.cat([highest, total], dim=-1))
        return pooled


class ConditionEncoder(nn.Module):
    """From the parts of a condition to one vector [B, width]."""

    def __init__(self, spec: ConditionSpec, width: int = 64) -> None:
        super().__init__()
        self.spec, self.width = spec, width
        self.encoders = nn.ModuleDict({
            name: ObstacleSet(length, width) if name == 'obstacles' else nn.Sequential(
                nn.Linear(length, width), nn.SiLU(), nn.Linear(width, width))
            for name, length in spec.lengths.items()})
        self.left_out = nn.ParameterDict({
            name: nn.Parameter(0.02 * torch.randn(width))
            for name in spec.parts if name in spec.droppable})
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width))

    def forward(
        self, inputs: Mapping[str, Tensor], dropped: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Return the condition.

        Args:
            inputs: By the names of `ConditionSpec.inputs`, shape [B, length] each; obstacles
                [B, N, F] with N >= 1, their mask [B, N].
            dropped: For parts that are left out: 1 where that is so, shape [B] or [1].
        """
        total = 0.0
        for name in self.spec.parts:
            if name == 'obstacles':
                encoded = self.encoders[name](inputs[name], inputs['obstacle_mask'])
            else:
                encoded = self.encoders[name](inputs[name])
            if dropped is not None and name in dropped:
                out = dropped[name][:, None]
                encoded = out * self.left_out[name] + (1.0 - out) * encoded
            total = total + encoded
        condition: Tensor = self.mix(total)
        return condition

    def without(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the condition with all droppable parts left out, as for guidance scale 0."""
        one = torch.ones_like(next(iter(inputs.values())).flatten(1)[:, 0])
        return self(inputs, dict.fromkeys(self.left_out.keys(), one))


def random_drops(
    encoder: ConditionEncoder, count: int, probability: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return which parts training leaves out: all droppable ones of a motion, or none of them."""
    out = (torch.rand(count, generator=generator) < probability).float()
    return dict.fromkeys(encoder.left_out.keys(), out)
