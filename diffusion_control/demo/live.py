# SPDX-License-Identifier: Apache-2.0
"""The values of the live panel, from what the monitor has seen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from diffusion_control.demo.injector import Fired
from diffusion_control.evaluation.monitor_states import NO_MONITOR
from diffusion_control.nodes.demo_monitor import Seen


def live_values(
    seen: Seen, moved_s: float, duration_s: float, speed_share: float, fired: Sequence[Fired]
) -> dict[str, Any]:
    """Return what `evaluation.tables.live_panel` shows.

    Args:
        seen: What the monitor has seen.
        moved_s: Time since the first motion [s].
        duration_s: Time the motion shall last [s].
        speed_share: Largest joint speed over its limit.
        fired: Faults injected so far.
    """
    status, goals = seen.status, seen.simulator.get('goals') or {}
    rates = seen.rates.hz(time.monotonic())
    state, cause = seen.states[-1][1] if seen.states else None, status.get('cause')
    if rates.get('safety') == 0.0:
        state, cause = NO_MONITOR, 'nothing heard of safety for 1 s'
    return {
        'time_s': moved_s, 'duration_s': duration_s,
        'state': state, 'cause': cause, 'mode': status.get('mode'), 'rates_hz': rates,
        'plan_latency_s': seen.planner.get('latency_s'),
        'plan_source': seen.planner.get('source'), 'confidence': seen.planner.get('confidence'),
        'clearance_m': seen.simulator.get('distance_min_m'), 'speed_share': speed_share,
        'interventions': status.get('interventions'),
        'fallback_ticks': status.get('fallback_ticks'),
        'missed_ticks': sum((seen.tracker.get('missed') or {}).values()),
        'goals_reached': goals.get('reached'), 'goal_open_s': goals.get('open_s'),
        'fault': fired[-1].name if fired else None,
        'note': None if moved_s > 0.0 else 'waiting for the first motion'}
