# SPDX-License-Identifier: Apache-2.0
"""Where the model of a learned planner is, and whether it is for this robot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusion_control import inference
from diffusion_control.errors import ConfigurationError
from diffusion_control.inference.card import CARD_FILE, ModelCard
from diffusion_control.inference.chain import DenoisingChain
from diffusion_control.inference.packages import installed
from diffusion_control.planners.deadline import Clock
from diffusion_control.share import share_directory

AUTO, TRAINED, TRAINING_FREE = 'auto', 'diffuser', 'training_free'


def model_directory(name: str | Path | None, planner: str, robot: Any) -> Path:
    """Return the folder of a model.

    Args:
        name: A folder, or a name in `models/`; empty is `PLANNER_ROBOT`, the shipped one.
        planner: Name of the planner that asks.
        robot: The robot.

    Raises:
        ConfigurationError: There is no such model.
    """
    shipped = share_directory() / 'models'
    wanted = str(name) if name else f'{planner}_{robot.name}'
    for folder in (*([Path(wanted)] if name else []), shipped / wanted):
        if (folder / CARD_FILE).exists():
            return folder
    known = sorted(path.parent.name for path in shipped.glob(f'*/{CARD_FILE}'))
    raise ConfigurationError(
        f'no model for the planner {planner} of the robot {robot.name}',
        where='planner.model, or --model',
        value=str(wanted), allowed=f'a folder with {CARD_FILE}, or one of: {", ".join(known)}',
        remedy='train one (docs/learning.md), or choose a planner without a model')


def model_if_any(name: str, robot: Any) -> Path | None:
    """Return the folder of the trained planner's model, None where there is none."""
    try:
        return model_directory(name, TRAINED, robot)
    except ConfigurationError:
        return None


def resolve(name: str, robot: Any, model: str = '') -> str:
    """Return the planner's name; `auto` is the trained one if it can run for this robot.

    That needs ONNX Runtime and a shipped model of the robot, or that a model is given; otherwise
    it is `training_free`.
    """
    if name != AUTO:
        return name
    if model:
        return TRAINED
    shipped = share_directory() / 'models' / f'{TRAINED}_{robot.name}' / CARD_FILE
    return TRAINED if shipped.exists() and installed('onnxruntime') else TRAINING_FREE


def load_chain(
    folder: Path, robot: Any, *, backend: str, require_gpu: bool, clock: Clock
) -> DenoisingChain:
    """Return a planner's network, loaded and checked.

    Args:
        folder: Of the model, see `model_directory`.
        robot: The robot.
        backend: A name of `inference.available_backends()`.
        require_gpu: Refuse a CPU.
        clock: Steady time [s].

    Raises:
        ConfigurationError: Not what its card says, or of another robot.
        MissingDependencyError: The backend is missing.
    """
    sampler = inference.load(folder, backend, require_gpu=require_gpu)
    require_robot(sampler.card, robot, folder)
    return DenoisingChain(sampler, clock=clock)


def require_robot(card: ModelCard, robot: Any, where: Path) -> None:
    """Refuse a model of other joints, or of another order of them."""
    if card.joint_names != tuple(robot.joint_names):
        raise ConfigurationError(
            'the model is for another robot', where=str(where / CARD_FILE),
            value=list(card.joint_names), allowed=f'expected {list(robot.joint_names)}',
            remedy='choose a model of this robot, or set planner.type: training_free')
