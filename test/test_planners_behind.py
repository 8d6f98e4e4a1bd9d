# SPDX-License-Identifier: Apache-2.0
"""A plan that has not begun foretells the robot, unless the robot does not get there."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_control.planners.behind import BEHIND, falls_behind
from diffusion_control.trajectory.trajectory import Trajectory


def along(first: float, last: float, start_s: float) -> Trajectory:
    """Return a motion of one second along the first of two coordinates."""
    times = np.linspace(0.0, 1.0, 11)
    position = np.column_stack([first + (last - first) * times, np.zeros(11)])
    velocity = np.tile([last - first, 0.0], (11, 1))
    return Trajectory(start_s, times, position, velocity, np.zeros((11, 2)), ('a', 'b'), 'base')


@pytest.mark.parametrize(('motion', 'wanted'), [
    (along(0.0, 1.0, 5.0), False),
    (along(0.0, 0.2, 5.0), True),
    (along(0.3 - 0.9 * BEHIND, 0.3 - 0.9 * BEHIND, 5.0), False),
    (along(0.3 + 1.1 * BEHIND, 0.3 + 1.1 * BEHIND, 5.0), True),
    (None, False)])
def test_a_robot_falls_behind_where_its_motion_does_not_lead_to_the_plan(
    motion: Trajectory | None, wanted: bool
) -> None:
    assert falls_behind(motion, along(0.3, 1.3, 5.3)) is wanted
