# SPDX-License-Identifier: Apache-2.0
"""When a goal counts as reached in the ground truth."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from diffusion_control import robots
from diffusion_control.evaluation.goal_times import SetGoal, reached_s
from diffusion_control.robots.goal import Goal

ROBOT = robots.load('base')
GOAL = SetGoal(1.0, Goal(position_m=np.array([0.5, 0.0, 0.0])))


def truth(there_s: float, until_s: float) -> Any:
    """Return a base that stands 0.5 m before its goal, and on it from a time to another."""
    times = np.arange(0.0, 4.0, 0.001)
    q = np.zeros((len(times), 3))
    q[(times >= there_s) & (times < until_s), 0] = 0.5
    return SimpleNamespace(t_s=times, q=q, dq=np.zeros_like(q), period_s=0.001)


@pytest.mark.parametrize('begin_s', np.round(np.arange(2.0, 2.01, 0.001), 3))
def test_a_hold_that_its_judge_saw_is_seen_again(begin_s: float) -> None:
    """The simulator looks every 20 ms and sets the next goal as soon as 0.3 s are over."""
    next_s = begin_s + 0.3
    found = reached_s(GOAL, truth(begin_s, 4.0), ROBOT, next_s)
    assert found is not None and found == pytest.approx(next_s, abs=0.03)


def test_a_shorter_hold_is_none() -> None:
    assert reached_s(GOAL, truth(2.0, 2.27), ROBOT, 4.0) is None
