# SPDX-License-Identifier: Apache-2.0
"""What a plan depends on, as one vector: state, goal, return, and a set of obstacles.

    c = MLP(sum over parts of (E_part(part), or a learned vector where the part is left out)).

The obstacles are a set: each goes through the same network, which also reads state and goal (as
far as they are never left out), so that it says what this obstacle means for this question. What
comes out, h_i, is pooled over the obstacles that the mask marks as present by its maximum and, for
each of `HEADS` shares of its numbers, by attention,

    sum_i w_i h_i,    w = softmax(W h),

so that one obstacle can be singled out (the largest, the nearest to the way). Their order and the
number of empty places do not matter, and any number is admitted, none included.

Left out at random in training (`dropped`), a part need not be given at inference: the vector with
the droppable parts left out is the condition of classifier-free guidance at scale 0.

Original: M. Zaheer et al., "Deep Sets", NeurIPS 2017 (theorem 2); C. Qi et al., "PointNet", CVPR
2017 (the maximum); M. Ilse et al., "Attention-based Deep Multiple Instance Learning", ICML 2018
(the attention); J. Ho, T. Salimans, "Classifier-Free Diffusion Guidance", 2021 (dropping).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diffusion_control.errors import ConfigurationError

FAR_BELOW = -1e9
HEADS = 8
CONTEXT = ('state', 'goal')


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
    """A permutation-invariant encoder of a set.

    Args:
        features: Numbers per obstacle F.
        width: Of what comes out, a multiple of `HEADS`.
        context: Numbers of the question Q that each obstacle is seen with.
    """

    def __init__(self, features: int, width: int, context: int = 0) -> None:
        super().__init__()
        if width % HEADS:
            raise ConfigurationError(
                'the condition does not divide into the heads of the attention over obstacles',
                where='condition', value=width, allowed=f'a multiple of {HEADS}')
        self.into = nn.Linear(features, width)
        self.asked = nn.Linear(context, width, bias=False) if context else None
        self.each = nn.Sequential(
            nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.score = nn.Linear(width, HEADS)
        self.pooled = nn.Linear(2 * width, width)

    def forward(self, obstacles: Tensor, mask: Tensor, context: Tensor | None = None) -> Tensor:
        """Return [B, width] of a set.

        Args:
            obstacles: Shape [B, N, F].
            mask: 1 where there is one, shape [B, N].
            context: The question, shape [B, Q].
        """
        seen = self.into(obstacles)
        if self.asked is not None:
            seen = seen + self.asked(context)[:, None]
        h, there = self.each(seen), mask[..., None] > 0.5
        highest = torch.where(there, h, FAR_BELOW).amax(1)
        highest = torch.where(there.any(1), highest, 0.0)
        weight = torch.softmax(torch.where(there, self.score(h), FAR_BELOW), dim=1)
        weight = torch.where(there, weight, 0.0)[..., None]
        chosen = (weight * h.unflatten(-1, (HEADS, -1))).sum(1).flatten(1)
        pooled: Tensor = self.pooled(torch.cat([highest, chosen], dim=-1))
        return pooled


class ConditionEncoder(nn.Module):
    """From the parts of a condition to one vector [B, width]."""

    def __init__(self, spec: ConditionSpec, width: int = 64) -> None:
        super().__init__()
        self.spec, self.width = spec, width
        self.context = [
            name for name in CONTEXT if name in spec.parts and name not in spec.droppable]
        context = sum(spec.lengths[name] for name in self.context)
        self.encoders = nn.ModuleDict({
            name: ObstacleSet(length, width, context) if name == 'obstacles' else nn.Sequential(
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
                seen_with = torch.cat([inputs[part] for part in self.context], dim=-1) if (
                    self.context) else None
                encoded = self.encoders[name](inputs[name], inputs['obstacle_mask'], seen_with)
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
