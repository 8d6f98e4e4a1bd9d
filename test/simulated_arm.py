# SPDX-License-Identifier: Apache-2.0
"""Simulated arms and motions that several tests of the simulation share."""

from __future__ import annotations

import functools

import numpy as np

from diffusion_control import robots, simulation
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation import Scene
from diffusion_control.trajectory.trajectory import Trajectory

KEYS = {'t_s', 'q', 'dq', 'ddq', 'tau_demand', 'cmd', 'contacts', 'contact_pairs',
        'point_speed_max_m_s', 'distance_min_m', 'obstacles', 'joint_names', 'exempt'}


@functools.cache
def arm(name):
    return robots.load(name)


def sine(robot, times_s, amplitude_rad, rate_rad_s):
    """Return positions and velocities of a sine about the home pose that begins at rest."""
    t = np.asarray(times_s)[:, None]
    phase = np.arange(robot.dof) * 0.5
    swell, rise = 1 - np.exp(-t**2), 2 * t * np.exp(-t**2)
    wave = np.sin(rate_rad_s * t + phase) - np.sin(phase)
    slope = rate_rad_s * np.cos(rate_rad_s * t + phase)
    return (robot.home_rad + amplitude_rad * swell * wave,
            amplitude_rad * (rise * wave + swell * slope))


def motion(robot, now_s, amplitude_rad, rate_rad_s, start_s=0.0):
    """Return the next 0.4 s of the sine and a stand at its end, as a tracker sends it."""
    times = np.concatenate([np.arange(0, 0.42, 0.02), [0.8]])
    q, v = sine(robot, now_s - start_s + times, amplitude_rad, rate_rad_s)
    q[-1], v[-1] = q[-2], 0.0
    return Trajectory(now_s, times, q, v, np.zeros_like(q), robot.joint_names)


def follow(sim, seconds, amplitude_rad=0.2, rate_rad_s=0.8, start_s=0.0):
    """Replace the trajectory at 100 Hz; return the true error per millisecond."""
    errors = []
    for _ in range(round(seconds * 100)):
        sim.receive(motion(sim.robot, sim.time_s, amplitude_rad, rate_rad_s, start_s))
        for _ in range(10):
            sim.advance(1)
            wanted, _ = sine(sim.robot, [sim.time_s - start_s], amplitude_rad, rate_rad_s)
            errors.append(sim.data.qpos - wanted[0])
    return np.array(errors)


def make(name='panda', obstacles=(), plant='nominal', **kwargs):
    robot = arm(name)
    scene = Scene(0, tuple(obstacles), robot.home_rad, ())
    return simulation.make(robot, scene=scene, plant=plant, **kwargs)


def tool_ball(name='panda', radius_m=0.05, offset=(0.0, 0.0, 0.0), **kwargs):
    position, _ = arm(name).tool_pose(arm(name).home_rad)
    return Obstacle('sphere', (radius_m,), position + np.array(offset), **kwargs)
