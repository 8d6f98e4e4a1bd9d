# SPDX-License-Identifier: Apache-2.0
"""One evaluation of a sampler as a torch module with named inputs: what is exported.

The module is `sampling.step` with everything that may change between runs as an input, so that one
exported file serves every sampler, number of steps, warm start, mask and guidance strength.
B motions of H knots and D channels; C the length of the condition; O places for obstacles and S
instants of a motion:

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
      arm_spheres      arm_offset [S, D] [rad], arm_matrix [S, H], arm_scale [D] [rad] (from codes
                       to joint positions: offset + matrix (x * scale)),
                       arm_margins [2] [m] (to obstacles, to self and floor),
                       arm_obstacle_code [O] (1 sphere, 2 box, 3 cylinder, 0 an empty place),
                       arm_obstacle_centre [S, O, 3] [m], arm_obstacle_rotation [O, 3, 3],
                       arm_obstacle_half [O, 3] [m] (see `arm_cost_obstacles`)
    value              value_weight [1], and value_condition [B, C]

The outputs are the state after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from diffusion_control.diffusion import sampling
from diffusion_control.diffusion.arm_cost import ArmSpheres
from diffusion_control.diffusion.arm_cost_body import ArmBody
from diffusion_control.diffusion.arm_cost_obstacles import ArmObstacles
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
ARM_CONSTANTS = tuple(field.name for field in fields(ArmBody))
COSTS: dict[str, tuple[str, ...]] = {
    'velocity': (),
    'acceleration': (),
    'goal': ('goal_target', 'goal_weight'),
    'limits': ('limit_lower', 'limit_upper'),
    'spheres': ('sphere_centre', 'sphere_radius', 'sphere_select', 'sphere_offset'),
    'arm_spheres': (
        'arm_offset', 'arm_matrix', 'arm_scale', 'arm_margins', 'arm_obstacle_code',
        'arm_obstacle_centre', 'arm_obstacle_rotation', 'arm_obstacle_half'),
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
        obstacles: Places O for spheres, or for an arm's obstacles.
        coordinates: P, of the space the spheres are in.
        instants: S, of a motion, at which `arm_spheres` looks for collisions.
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
    instants: int = 24

    def __post_init__(self) -> None:
        if set(self.costs) - set(COSTS):
            raise ConfigurationError(
                'Unknown cost.', where='costs', value=self.costs, allowed=', '.join(COSTS))

    @property
    def shapes(self) -> dict[str, tuple[int | str, ...]]:
        """Return name and shape of every input, in order; 'batch' stands for any number."""
        motion = ('batch', self.horizon, self.channels)
        wide = ('batch', self.condition)
        found: dict[str, tuple[int | str, ...]] = {name: motion for name in STATE}
        found |= {'row': (len(COLUMNS),), 'noise': motion, 'mask': motion, 'known': motion,
                  'condition': wide, 'clip_bound': (1,)}
        if self.classifier_free:
            found |= {'null_condition': wide, 'guidance_scale': (1,)}
        if self.costs or self.value:
            found |= {'guidance_strength': (1,), 'guidance_cap': (1,)}
        if self.costs:
            found['cost_weights'] = (len(self.costs),)
        found |= {name: self._sizes[name] for cost in self.costs for name in COSTS[cost]}
        if self.value:
            found |= {'value_weight': (1,), 'value_condition': wide}
        return found

    @property
    def _sizes(self) -> dict[str, tuple[int, ...]]:
        """Return name and shape of the inputs of every cost."""
        places, space, instants = self.obstacles, self.coordinates, self.instants
        return {
            'goal_target': (self.channels,), 'goal_weight': (self.horizon, 1),
            'limit_lower': (self.channels,), 'limit_upper': (self.channels,),
            'sphere_centre': (places, space), 'sphere_radius': (places,),
            'sphere_select': (self.channels, space), 'sphere_offset': (space,),
            'arm_offset': (instants, self.channels), 'arm_matrix': (instants, self.horizon),
            'arm_scale': (self.channels,), 'arm_margins': (2,), 'arm_obstacle_code': (places,),
            'arm_obstacle_centre': (instants, places, 3),
            'arm_obstacle_rotation': (places, 3, 3), 'arm_obstacle_half': (places, 3)}

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
        arm: The arm, if `spec.costs` has `arm_spheres`; of D joints.
    """

    def __init__(
        self, denoiser: nn.Module, spec: StepSpec, value: nn.Module | None = None,
        arm: ArmBody | None = None,
    ) -> None:
        super().__init__()
        if spec.value is not (value is not None):
            raise ConfigurationError(
                'A value network was promised but not given, or given and not promised.',
                where='value', value=spec.value)
        _check_arm(spec, arm)
        self.denoiser, self.spec = denoiser.eval(), spec
        self.slope = None if value is None else TracedGradient(
            value, torch.zeros(2, spec.horizon, spec.channels), torch.zeros(2, spec.condition))
        for order, name in enumerate(('velocity', 'acceleration'), 1):
            form = torch.as_tensor(difference_form(spec.horizon, order))
            self.register_buffer(name, form, persistent=False)
        for name in ARM_CONSTANTS if arm is not None else ():
            self.register_buffer(
                f'arm_{name}', torch.as_tensor(getattr(arm, name)), persistent=False)

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
            if name == 'arm_spheres':
                body = ArmBody(*(getattr(self, f'arm_{constant}') for constant in ARM_CONSTANTS))
                return ArmSpheres(body, ArmObstacles(*inputs[4:]), *inputs[:4])
            return Smoothness(getattr(self, name))

        return [make(name) for name in self.spec.costs]


def _check_arm(spec: StepSpec, arm: ArmBody | None) -> None:
    """Raise a ConfigurationError unless the arm is there if it is needed, and fits."""
    wanted = spec.channels if 'arm_spheres' in spec.costs else None
    given = None if arm is None else len(arm.turns)
    if wanted != given:
        raise ConfigurationError(
            'The cost arm_spheres needs an arm with a joint for each channel, no other cost does.',
            where='arm', value=given, allowed=str(wanted),
            remedy='pass ArmBody.of(robot) together with arm_spheres in the costs')
