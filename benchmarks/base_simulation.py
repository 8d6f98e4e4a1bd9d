# SPDX-License-Identifier: Apache-2.0
"""Measure the simulated base: cost of a millisecond and a scan, and how it brakes on silence.

Braking: for plants by seed (lag, slope, wheels, delay as drawn) a twist is held, then nothing more
is sent. The truth is compared with the receiver's rule (twist held for the time-out, then braked)
from the pose at the last twist. Printed is the worst deviation: what a monitor has to allow for.

    python benchmarks/base_simulation.py --seeds 12
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from numbers_given import positive

from diffusion_control import robots, simulation
from diffusion_control.evaluation.base.silence import Silence
from diffusion_control.evaluation.base_worlds import generate_world
from diffusion_control.robots.base import Base

TWISTS = ((0.6, 0.0), (0.5, 1.2), (-0.3, 0.5), (0.0, 1.8))
TIMEOUTS_S = (0.2, 0.5)


def costs(robot: Base) -> dict[str, float]:
    """Return the CPU time of a step [us], of a scan [ms] and of a reset [ms]."""
    sim = simulation.make(robot, scene=generate_world(robot, 1, 'hard'), seed=1, record=True)
    sim.advance(200)
    sim.scan()
    begin = time.thread_time()
    sim.advance(3000)
    step = (time.thread_time() - begin) / 3000
    begin = time.thread_time()
    for _ in range(100):
        sim.scan()
    scan = (time.thread_time() - begin) / 100
    begin = time.thread_time()
    sim.reset()
    return {'us_per_step': round(1e6 * step, 1), 'ms_per_scan': round(1e3 * scan, 3),
            'ms_per_reset': round(1e3 * (time.thread_time() - begin), 1)}


def deviation(robot: Base, seed: int, twist: tuple[float, float], timeout_s: float) -> np.ndarray:
    """Return the largest deviation in place [m] and yaw [rad], and how much later it rests [s]."""
    sim = simulation.make(
        robot, plant='default', seed=seed, record=True, receiver_timeout_s=timeout_s)
    for _ in range(120):
        sim.step(np.array(twist), 0.01)
    sim.receive(np.array(twist))
    pose, begin = sim.true_state().position, round(1e3 * sim.time_s) - 1
    sim.advance(round(1e3 * (timeout_s + 1.0)))
    rule = Silence(robot.drive, timeout_s).command(
        pose, np.array([twist[0], 0.0, twist[1]]), 0.0)
    ticks = np.arange(0, round(1e3 * (timeout_s + 1.0)), 5)
    assert sim.recorder is not None
    rows = sim.recorder.arrays()
    apart = np.abs(rows['q'][begin + ticks] - rule.position_at(1e-3 * ticks))
    rest = int(np.argmax(np.abs(rows['dq'][begin:]).max(axis=1) < 0.01)) / 1e3
    return np.array([np.hypot(*apart[:, :2].T).max(), apart[:, 2].max(),
                     rest - float(rule.times_s[-1])])


def main() -> None:
    """Run and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--robot', default='base')
    parser.add_argument('--seeds', type=positive, default=12)
    options = parser.parse_args()
    robot = robots.load_base(options.robot)
    rows = []
    for twist in TWISTS:
        for timeout_s in TIMEOUTS_S:
            worst = np.max([deviation(robot, seed, twist, timeout_s)
                            for seed in range(options.seeds)], axis=0)
            rows.append({'twist': twist, 'timeout_s': timeout_s, 'place_m': round(worst[0], 4),
                         'yaw_rad': round(worst[1], 4), 'rest_later_s': round(worst[2], 3)})
    print(json.dumps({**costs(robot), 'seeds': options.seeds, 'silence': rows}))


if __name__ == '__main__':
    main()
