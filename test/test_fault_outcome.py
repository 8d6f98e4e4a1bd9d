# SPDX-License-Identifier: Apache-2.0
"""How the end of an injected fault is judged: which command was the first that braked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='needs MuJoCo (extra sim)')

from diffusion_control.demo.fault_table import specifications
from diffusion_control.demo.injector import Fired
from diffusion_control.demo.outcome import first_brake_s

TABLE = specifications(
    planner_rate_hz=5.0, state_stale_s=0.05, obstacles_stale_s=0.2, fallback_holds=False)


def run_of(commands_s: list[float], reports: list[tuple[float, str]]) -> Any:
    """Return as much of a run as is looked at: commands, and actions with their times."""
    status = SimpleNamespace(
        publish_s=np.array([time for time, _ in reports]),
        reports=[{'action': action} for _, action in reports])
    return SimpleNamespace(
        recording=SimpleNamespace(stream=lambda topic: status),
        command_stream=SimpleNamespace(publish_s=np.array(commands_s)))


@pytest.mark.parametrize('period_s', [0.0096, 0.0104])
def test_the_first_braking_command_is_that_of_the_tick_that_says_so(period_s: float) -> None:
    fired = Fired('emergency_stop', 0.0, 10.0, 10.0, 10.0, 0.9)
    ticks = [9.995 + k * period_s for k in range(4)]
    run = run_of(ticks, [(ticks[0] + 1e-4, 'followed'), (ticks[2] + 1e-4, 'brake')])
    found = first_brake_s(fired, run, TABLE['emergency_stop'])
    assert found == pytest.approx(ticks[2] - 10.0)
