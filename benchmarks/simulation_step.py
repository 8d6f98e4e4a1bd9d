# SPDX-License-Identifier: Apache-2.0
"""Measure what one millisecond of simulation costs, as the demo runs it.

A robot follows a sine through the trajectory controller, replaced at 100 Hz, among 12 obstacles of
which two move; the truth is written to a file, the state is measured at 200 Hz. Printed are the
CPU microseconds per step of 1 ms, and the share of a core at real time.

    python benchmarks/simulation_step.py --robot panda --seconds 10
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time

import numpy as np
from numbers_given import positive

from diffusion_control import robots, simulation
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation.scene import Scene
from diffusion_control.simulation.simulation import Simulation
from diffusion_control.trajectory.trajectory import Trajectory

SHAPES = (('sphere', (0.08,)), ('box', (0.1, 0.2, 0.15)), ('cylinder', (0.06, 0.3)))


def ring_scene(robot: Arm) -> Scene:
    """Return 12 obstacles in a ring around the robot, the first two moving."""
    obstacles = []
    for index, angle in enumerate(np.linspace(0.0, 2 * np.pi, 12, endpoint=False)):
        shape, size = SHAPES[index % 3]
        centre = np.array([0.8 * np.cos(angle), 0.8 * np.sin(angle), 0.3 + 0.05 * index])
        velocity = np.array([0.0, 0.0, 0.3]) if index < 2 else np.zeros(3)
        obstacles.append(Obstacle(shape, size, centre, velocity_m_s=velocity))  # type: ignore[arg-type]
    return Scene(0, tuple(obstacles), robot.home_rad, ())


def command(robot: Arm, now_s: float) -> Trajectory:
    """Return the next 0.4 s of the sine, ending in a stand."""
    times = np.concatenate([np.arange(0.0, 0.42, 0.02), [0.8]])
    t = (now_s + times)[:, None]
    position = robot.home_rad + 0.2 * (1 - np.cos(1.5 * t)) * np.ones(robot.dof)
    velocity = 0.3 * np.sin(1.5 * t) * np.ones(robot.dof)
    position[-1], velocity[-1] = position[-2], 0.0
    return Trajectory(now_s, times, position, velocity, np.zeros_like(position),
                      robot.joint_names)


def measure(sim: Simulation, seconds: int) -> list[float]:
    """Return the CPU microseconds per step of each simulated second."""
    costs = []
    for _ in range(seconds):
        commands_s = 0.0
        start_s = time.process_time()
        for _ in range(100):
            made_s = time.process_time()
            message = command(sim.robot, sim.time_s)
            commands_s += time.process_time() - made_s
            sim.step(message, 0.005)
            sim.step(None, 0.005)
        costs.append((time.process_time() - start_s - commands_s) * 1e3)
    return costs


def main() -> None:
    """Run and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--robot', default='panda')
    parser.add_argument('--seconds', type=positive, default=10)
    parser.add_argument('--plant', default='default')
    options = parser.parse_args()
    robot = robots.load_arm(options.robot)
    with tempfile.TemporaryDirectory() as folder:
        sim = simulation.make(
            robot, scene=ring_scene(robot), plant=options.plant, record=folder)
        measure(sim, 1)
        costs = measure(sim, options.seconds)
        sim.close()
    print(json.dumps({
        'robot': options.robot, 'steps': 1000 * options.seconds,
        'us_per_step_median': round(float(np.median(costs)), 1),
        'us_per_step_worst_second': round(max(costs), 1),
        'core_share_at_real_time': round(float(np.median(costs)) / 1000, 3)}))


if __name__ == '__main__':
    main()
