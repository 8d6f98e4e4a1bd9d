# SPDX-License-Identifier: Apache-2.0
"""Fill the cache of a base's compiled kernels, so that its first demo starts like any other.

Usage: python -m diffusion_control.demo.warm_up (after an installation)
"""

from __future__ import annotations

import time

import numpy as np

from diffusion_control import planners, robots, safety, tracking
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.planners.registry import BASE_PLANNERS
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.scan import Scan
from diffusion_control.robots.state import RobotState
from diffusion_control.safety.warm_up import exercise
from diffusion_control.tracking.admission import PlanAdmission
from diffusion_control.tracking.exercise import exercise as exercise_tracker
from diffusion_control.tracking.protocol import Reference

ROOM = ('#####', '#...#', '#.#.#', '#...#', '#####')
FALLBACKS = ('classical', 'hold')


def problem() -> PlanningProblem:
    """Return a way round a pillar, with a mover and a scan."""
    known = OccupancyMap.from_layout(ROOM, 1.0, origin=(-1.5, -1.5))
    ranges = np.full(360, np.inf)
    ranges[0] = 0.5
    scan = Scan(0.0, -np.pi, np.pi / 180, ranges, 0.05, 8.0)
    mover = Obstacle('cylinder', (0.1, 0.5), np.array([1.0, 1.0, 0.2]), may_move=True)
    return PlanningProblem(
        RobotState(np.zeros(3), np.zeros(3), 1.0), Goal(position_m=np.array([2.0, 2.0, 0.0])),
        (mover,), map=known, scan=scan, start_s=1.0)


def warm_up(robot: robots.Base) -> None:
    """Let every part of a base's loop work once."""
    robot.warm_up()
    exercise(safety.make(robot, rate_hz=100.0), robot)
    tracker = tracking.make('mpc', robot=robot)
    exercise_tracker(tracker, robot)
    tracker.step(problem().state, Reference(goal_rad=np.ones(3)), 1.0)
    asked = problem()
    without_model = [name for name in BASE_PLANNERS
                     if 'model' not in planners.parameters_of(name, 'base')]
    for make, names in ((planners.make, without_model), (planners.make_fallback, FALLBACKS)):
        for name in names:
            try:
                plan = make(name, robot=robot).plan(asked, 0.5).trajectory
            except PlanningError as error:
                print(f'{name}: {error.reason}')
                continue
            if plan is not None:
                PlanAdmission(robot).judge(
                    plan, 0.9, None, robot.pack(asked.obstacles, map=asked.map, scan=asked.scan))
                for tick in range(5):
                    tracker.step(asked.state, Reference(plan), 1.0 + 0.01 * tick)


def main() -> None:
    """Fill the cache of compiled kernels."""
    begin = time.monotonic()
    warm_up(robots.load_base('base'))
    print(f'base: {time.monotonic() - begin:.2f} s')


if __name__ == '__main__':
    main()
