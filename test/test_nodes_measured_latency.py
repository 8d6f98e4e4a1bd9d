# SPDX-License-Identifier: Apache-2.0
"""How far ahead plans begin."""

from __future__ import annotations

import pytest

from diffusion_control.nodes.measured_latency import MeasuredLatency


def test_a_plan_begins_as_far_ahead_as_plans_took() -> None:
    latency = MeasuredLatency()
    assert latency.lead_s(0.15) == 0.15, 'nothing was measured'
    latency.note(0.3)
    assert latency.lead_s(0.15) == 0.3 and latency.lead_s(0.4) == 0.4
    latency.note(0.5)
    assert latency.lead_s(0.15) == 0.5


def test_a_slow_plan_is_forgotten_by_and_by() -> None:
    latency = MeasuredLatency()
    latency.note(1.0)
    for _ in range(3):
        latency.note(0.1)
    assert latency.lead_s(0.05) == pytest.approx(0.8**3)
    for _ in range(30):
        latency.note(0.1)
    assert latency.lead_s(0.05) == pytest.approx(0.1)


def test_nobody_plans_further_ahead_than_a_plan_reaches() -> None:
    latency = MeasuredLatency()
    latency.note(30.0)
    assert latency.lead_s(0.15) == 1.5
