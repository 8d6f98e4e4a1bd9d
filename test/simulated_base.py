# SPDX-License-Identifier: Apache-2.0
"""Simulated bases that several tests share."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

from diffusion_control import robots, simulation
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation import Plant, Scene
from diffusion_control.simulation.plant_base import BaseDeviations

ROOM = ('#####', '#...#', '#...#', '#...#', '#####')
MIDDLE = np.array([2.5, 2.5, 0.0])


@functools.cache
def base():
    return robots.load_base('base')


def omni():
    """Return the same robot with a drive in every direction."""
    config = base().config
    return robots.Base(replace(config, drive=replace(config.drive, kind='omni')))


def make(obstacles=(), robot=None, plant='nominal', start=MIDDLE, layout=ROOM, **kwargs):
    """Return a simulation in a room of 3 m x 3 m, from 1 to 4 m."""
    scene = Scene(0, tuple(obstacles), np.array(start, dtype=float), (), layout=layout)
    return simulation.make(robot or base(), scene=scene, plant=plant, **kwargs)


def plant(**deviations):
    """Return the nominal plant with deviations of the base."""
    return replace(Plant.nominal(), base=BaseDeviations(**deviations))


def drive(sim, twist, seconds):
    """Send a twist at 100 Hz."""
    for _ in range(round(seconds * 100)):
        sim.step(np.array(twist, dtype=float), 0.01)
    return sim.true_state()


def body_speed(rows):
    """Return the true forward speed of each row."""
    yaw = rows['q'][:, 2]
    return np.cos(yaw) * rows['dq'][:, 0] + np.sin(yaw) * rows['dq'][:, 1]


def post(x, y, radius_m=0.1, **kwargs):
    return Obstacle('cylinder', (radius_m, 1.0), np.array([x, y, 0.5]), **kwargs)
