# SPDX-License-Identifier: Apache-2.0
"""What is estimated of obstacles is within what the safety monitor allows for."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_control import robots
from diffusion_control.robots.obstacle_observer import STANDING_AFTER_S, ObstacleObserver
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.safety import parameters_of

TURNING_M_S2, SPEED_M_S = 2.0, 0.5


def seen(observer: ObstacleObserver, x_m: float, time_s: float) -> Obstacle:
    """Return what is known of an obstacle that was seen at some place."""
    ball = Obstacle('sphere', (0.1,), np.array([x_m, 0.0, 0.5]), key='a')
    return observer.update((ball,), time_s)[0]


@pytest.mark.parametrize('period_s', [0.02, 0.033, 0.05])
def test_the_velocity_of_a_turning_mover_is_known_to_within_the_monitors_bound(
    period_s: float
) -> None:
    error = parameters_of(robots.load_base('base'), 100.0, {}).obstacles_velocity_error_m_s
    observer, worst = ObstacleObserver(), 0.0
    for k in range(round(0.5 / period_s)):
        time_s = k * period_s  # from -0.5 to 0.5 m/s
        place = -SPEED_M_S * time_s + TURNING_M_S2 * time_s**2 / 2
        found = seen(observer, place, time_s)
        if k >= 2:
            true = -SPEED_M_S + TURNING_M_S2 * time_s
            worst = max(worst, abs(float(found.velocity_m_s[0]) - true))
            assert found.may_move
    assert 0.5 * error < worst <= error + 1e-9


def test_what_stands_since_it_was_first_seen_is_known_to_stand_until_it_has_moved() -> None:
    observer = ObstacleObserver()
    times = np.arange(0.0, STANDING_AFTER_S + 0.1, 0.02)
    assert [seen(observer, 0.0, float(time)).may_move for time in times] == [
        time < STANDING_AFTER_S for time in times]
    assert not seen(observer, 0.003, 0.6).may_move
    assert seen(observer, 0.005, 0.62).may_move
    assert seen(observer, 0.005, 5.5).may_move
    assert not seen(observer, 0.005, 5.7).may_move
