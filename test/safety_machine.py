# SPDX-License-Identifier: Apache-2.0
"""Drive the state machine through simulated time, for its tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from diffusion_control.safety.health import Health, Thresholds
from diffusion_control.safety.state_machine import (
    Machine,
    advance,
)

DT = 0.01
LIMITS = Thresholds()
GOOD = Health(
    state_age_s=0.005, motion_age_s=0.005, obstacles_age_s=0.02, accepted_plan_age_s=0.1,
    planner_period_s=0.2, confidence=0.9, planner_alive=True, fallback_alive=True,
    fallback_plan_age_s=0.3, own_gap_s=DT, armed=True, at_rest=True)
MOVING = replace(GOOD, at_rest=False)


class Run:
    """Drive the machine through time and note every state once."""

    def __init__(self, limits: Thresholds = LIMITS, start: Health = GOOD) -> None:
        self.limits, self.machine = limits, Machine()
        self.path: list[tuple[float, str]] = []
        self.now = 0.0
        for _ in range(40):
            self.machine = advance(self.machine, start, DT, limits)
        self.texts: list[str] = []

    def go(self, seconds: float, health: Callable[[float], Health] | Health) -> Run:
        """Run on; `health` is a value or a function of the time since this call [s]."""
        for k in range(round(seconds / DT)):
            value = health(k * DT) if callable(health) else health
            before = self.machine.state
            self.machine = advance(self.machine, value, DT, self.limits)
            self.now += DT
            if self.machine.state != before:
                self.path.append((self.now, self.machine.state))
                self.texts.append(self.machine.text())
        return self

    @property
    def states(self) -> list[str]:
        return [state for _, state in self.path]

    def when(self, state: str) -> float:
        return next(t for t, s in self.path if s == state)


def contains(path: list[str], wanted: list[str]) -> bool:
    rest = iter(path)
    return all(state in rest for state in wanted)
