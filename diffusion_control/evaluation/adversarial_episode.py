# SPDX-License-Identifier: Apache-2.0
"""One adversarial episode: a hostile reference, a perturbed robot, turning obstacles, 5 s.

Everything is drawn from the seed: scene, obstacles' turns, plant, actuator delay (0 to 30 ms, of
which the monitor is not told), the kind of adversary and the rate (100 and 200 Hz by halves). The
same seed gives the same episode for every arrangement, until the arrangements act differently.
What depends on the kind of robot is in `hostile.Hostility`.
The truth at 1 kHz and its judgement are those of `check-run`: they share nothing with `safety`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from diffusion_control.evaluation.hostile import AnyAdversary, hostility_of
from diffusion_control.evaluation.monitor_loop import MonitorLoop
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacle_observer import STANDING_AFTER_S
from diffusion_control.safety import SafetyMonitor, parameters_of
from diffusion_control.simulation.plant import Plant

OFF, FILTER, TAIL, FULL = 'off', 'filter', 'tail', 'full'
ARRANGEMENTS = (FULL, OFF, FILTER, TAIL)
START_S, DURATION_S, MOST_DELAY_S = 10.0, 5.0, 0.03
SETTLE_S = STANDING_AFTER_S - 0.1
"""Movers stand while the robot settles, and are not to be taken for what always stands."""


@dataclass(frozen=True)
class Adversarial:
    """The row of an episode.

    Attributes:
        seed: Seed of everything.
        arrangement: `full` (filter and verification), `filter`, `tail` (verification alone) or
            `off` (no monitor).
        kind: Of the adversary.
        rate_hz: Of reference and monitor.
        delay_s: Actuator delay [s].
        contact_moving: Onsets of contacts with an obstacle while the robot moved.
        contacts_at_rest: While it stood.
        violations: Onsets by name, `unverified_command` apart.
        unverified_command: Commands that check-run's rules refuse.
        moved_rad: Way of the fastest joint, of a base its turning: a robot that stands proves
            nothing [rad].
        interventions: Share of the ticks in which the command was not the adversary's.
        fallback_ticks: Ticks in which the stored tail was sent.
        clearance_min_m: Least distance to an obstacle in the truth [m].
        receiver_timeout_s: Of a receiver of twists [s].
        moved_m: Way of a base [m].
        refused: Commands that check-run's rules refuse, by reason.
    """

    seed: int
    arrangement: str
    kind: str
    rate_hz: float
    delay_s: float
    contact_moving: int
    contacts_at_rest: int
    violations: dict[str, int] = field(default_factory=dict)
    unverified_command: int = 0
    moved_rad: float = 0.0
    interventions: float = 0.0
    fallback_ticks: int = 0
    clearance_min_m: float | None = None
    receiver_timeout_s: float | None = None
    moved_m: float | None = None
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def violation_count(self) -> int:
        """Sum of all violations of the contract, contacts at rest apart."""
        return (self.contact_moving + sum(self.violations.values()) + self.unverified_command)

    @property
    def touched(self) -> bool:
        """Whether the moving robot touched an obstacle, a wall or itself."""
        return self.contact_moving + self.violations.get('self_or_wall', 0) > 0

    def row(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, row: dict[str, Any]) -> Adversarial:
        """Return the episode of a row."""
        return cls(**{item.name: row[item.name] for item in fields(cls)})


def adversarial_loop(
    robot: Arm | Base, seed: int, arrangement: str, *, timeout_s: float | None = None,
    **changes: Any,
) -> tuple[MonitorLoop, AnyAdversary]:
    """Return the loop of an episode and its adversary.

    Args:
        robot: The nominal robot.
        seed: Seed of everything.
        arrangement: One of `ARRANGEMENTS`.
        timeout_s: Of a receiver of twists [s]; None takes the robot's.
        **changes: Other values of fields of `SafetyParameters`.
    """
    hostility = hostility_of(robot)
    driven = hostility.at_timeout(timeout_s)
    random = np.random.default_rng([seed, 0xAD5E])
    rate_hz = 100.0 if seed % 2 == 0 else 200.0
    delay_s = round(float(random.uniform(0.0, MOST_DELAY_S)), 3)
    side = hostility.side(
        driven, hostility.scene(seed, random),
        replace(Plant.default(seed, robot.dof), delay_s=delay_s), seed)
    kinds = hostility.kinds
    adversary = hostility.adversary(kinds[(seed // 2) % len(kinds)], random)
    monitor = _monitor(driven, arrangement, rate_hz, changes)
    return MonitorLoop(driven, side, monitor, rate_hz, START_S - SETTLE_S), adversary


def _monitor(
    robot: Arm | Base, arrangement: str, rate_hz: float, changes: dict[str, Any]
) -> SafetyMonitor | None:
    if arrangement == OFF:
        return None
    robot.collision.warm_up()
    parameters = parameters_of(robot, rate_hz, {
        'filter': arrangement in (FILTER, FULL), 'fallback_type': 'hold', **changes})
    judge = None
    if arrangement == FILTER:
        judge = hostility_of(robot).indifferent(robot, parameters)
    return SafetyMonitor(robot, parameters, judge)


def run_adversarial(
    robot: Arm | Base, seed: int, arrangement: str, *, timeout_s: float | None = None,
    **changes: Any,
) -> Adversarial:
    """Run one episode; the arguments are those of `adversarial_loop`."""
    loop, adversary = adversarial_loop(robot, seed, arrangement, timeout_s=timeout_s, **changes)
    ticks, still = round(DURATION_S * loop.rate_hz), round(SETTLE_S * loop.rate_hz)
    rest = np.zeros(robot.dof)
    for tick in range(-still, ticks):
        if tick == 0:
            loop.simulation.activate_obstacles()
        loop.observe()
        asked = rest
        if tick >= 0:
            asked = adversary.velocity(loop.reference(), loop.sight, loop.now_s)
        loop.tick(asked)
    return _judge(loop, seed, arrangement, adversary.kind, timeout_s, loop.interventions / ticks)


def _judge(
    loop: MonitorLoop, seed: int, arrangement: str, kind: str, timeout_s: float | None,
    interventions: float,
) -> Adversarial:
    judged = loop.side.judge(verified=loop.monitor is not None)
    violations = {name: int(count or 0) for name, count in judged.violations.items()}
    unverified = violations.pop('unverified_command', 0)
    decision = loop.decision
    way = hostility_of(loop.robot).way(loop.simulation.recorder.arrays())
    return Adversarial(
        seed, arrangement, kind, loop.rate_hz, loop.simulation.plant.delay_s,
        judged.contact_moving, judged.contacts_at_rest, violations, unverified,
        interventions=interventions,
        fallback_ticks=decision.counters.fallback_ticks if decision is not None else 0,
        clearance_min_m=judged.clearance_min_m, receiver_timeout_s=timeout_s,
        refused=judged.unverified, **way)
