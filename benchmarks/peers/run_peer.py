# SPDX-License-Identifier: Apache-2.0
"""Complete plans of one peer's network with its own sampler, timed by the peers' own python.

Usage: PEERS/bin/python benchmarks/peers/run_peer.py lerobot --horizon 16 --width 64

Random weights, eval mode, inference mode, one thread, DDIM, noise drawn in every plan. Prints one
line of JSON: {name, version, torch, parameters, batch: {1: {p50_s, p99_s, n}, ...}}, or {name,
absent} with the reason. With --serve it says {name, version, torch, parameters} and then answers
each line 'BATCH REPEATS' of its standard input with the seconds of so many plans, so that several
peers can take turns. Nothing of this package is imported here, nothing of a peer is copied.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from itertools import pairwise
from typing import Any

Plan = Callable[[], Any]
WARM, KERNEL, TRAINED_STEPS = 3, 5, 100


@dataclass(frozen=True)
class Shape:
    """What all networks have in common; `widths` are the features of each level."""

    horizon: int
    channels: int
    condition: int
    widths: tuple[int, ...]
    steps: int


@dataclass(frozen=True)
class Peer:
    """A peer that was built: its modules, and the plan [batch, horizon, channels] of a batch."""

    version: str
    modules: tuple[Any, ...]
    plan: Callable[[int], Plan]


def declare_vision_operators() -> None:
    """Let PyPI's torchvision be imported beside a CPU torch, which cannot load its operators.

    The peers import it for image encoders; no operator of it runs here.
    """
    import torch
    try:
        with contextlib.suppress(ImportError):
            import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library('torchvision', 'DEF')
        for name in ('nms', 'qnms'):
            library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
        KEPT.append(library)


KEPT: list[Any] = []  # an operator library lives as long as its object


def lerobot(shape: Shape) -> Peer:
    """Return lerobot's diffusion policy without its image encoder, with its DDIM."""
    import torch
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionModel
    model = DiffusionModel(DiffusionConfig(
        device='cpu', n_obs_steps=1, horizon=shape.horizon, n_action_steps=shape.horizon,
        input_features={
            'observation.state': PolicyFeature(FeatureType.STATE, (shape.condition,))},
        output_features={'action': PolicyFeature(FeatureType.ACTION, (shape.channels,))},
        down_dims=shape.widths, kernel_size=KERNEL, diffusion_step_embed_dim=shape.widths[0],
        noise_scheduler_type='DDIM', num_train_timesteps=TRAINED_STEPS,
        num_inference_steps=shape.steps)).eval()

    def plan(batch: int) -> Plan:
        condition = torch.randn(batch, shape.condition)
        return lambda: model.conditional_sample(batch, global_cond=condition)
    return Peer(metadata.version('lerobot'), (model,), plan)


def diffusers(shape: Shape) -> Peer:
    """Return diffusers' UNet1DModel, its port of Diffuser's network, without a condition."""
    import torch
    from diffusers import DDIMScheduler, UNet1DModel
    levels = len(shape.widths)
    network = UNet1DModel(
        sample_size=shape.horizon, in_channels=shape.channels, out_channels=shape.channels,
        time_embedding_type='positional', use_timestep_embedding=True, flip_sin_to_cos=False,
        freq_shift=1, act_fn='mish', block_out_channels=shape.widths, norm_num_groups=8,
        layers_per_block=1, down_block_types=('DownResnetBlock1D',) * levels,
        up_block_types=('UpResnetBlock1D',) * (levels - 1),
        mid_block_type='MidResTemporalBlock1D', out_block_type='OutConv1DBlock').eval()
    scheduler = DDIMScheduler(
        num_train_timesteps=TRAINED_STEPS, beta_schedule='squaredcos_cap_v2')

    def sample(batch: int) -> Any:
        x = torch.randn(batch, shape.channels, shape.horizon)
        scheduler.set_timesteps(shape.steps)
        for time_ in scheduler.timesteps:
            x = scheduler.step(network(x, time_).sample, time_, x).prev_sample
        return x.transpose(1, 2)
    return Peer(metadata.version('diffusers'), (network,), lambda batch: partial(sample, batch))


def diffuser(shape: Shape) -> Peer:
    """Say why Diffuser itself cannot be here."""
    raise ImportError(
        'Diffuser (Janner et al.) is source only: the `diffuser` of PyPI is an empty package of '
        'others, and its own imports gym, D4RL and mujoco_py; its network is here as diffusers, '
        'which ported it, and as cleandiffuser_janner where CleanDiffuser is present')


def cleandiffuser_janner(shape: Shape) -> Peer:
    """Return Diffuser's network as in CleanDiffuser, the condition made as long as its width."""
    found = _cleandiffuser()
    width = shape.widths[0]
    network = found.JannerUNet1d(
        shape.channels, width, width, KERNEL, dim_mult=_growths(shape.widths))
    return _clean_peer(
        shape, network, found.LinearCondition(shape.condition, width), (shape.condition,))


def cleandiffuser_chi(shape: Shape) -> Peer:
    """Return Diffusion Policy's network as in CleanDiffuser, with scale and shift."""
    found = _cleandiffuser()
    width = shape.widths[0]
    network = found.ChiUNet1d(
        shape.channels, shape.condition, 1, width, width, KERNEL,
        dim_mult=_growths(shape.widths))
    return _clean_peer(shape, network, found.IdentityCondition(), (1, shape.condition))


def _cleandiffuser() -> Any:
    """Return the classes of CleanDiffuser that are used here."""
    try:
        from cleandiffuser.diffusion import DiscreteDiffusionSDE
        from cleandiffuser.nn_condition import IdentityCondition, LinearCondition
        from cleandiffuser.nn_diffusion import ChiUNet1d, JannerUNet1d
    except ImportError as error:
        raise ImportError(f'CleanDiffuser is not on PyPI ({error})') from error
    return argparse.Namespace(
        ChiUNet1d=ChiUNet1d, DiscreteDiffusionSDE=DiscreteDiffusionSDE, JannerUNet1d=JannerUNet1d,
        IdentityCondition=IdentityCondition, LinearCondition=LinearCondition)


def _clean_peer(shape: Shape, network: Any, encoder: Any, per_motion: tuple[int, ...]) -> Peer:
    """Return a network of CleanDiffuser with its sampler of DDIM."""
    import cleandiffuser
    import torch
    agent = _cleandiffuser().DiscreteDiffusionSDE(
        network, encoder, diffusion_steps=TRAINED_STEPS, x_min=-torch.ones(1), x_max=torch.ones(1))
    agent.eval()

    def plan(batch: int) -> Plan:
        condition = torch.randn(batch, *per_motion)
        prior = torch.zeros(batch, shape.horizon, shape.channels)
        return lambda: agent.sample(
            prior, solver='ddim', n_samples=batch, sample_steps=shape.steps,
            condition_cfg=condition, w_cfg=1.0)[0]
    return Peer(cleandiffuser.__version__, (network, encoder), plan)


def _growths(widths: Sequence[int]) -> list[int]:
    """Return by what each level is wider than the one before, as CleanDiffuser counts."""
    if any(wide % narrow for narrow, wide in pairwise(widths)):
        raise ImportError(f'CleanDiffuser cannot have levels of {list(widths)} features')
    return [1, *(wide // narrow for narrow, wide in pairwise(widths))]


PEERS: dict[str, Callable[[Shape], Peer]] = {
    'lerobot': lerobot, 'diffusers': diffusers, 'diffuser': diffuser,
    'cleandiffuser_janner': cleandiffuser_janner, 'cleandiffuser_chi': cleandiffuser_chi}


def build(name: str, shape: Shape, seed: int) -> tuple[Peer | None, dict[str, Any]]:
    """Return a peer, none if it is absent, and what is to be said of it."""
    try:
        if name not in PEERS:
            raise ImportError(f'unknown, known are {", ".join(PEERS)}')
        import torch
        torch.set_num_threads(1)
        torch.set_num_interop_threads(1)
        torch.manual_seed(seed)
        declare_vision_operators()
        made = PEERS[name](shape)
    except ImportError as error:
        return None, {'name': name, 'absent': str(error)}
    count = sum(p.numel() for module in made.modules for p in module.parameters())
    return made, {'name': name, 'version': made.version, 'torch': torch.__version__,
                  'parameters': count}


def measure(plan: Plan, repeats: int, expected: tuple[int, ...]) -> list[float]:
    """Return the seconds of complete plans after a warm-up, whose results are checked."""
    import torch
    with torch.inference_mode():
        for _ in range(WARM):
            motions = plan()
        if tuple(motions.shape) != expected or not bool(torch.isfinite(motions).all()):
            raise ValueError(f'no finite motions of shape {expected}: {tuple(motions.shape)}')
        spent = []
        for _ in range(repeats):
            begin = time.perf_counter()
            plan()
            spent.append(time.perf_counter() - begin)
    return spent


def percentiles(spent: Sequence[float]) -> dict[str, float | int]:
    """Return p50, p99 [s] and the number of plans."""
    import numpy as np
    p50, p99 = np.percentile(spent, [50, 99])
    return {'p50_s': float(p50), 'p99_s': float(p99), 'n': len(spent)}


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('name', help=f'one of {", ".join(PEERS)}')
    parser.add_argument('--horizon', type=int, default=16)
    parser.add_argument('--channels', type=int, default=7)
    parser.add_argument('--condition', type=int, default=14, help='length of the condition')
    parser.add_argument('--width', type=int, default=64, help='features of the first level')
    parser.add_argument('--factors', type=int, nargs='+', default=[1, 2, 4])
    parser.add_argument('--steps', type=int, default=10)
    parser.add_argument('--batches', type=int, nargs='+', default=[1, 16])
    parser.add_argument('--repeats', type=int, default=100)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--serve', action='store_true', help='take turns, see above')
    return parser.parse_args()


def main() -> None:
    """Print one line, or one for each line that comes in."""
    asked = arguments()
    widths = tuple(asked.width * factor for factor in asked.factors)
    shape = Shape(asked.horizon, asked.channels, asked.condition, widths, asked.steps)
    with contextlib.redirect_stdout(sys.stderr):  # some packages greet when they are imported
        made, about = build(asked.name, shape, asked.seed)

    def timed(batch: int, repeats: int) -> list[float]:
        assert made is not None
        return measure(made.plan(batch), repeats, (batch, shape.horizon, shape.channels))

    if made is not None and not asked.serve:
        about['batch'] = {batch: percentiles(timed(batch, asked.repeats))
                          for batch in asked.batches}
    print(json.dumps(about), flush=True)
    if made is not None and asked.serve:
        for line in sys.stdin:
            batch, repeats = map(int, line.split())
            print(json.dumps(timed(batch, repeats)), flush=True)


if __name__ == '__main__':
    main()
