# SPDX-License-Identifier: Apache-2.0
"""One evaluation of a sampler as a torch module with named inputs: what is exported.

The module is `sampling.step` with everything that may change between runs as an input, so that one
exported file serves every sampler, number of steps, warm start, mask and guidance strength.
B motions of H knots and D channels; C the length of the condition:

    always             x, base, clean [B, H, D] (the state), row [13], noise [B, H, D],
                       mask, known [B, H, D], condition [B, C],
                       clip_bound [1] (of the clean estimate; a large number switches it off)
    classifier_free    null_condition [B, C], guidance_scale [1]
    costs or value     guidance_strength [1], guidance_cap [1]
    costs              cost_weights [N], in the order of `costs`
      goal             goal_target [D], goal_weight [H, 1]
      limits           limit_lower [D], limit_upper [D]
      spheres          sphere_centre [O, P], sphere_radius [O], sphere_select [D, P],
                       sphere_offset [P]
    value              value_weight [1], and value_condition [B, C]

The outputs are the state after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diffusion_control.diffusion import sampling
from diffusion_control.diffusion.costs import (
    Cost,
    Goal,
    Limits,
    Smoothness,
    SphereObstacles,
    WeightedSum,
    difference_form,
)
from diffusion_control.diffusion.guidance import ClipGuide, CostGuide
from diffusion_control.diffusion.inpainting import Known
from diffusion_control.diffusion.table import COLUMNS
from diffusion_control.diffusion.value import TracedGradient
from diffusion_control.errors import ConfigurationError

STATE = ('x', 'base', 'clean')
COSTS: dict[str, tuple[str, ...]] = {
    'velocity': (),
    'acceleration': (),
    'goal': ('goal_target', 'goal_weight'),
    'limits': ('limit_lower', 'limit_upper'),
    'spheres': ('sphere_centre', 'sphere_radius', 'sphere_select', 'sphere_offset'),
}


@dataclass(frozen=True)
class StepSpec:
    """What an exported sampler can do.

    Attributes:
        horizon: Knots H of a motion.
        channels: Channels D of a knot.
        condition: Length C of the condition vector.
        classifier_free: Whether the condition may be weighted at run time.
        costs: Names from `COSTS`.
        value: Whether a value network guides.
        clean_input: Whether the network sees known values without noise, as it was trained.
        repeats: Guidance steps per evaluation.
        obstacles: Places O for spheres.
        coordinates: P, of the space the spheres are in.
    """

    horizon: int
    channels: int
    condition: int
    classifier_free: bool = False
    costs: tuple[str, ...] = ()
    value: bool = False
    clean_input: bool = False
    repeats: int = 1
    obstacles: int = 16
    coordinates: int = 3

    def __post_init__(self) -> None:
        if set(self.costs) - set(COSTS):
            raise ConfigurationError(
                'Unknown cost.', where='costs', value=self.costs, allowed=', '.join(COSTS))

    @property
    def shapes(self) -> dict[str, tuple[int | str, ...]]:
        """Return name and shape of every input, in order; 'batch' stands for any number."""
        motion = ('batch', self.horizon, self.channels)
        wide, space = ('batch', self.condition), self.coordinates
        found: dict[str, tuple[int | str, ...]] = {name: motion for name in STATE}
        found |= {'row': (len(COLUMNS),), 'noise': motion, 'mask': motion, 'known': motion,
                  'condition': wide, 'clip_bound': (1,)}
        if self.classifier_free:
            found |= {'null_condition': wide, 'guidance_scale': (1,)}
        if self.costs or self.value:
            found |= {'guidance_strength': (1,), 'guidance_cap': (1,)}
        if self.costs:
            found['cost_weights'] = (len(self.costs),)
        sizes = {
            'goal_target': (self.channels,), 'goal_weight': (self.horizon, 1),
            'limit_lower': (self.channels,), 'limit_upper': (self.channels,),
            'sphere_centre': (self.obstacles, space), 'sphere_radius': (self.obstacles,),
            'sphere_select': (self.channels, space), 'sphere_offset': (space,)}
        found |= {name: sizes[name] for cost in self.costs for name in COSTS[cost]}
        if self.value:
            found |= {'value_weight': (1,), 'value_condition': wide}
        return found

    def example(self, batch: int, seed: int = 0) -> dict[str, Tensor]:
        """Return random inputs of the right shapes."""
        generator = torch.Generator().manual_seed(seed)
        return {
            name: torch.randn(
                [batch if isinstance(size, str) else size for size in shape], generator=generator)
            for name, shape in self.shapes.items()}


class SamplerStep(nn.Module):
    """One evaluation of any sampler.

    Args:
        denoiser: From (x [B, H, D], time [1], condition [B, C]).
        spec: What it shall be able to do.
        value: The value network, if `spec.value`.
    """

    def __init__(
        self, denoiser: nn.Module, spec: StepSpec, value: nn.Module | None = None
    ) -> None:
        super().__init__()
        if spec.value is not (value is not None):
            raise ConfigurationError(
                'A value network was promised but not given, or given and not promised.',
                where='value', value=spec.value)
        self.denoiser, self.spec = denoiser.eval(), spec
        self.slope = None if value is None else TracedGradient(
            value, torch.zeros(2, spec.horizon, spec.channels), torch.zeros(2, spec.condition))
        for order, name in enumerate(('velocity', 'acceleration'), 1):
            form = torch.as_tensor(difference_form(spec.horizon, order))
            self.register_buffer(name, form, persistent=False)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return x, base and clean after the evaluation; inputs in the order of `spec.shapes`."""
        given = dict(zip(self.spec.shapes, inputs, strict=True))
        known = Known(given['mask'], given['known'], self.spec.clean_input)
        state = sampling.State(given['x'], given['base'], given['clean'])

        def denoise(x: Tensor, time: Tensor) -> Tensor:
            return self._denoise(x, time, given)

        after = sampling.step(
            state, given['row'], given['noise'], denoise, self._guide(given, known), known)
        return after.x, after.base, after.clean

    def _denoise(self, x: Tensor, time: Tensor, given: Mapping[str, Tensor]) -> Tensor:
        if not self.spec.classifier_free:
            output: Tensor = self.denoiser(x, time[None], given['condition'])
            return output
        both = torch.cat([given['condition'], given['null_condition']])
        out = self.denoiser(torch.cat([x, x]), time[None], both)
        with_, without = out[:x.shape[0]], out[x.shape[0]:]
        mixed: Tensor = without + given['guidance_scale'] * (with_ - without)
        return mixed

    def _guide(self, given: Mapping[str, Tensor], known: Known) -> ClipGuide:
        bound = given['clip_bound']
        if not (self.spec.costs or self.spec.value):
            return ClipGuide(bound)
        costs = self._costs(given)

        def gradient(clean: Tensor) -> Tensor:
            total = torch.zeros_like(clean)
            if costs:
                total = total + WeightedSum(costs, given['cost_weights']).gradient(clean)
            if self.slope is not None:
                total = total + given['value_weight'] * self.slope(
                    clean, given['value_condition'])
            return total

        return ClipGuide(bound, CostGuide(
            gradient, given['guidance_strength'], given['guidance_cap'], known,
            self.spec.repeats))

    def _costs(self, given: Mapping[str, Tensor]) -> Sequence[Cost]:
        def make(name: str) -> Cost:
            inputs = [given[key] for key in COSTS[name]]
            if name == 'goal':
                return Goal(*inputs)
            if name == 'limits':
                return Limits(*inputs)
            if name == 'spheres':
                return SphereObstacles(*inputs)
            return Smoothness(getattr(self, name))

        return [make(name) for name in self.spec.costs]
