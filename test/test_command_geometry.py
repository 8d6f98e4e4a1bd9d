# SPDX-License-Identifier: Apache-2.0
"""The dense re-check of commands: what it leaves out cannot touch."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from diffusion_control import robots
from diffusion_control.evaluation import command_geometry
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.published_obstacles import ObstacleSet
from diffusion_control.evaluation.scenery import SceneryCache
from diffusion_control.robots.obstacles import Obstacle, Shape

ARM = robots.load('panda')
SHAPES: tuple[tuple[Shape, tuple[float, ...]], ...] = (
    ('sphere', (0.07,)), ('box', (0.1, 0.2, 0.15)), ('cylinder', (0.06, 0.3)))


def around(random: np.random.Generator) -> tuple[Obstacle, ...]:
    """Return one obstacle of each shape, turned and moving."""
    found = []
    for k, (shape, size) in enumerate(SHAPES):
        quaternion = random.normal(size=4)
        angle, height = random.uniform(0.0, 6.3), random.uniform(0.2, 0.8)
        found.append(Obstacle(
            shape, size, np.array([0.4 * np.cos(angle), 0.4 * np.sin(angle), height]),
            quaternion / np.linalg.norm(quaternion), 0.3 * random.normal(size=3),
            may_move=True, key=str(k)))
    return tuple(found)


def swing(random: np.random.Generator) -> Command:
    """Return a quick motion of half a second that ends at rest."""
    times = np.linspace(0.0, 0.5, 12)
    middle = 0.5 * (ARM.limits.lower_rad + ARM.limits.upper_rad)
    start = ARM.home_rad + 0.3 * random.uniform(-1, 1, 7) * (middle - ARM.home_rad + 1.0)
    top = 0.6 * random.uniform(-1, 1, 7) * ARM.limits.velocity_rad_s
    rate = np.sin(np.pi * times / 0.5) ** 2
    way = times / 2 - 0.5 / (4 * np.pi) * np.sin(2 * np.pi * times / 0.5)
    return Command(10.0, 10.0, times, start + np.outer(way, top), np.outer(rate, top))


def test_leaving_out_what_is_far_changes_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    measured, verdicts = {0.0: 0, 0.25: 0}, []
    inner = mujoco.mj_geomDistance

    def counted(*args: object) -> float:
        measured[command_geometry.FARTHEST_M] += 1
        return float(inner(*args))

    monkeypatch.setattr(mujoco, 'mj_geomDistance', counted)
    for _ in range(60):
        obstacles, command = around(random), swing(random)
        seen = ObstacleSet(9.97, obstacles)
        geometry = SceneryCache(ARM).geometry(obstacles)
        found = []
        for farthest_m in measured:
            monkeypatch.setattr(command_geometry, 'FARTHEST_M', farthest_m)
            found.append(geometry.touches(command, seen))
        assert found[0] == found[1]
        verdicts.append(found[0])
    assert 5 < sum(verdicts) < 55
    assert measured[0.25] < measured[0.0] / 3
