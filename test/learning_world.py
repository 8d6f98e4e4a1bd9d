# SPDX-License-Identifier: Apache-2.0
"""Small worlds for what learns: obstacles, made-up demonstrations, a tiny network."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffusion_control import robots
from diffusion_control.evaluation.scene_geometry import signed_distance
from diffusion_control.learning.data_set import Demonstrations, stack, write_about, write_part
from diffusion_control.learning.demonstration import Demonstration, Question
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays

MISSING = [name for name in ('torch', 'onnx', 'onnxscript', 'onnxruntime', 'safetensors')
           if importlib.util.find_spec(name) is None]
TURN = np.array([0.0, 0.0, np.sin(0.3), np.cos(0.3)])
TILT = np.array([0.2, -0.4, 0.1, 0.0]) + np.array([0.0, 0.0, 0.0, np.sqrt(1 - 0.21)])
OBSTACLES = (
    Obstacle('sphere', (0.09,), np.array([0.27, 0.27, 0.55])),
    Obstacle('box', (0.1, 0.22, 0.3), np.array([0.5, -0.4, 0.35]), TILT),
    Obstacle('cylinder', (0.05, 0.7), np.array([-0.3, 0.5, 0.4]), TURN))
TINY: dict[str, Any] = {
    'width': 16, 'depth': 1, 'condition': 8, 'batch': 4, 'repeats': 2, 'warm_up_steps': 2,
    'bfloat16': False, 'checkpoint_every': 1000, 'steps': 6, 'longest_ratio': 100.0,
    'validate_every': 0}


@functools.cache
def panda() -> Any:
    """Return the robot with its kernels compiled."""
    robot = robots.load('panda')
    robot.collision.warm_up()
    return robot


def distances(
    robot: Any, position: Any, obstacles: tuple[Obstacle, ...], by_s: float = 0.0
) -> Any:
    """Return the distance of every sphere of the robot to every obstacle, shape [k, S] [m].

    By the judge's geometry, not by the kernels of the planners; obstacles moved on by a time.
    """
    centres, radius = robot.collision.centres(position), robot.collision.radius
    return np.array([
        signed_distance(o, centres - by_s * o.velocity_m_s) - radius for o in obstacles])


def random_demonstrations(count: int, seed: int = 0, hard: float = 0.5) -> list[Demonstration]:
    """Return bent motions of the Panda among obstacles; nobody says that they are free."""
    random, robot = np.random.default_rng(seed), panda()
    arrays = ObstacleArrays.pack(OBSTACLES)
    found = []
    for index in range(count):
        start, goal = robot.home_rad + random.uniform(-0.5, 0.5, (2, robot.dof))
        ramp = np.linspace(0.0, 1.0, 8)[:, None]
        bent = start + (goal - start) * ramp + np.sin(np.pi * ramp) * random.normal(
            0.0, 0.3, robot.dof) + random.normal(0.0, 0.03, (8, robot.dof))
        tier = 'hard' if random.random() < hard else 'easy'
        kept = 1 + index % len(OBSTACLES)
        few = ObstacleArrays(*(getattr(arrays, name)[:kept] for name in (
            'code', 'centre_m', 'rotation', 'half_m', 'velocity_m_s', 'may_move')))
        found.append(Demonstration(
            Question(1_000_000 + index // 2, tier, start, goal, few), bent, 1.0 + index % 3))
    return found


def demonstrations(count: int, seed: int = 0) -> Demonstrations:
    """Return made-up demonstrations as arrays."""
    return stack(random_demonstrations(count, seed))


def write_data(folder: Path, count: int = 12, **about: Any) -> Path:
    """Write a small data set of two parts and return its folder."""
    write_about(folder, {
        'task': 'arm', 'robot': 'panda', 'joint_names': list(panda().joint_names),
        'expert': 'made up', 'seed': 3, 'scenes': count, 'commit': 'abc', **about})
    found = random_demonstrations(count)
    write_part(folder, 'part_001000000', stack(found[:count // 2]))
    write_part(folder, 'part_001000050', stack(found[count // 2:]))
    return folder


def cards(folder: Path) -> Any:
    """Return the text of a model's card as a table."""
    import json
    return json.loads((folder / 'card.json').read_text())


def trained(folder: Path, **settings: Any) -> Path:
    """Train the tiny network in a folder and return the checkpoint; needs torch."""
    from diffusion_control.learning.settings import TrainSettings
    from diffusion_control.learning.training import train
    data = folder / 'data'
    if not data.exists():
        write_data(data)
    return train(
        TrainSettings(data=str(data), **{**TINY, **settings}), folder / 'train', resume=False)


def model(folder: Path, **settings: Any) -> Path:
    """Return the folder of a tiny model that was trained and exported; needs torch and onnx."""
    from diffusion_control.learning.export_model import ExportOptions, export
    return export(ExportOptions(trained(folder, **settings), folder / 'model'))


def exported_model(folder: Path) -> Path:
    """Return a tiny model that was trained and exported; skip where that cannot be done."""
    if MISSING:
        pytest.skip(f'{", ".join(MISSING)}: not installed (extras `train`, `cpu`)')
    import torch
    torch.set_num_threads(1)
    return model(folder, collision_weight=0.0)
