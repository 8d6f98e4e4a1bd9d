# SPDX-License-Identifier: Apache-2.0
"""Time the robot's distances: one configuration, a tail of 40 knots, a batch with gradient.

Run: python benchmarks/distance_times.py panda
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from diffusion_control import robots
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays, Shape

OBSTACLES, KNOTS, BATCH = 10, 40, 4096
SHAPES: tuple[tuple[Shape, tuple[float, ...]], ...] = (
    ('sphere', (0.08,)), ('box', (0.1, 0.2, 0.3)), ('cylinder', (0.06, 0.3)))


def obstacles(generator: np.random.Generator) -> ObstacleArrays:
    """Return spheres, boxes and cylinders around the robot, two of them moving."""
    found = []
    for k in range(OBSTACLES):
        shape, size = SHAPES[k % 3]
        quaternion = generator.normal(size=4)
        found.append(Obstacle(
            shape, size, generator.uniform([-0.7, -0.7, 0.1], [0.7, 0.7, 0.9]),
            quaternion / np.linalg.norm(quaternion),
            generator.normal(size=3) * (0.1 if k < 2 else 0.0), may_move=k < 2))
    return ObstacleArrays.pack(tuple(found))


def measure(name: str, call: Callable[[], object], count: int, per: int = 1) -> None:
    """Print the least, the median and the 99th percentile of a call, divided by `per` [us]."""
    call()
    times = np.empty(count)
    for k in range(count):
        start = time.perf_counter_ns()
        call()
        times[k] = (time.perf_counter_ns() - start) / 1e3 / per
    low, middle, high = times.min(), *np.percentile(times, [50, 99])
    print(f'{name:44s} {low:9.2f} {middle:9.2f} {high:9.2f}')


def main(name: str) -> None:
    """Print the table of one robot."""
    start = time.perf_counter()
    arm = robots.load_arm(name)
    arm.warm_up()
    model, generator = arm.collision, np.random.default_rng(0)
    print(f'{name}: {len(model.radius)} spheres, {len(model.pairs)} pairs, {OBSTACLES} obstacles, '
          f'loaded and warm in {time.perf_counter() - start:.2f} s')
    pack, home = obstacles(generator), arm.home_rad
    tail, times = np.linspace(home, home + 0.3, KNOTS), np.linspace(0.0, 0.4, KNOTS)
    many = generator.uniform(arm.limits.lower_rad, arm.limits.upper_rad, (BATCH, arm.dof))
    when = np.linspace(0.0, 1.0, BATCH)
    print(f'{"microseconds":44s} {"least":>9s} {"median":>9s} {"p99":>9s}')
    measure('clearance', lambda: model.clearance(home, pack), 3000)
    measure(f'path_clearance, {KNOTS} knots',
            lambda: model.path_clearance(tail, times, pack), 1000)
    measure(f'reach_clearance, {KNOTS} knots',
            lambda: model.reach_clearance(tail, times, pack, velocity_error_m_s=0.05), 1000)
    for slope in (False, True):
        measure(f'cost per configuration, gradient {slope}',
                partial(model.cost, many, when, pack, 0.02, 0.01, slope), 60, BATCH)
    measure('tool_pose', lambda: arm.tool_pose(home), 3000)
    measure('tool_jacobian', lambda: arm.tool_jacobian(home), 3000)
    measure('inverse_dynamics', lambda: arm.inverse_dynamics(home, home, home), 3000)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('robot_config', nargs='?', default='panda', help='default: panda')
    main(parser.parse_args().robot_config)
