# SPDX-License-Identifier: Apache-2.0
"""Classical search for a collision-free path: RRT-Connect of OMPL, simplified.

J. Kuffner, S. LaValle, "RRT-Connect: An efficient approach to single-query path planning",
ICRA 2000; I. Sucan, M. Moll, L. Kavraki, "The Open Motion Planning Library", 2012.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ompl import base, geometric, util

from diffusion_control.robots.limits import JointLimits

Array = NDArray[np.float64]
Valid = Callable[[Array], bool]
STEP_RAD = 0.05
RANGE_RAD = 0.5
SPACING_RAD = 0.1
SMOOTHING_ROUNDS = 3

util.setLogLevel(util.LogLevel.LOG_NONE)


def find_path(
    limits: JointLimits, start: Array, goals: Array, valid: Valid, *, seed: int,
    until: float | Callable[[], bool], smooth: bool = True,
) -> Array | None:
    """Return way-points [W, n] from the start to one of the goals, or None.

    Args:
        limits: Position limits of the search space.
        start: Configuration [n].
        goals: Configurations [K, n]; any of them will do.
        valid: Says whether a configuration is free.
        seed: Seed of OMPL's random numbers.
        until: Longest time of the search [s], or says when it has looked long enough (by a count,
            equal seeds give equal paths on every machine); the simplification comes on top.
        smooth: Round the corners (each change is checked for collisions).
    """
    util.RNG.setSeed(seed % (2**31 - 2) + 1)
    space = _space(limits, start, goals)
    setup = geometric.SimpleSetup(space)
    setup.setStateValidityChecker(_checker(valid, len(start)))
    information = setup.getSpaceInformation()
    information.setStateValidityCheckingResolution(STEP_RAD / space.getMaximumExtent())
    setup.setStartState(_state(space, start))
    targets = base.GoalStates(information)
    for goal in goals:
        targets.addState(_state(space, goal))
    setup.setGoal(targets)
    planner = geometric.RRTConnect(information)
    planner.setRange(RANGE_RAD)
    setup.setPlanner(planner)
    setup.solve(base.PlannerTerminationCondition(until) if callable(until) else until)
    if not setup.haveExactSolutionPath():
        return None
    setup.simplifySolution()
    path = setup.getSolutionPath()
    if smooth:
        geometric.PathSimplifier(information).smoothBSpline(path, SMOOTHING_ROUNDS, 0.005)
    path.interpolate(max(int(np.ceil(path.length() / SPACING_RAD)), 3) + 1)
    return np.array([[state[k] for k in range(len(start))] for state in path.getStates()])


def _space(limits: JointLimits, start: Array, goals: Array) -> Any:
    """Return the box of the position limits, widened where start or goal lie outside."""
    low = np.minimum(limits.lower_rad, np.minimum(start, goals.min(0)) - 1e-6)
    high = np.maximum(limits.upper_rad, np.maximum(start, goals.max(0)) + 1e-6)
    space, bounds = base.RealVectorStateSpace(len(start)), base.RealVectorBounds(len(start))
    for k in range(len(start)):
        bounds.setLow(k, float(low[k]))
        bounds.setHigh(k, float(high[k]))
    space.setBounds(bounds)
    return space


def _state(space: Any, position: Array) -> Any:
    """Return an OMPL state at a configuration."""
    state = space.allocState()
    for k, value in enumerate(position):
        state[k] = float(value)
    return state


def _checker(valid: Valid, count: int) -> Callable[[Any], bool]:
    """Return the validity callback of OMPL states."""
    position = np.zeros(count)

    def check(state: Any) -> bool:
        for k in range(count):
            position[k] = state[k]
        return valid(position)

    return check
