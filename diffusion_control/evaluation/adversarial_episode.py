# SPDX-License-Identifier: Apache-2.0
"""One adversarial episode: a hostile reference, a perturbed robot, turning obstacles, 5 s.

Everything is drawn from the seed: scene, obstacles' turns, plant, actuator delay (0 to 30 ms, of
which the monitor is not told), the kind of adversary and the rate (100 and 200 Hz by halves). The
same seed gives the same episode for every arrangement, until the arrangements act differently.
The truth at 1 kHz and its judgement are those of `check-run`: they share nothing with `safety`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from diffusion_control.evaluation.adversary import KINDS, Adversary
from diffusion_control.evaluation.loop_truth import judge_episode
from diffusion_control.evaluation.monitor_loop import MonitorLoop
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.safety import SafetyMonitor, SafetyParameters
from diffusion_control.safety.verify import Surroundings, Verification, Verifier
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.scene import Scene
from diffusion_control.simulation.simulation import Simulation
from diffusion_control.trajectory.trajectory import Trajectory

OFF, FILTER, TAIL, FULL = 'off', 'filter', 'tail', 'full'
ARRANGEMENTS = (FULL, OFF, FILTER, TAIL)
START_S, SETTLE_S, DURATION_S = 10.0, 0.5, 5.0
MOST_DELAY_S = 0.03
MOVERS = 2
FIRST_M = 0.02


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
        moved_rad: Way of the fastest joint: a robot that stands proves nothing [rad].
        interventions: Share of the ticks in which the command was not the adversary's.
        fallback_ticks: Ticks in which the stored tail was sent.
        clearance_min_m: Least distance to an obstacle in the truth [m].
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


class Indifferent(Verifier):
    """Judge motions, and let all pass that obstacles or own links alone speak against."""

    def verify(
        self, motion: Trajectory, around: Surroundings, *, complete: bool = True
    ) -> Verification:
        """Return the verdict without the part on distances."""
        found = super().verify(motion, around, complete=complete)
        if found.reason in ('obstacle', 'self_or_floor'):
            return replace(found, ok=True, reason='')
        return found


def hostile_scene(robot: Arm, seed: int, random: np.random.Generator) -> Scene:
    """Return a generated scene, easy or hard, with two movers that turn, at first clear of it."""
    scene = generate_scene(robot, 700_000 + seed, 'hard' if seed % 3 == 0 else 'easy')
    standing = [o for o in scene.obstacles if not o.velocity_m_s.any()]
    centre = robot.tool_pose(np.asarray(scene.start_rad))[0]
    movers: list[Obstacle] = []
    while len(movers) < MOVERS:
        place = random.uniform([-0.8, -0.8, 0.2], [0.8, 0.8, 1.0])
        if np.linalg.norm(place - centre) < 0.35 or np.linalg.norm(place[:2]) < 0.3:
            continue
        direction = random.normal(size=3)
        speed = random.uniform(0.2, 0.5)
        mover = Obstacle(
            'sphere', (float(random.uniform(0.05, 0.1)),), place, key=f'mover/{len(movers)}',
            velocity_m_s=direction * speed / np.linalg.norm(direction), may_move=True)
        near, _ = robot.collision.clearance(
            np.asarray(scene.start_rad), ObstacleArrays.pack((mover,)))
        if near >= FIRST_M:
            movers.append(mover)
    return replace(scene, obstacles=(*standing, *movers))


def adversarial_loop(
    robot: Arm, seed: int, arrangement: str, **changes: Any
) -> tuple[MonitorLoop, Adversary]:
    """Return the loop of an episode and its adversary.

    Args:
        robot: The nominal robot.
        seed: Seed of everything.
        arrangement: One of `ARRANGEMENTS`.
        **changes: Other values of fields of `SafetyParameters`.
    """
    random = np.random.default_rng([seed, 0xAD5E])
    rate_hz = 100.0 if seed % 2 == 0 else 200.0
    delay_s = round(float(random.uniform(0.0, MOST_DELAY_S)), 3)
    simulation = Simulation(
        robot, scene=hostile_scene(robot, seed, random),
        plant=replace(Plant.default(seed, robot.dof), delay_s=delay_s), seed=seed, record=True,
        wander_seed=seed)
    adversary = Adversary(robot, KINDS[(seed // 2) % len(KINDS)], random)
    monitor = _monitor(robot, arrangement, rate_hz, changes)
    return MonitorLoop(robot, simulation, monitor, rate_hz, START_S - SETTLE_S), adversary


def _monitor(
    robot: Arm, arrangement: str, rate_hz: float, changes: dict[str, Any]
) -> SafetyMonitor | None:
    if arrangement == OFF:
        return None
    parameters = replace(SafetyParameters(
        rate_hz=rate_hz, filter=arrangement in (FILTER, FULL), fallback_type='hold'), **changes)
    robot.collision.warm_up()
    judge = Indifferent(robot, parameters) if arrangement == FILTER else None
    return SafetyMonitor(robot, parameters, judge)


def run_adversarial(
    robot: Arm, seed: int, arrangement: str, **changes: Any
) -> Adversarial:
    """Run one episode; the arguments are those of `adversarial_loop`."""
    loop, adversary = adversarial_loop(robot, seed, arrangement, **changes)
    ticks, still = round(DURATION_S * loop.rate_hz), round(SETTLE_S * loop.rate_hz)
    rest = np.zeros(robot.dof)
    for tick in range(-still, ticks):
        if tick == 0:
            loop.simulation.activate_obstacles()
        loop.observe()
        asked = rest
        if tick >= 0:
            asked = adversary.velocity(loop.reference(), loop.obstacles, loop.now_s)
        loop.tick(asked)
    return _judge(loop, seed, arrangement, adversary.kind, loop.interventions / ticks)


def _judge(
    loop: MonitorLoop, seed: int, arrangement: str, kind: str, interventions: float
) -> Adversarial:
    recorder = loop.simulation.recorder
    assert recorder is not None
    arrays = recorder.arrays()
    judged = judge_episode(
        loop.robot, arrays, None if loop.monitor is None else loop.commands, loop.seen)
    violations = {name: int(count or 0) for name, count in judged.violations.items()}
    unverified = violations.pop('unverified_command', 0)
    decision = loop.decision
    return Adversarial(
        seed, arrangement, kind, loop.rate_hz, loop.simulation.plant.delay_s,
        judged.contact_moving, judged.contacts_at_rest, violations, unverified,
        float(np.abs(np.diff(arrays['q'], axis=0)).sum(axis=0).max()), interventions,
        decision.counters.fallback_ticks if decision is not None else 0, judged.clearance_min_m)
