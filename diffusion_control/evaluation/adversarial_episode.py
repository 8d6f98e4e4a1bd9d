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

from diffusion_control import safety
from diffusion_control.evaluation.adversary import KINDS, Adversary
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.loop_truth import judge_episode, sent
from diffusion_control.evaluation.published_obstacles import ObstacleSet
from diffusion_control.evaluation.pusher import Pusher
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.obstacle_observer import ObstacleObserver
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.safety import SafetyMonitor, SafetyParameters
from diffusion_control.safety.verify import Surroundings, Verification, Verifier
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.scene import Scene
from diffusion_control.simulation.simulation import Simulation
from diffusion_control.trajectory.trajectory import Trajectory

OFF, FILTER, TAIL, FULL = 'off', 'filter', 'tail', 'full'
ARRANGEMENTS = (FULL, OFF, FILTER, TAIL)
START_S, SETTLE_S, DURATION_S, OBSERVE_S = 10.0, 0.5, 5.0, 0.02
MOST_DELAY_S = 0.03
MOVERS = 2


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

    def verify(self, motion: Trajectory, around: Surroundings) -> Verification:
        """Return the verdict without the part on distances."""
        found = super().verify(motion, around)
        if found.reason in ('obstacle', 'self_or_floor'):
            return replace(found, ok=True, reason='')
        return found


def run_adversarial(robot: Arm, seed: int, arrangement: str) -> Adversarial:
    """Run one episode.

    Args:
        robot: The nominal robot.
        seed: Seed of everything.
        arrangement: One of `ARRANGEMENTS`.
    """
    return _Loop(robot, seed, arrangement).run()


def hostile_scene(robot: Arm, seed: int, random: np.random.Generator) -> Scene:
    """Return a generated scene, easy or hard, with two movers that turn."""
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
        movers.append(Obstacle(
            'sphere', (float(random.uniform(0.05, 0.1)),), place, key=f'mover/{len(movers)}',
            velocity_m_s=direction * speed / np.linalg.norm(direction), may_move=True))
    return replace(scene, obstacles=(*standing, *movers))


class _Loop:
    """The loop of one episode."""

    def __init__(self, robot: Arm, seed: int, arrangement: str) -> None:
        random = np.random.default_rng([seed, 0xAD5E])
        self.robot, self.seed, self.arrangement = robot, seed, arrangement
        self.rate_hz = 100.0 if seed % 2 == 0 else 200.0
        self.kind = KINDS[(seed // 2) % len(KINDS)]
        plant = Plant.default(seed, robot.dof)
        self.delay_s = round(float(random.uniform(0.0, MOST_DELAY_S)), 3)
        self.simulation = Simulation(
            robot, scene=hostile_scene(robot, seed, random),
            plant=replace(plant, delay_s=self.delay_s), seed=seed, record=True, wander_seed=seed)
        self.adversary = Adversary(robot, self.kind, random)
        self.pusher = Pusher(robot.limits, start_after_s=2.0 / self.rate_hz)
        self.monitor = self._monitor()
        self.observer = ObstacleObserver()
        self.commands: list[Command] = []
        self.seen: list[ObstacleSet] = []

    def _monitor(self) -> SafetyMonitor | None:
        if self.arrangement == OFF:
            return None
        parameters = SafetyParameters(
            rate_hz=self.rate_hz, filter=self.arrangement in (FILTER, FULL),
            fallback_type='hold')
        self.robot.collision.warm_up()
        judge = Indifferent(self.robot, parameters) if self.arrangement == FILTER else None
        return SafetyMonitor(self.robot, parameters, judge)

    def run(self) -> Adversarial:
        """Run all ticks and judge the truth."""
        dt_s = 1.0 / self.rate_hz
        now_s = START_S - SETTLE_S
        state = self.simulation.reset(time_s=now_s, obstacles_move=False)
        ticks, still = round(DURATION_S / dt_s), round(SETTLE_S / dt_s)
        committed: Trajectory | None = None
        seen: tuple[Obstacle, ...] = ()
        seen_s, interventions, decision = now_s, 0, None
        for tick in range(-still, ticks):
            if tick == 0:
                self.simulation.activate_obstacles()
            if tick % round(OBSERVE_S / dt_s) == 0:
                true = self.simulation.obstacles_now()
                seen, seen_s = self.observer.update(true, now_s), now_s
                self.seen.append(ObstacleSet(now_s, true))
            motion = self._motion(committed, state.position, seen, now_s, moves=tick >= 0)
            command = motion
            if self.monitor is not None:
                decision = self.monitor.step(
                    state, motion, seen, now_s, health=self._health(now_s, state.stamp_s, seen_s))
                command = decision.command if decision.send else None
                interventions += decision.intervention
            committed = command if command is not None else committed
            if command is not None:
                self.commands.append(sent(command, now_s))
            state = self.simulation.step(command, dt_s)
            now_s = self.simulation.time_s
        fallback = decision.counters.fallback_ticks if decision is not None else 0
        return self._judge(interventions / ticks, fallback)

    def _motion(
        self, committed: Trajectory | None, position: Any, seen: tuple[Obstacle, ...],
        now_s: float, *, moves: bool,
    ) -> Trajectory | None:
        if committed is None:
            if self.monitor is not None:
                return None
            still = np.zeros((2, self.robot.dof))
            committed = Trajectory(
                now_s, np.array([0.0, 0.1]), np.stack([position, position]), still, still.copy(),
                tuple(self.robot.joint_names), self.robot.base_frame)
        place = committed.sample(now_s + 2.0 / self.rate_hz).position
        velocity = np.zeros(self.robot.dof)
        if moves:
            velocity = self.adversary.velocity(place, seen, now_s)
        return self.pusher.motion(committed, now_s, velocity)

    def _health(self, now_s: float, state_s: float, seen_s: float) -> safety.Health:
        return safety.Health(
            state_age_s=now_s - state_s, motion_age_s=0.0, obstacles_age_s=now_s - seen_s,
            accepted_plan_age_s=0.0, confidence=1.0, planner_alive=True, fallback_alive=True,
            fallback_plan_age_s=0.0, own_gap_s=1.0 / self.rate_hz)

    def _judge(self, interventions: float, fallback_ticks: int) -> Adversarial:
        recorder = self.simulation.recorder
        assert recorder is not None
        arrays = recorder.arrays()
        judged = judge_episode(
            self.robot, arrays, None if self.monitor is None else self.commands, self.seen)
        violations = dict(judged.violations)
        unverified = violations.pop('unverified_command', 0)
        moved = float(np.abs(np.diff(arrays['q'], axis=0)).sum(axis=0).max())
        return Adversarial(
            self.seed, self.arrangement, self.kind, self.rate_hz, self.delay_s,
            judged.contact_moving, judged.contacts_at_rest, violations, unverified, moved,
            interventions, fallback_ticks, judged.clearance_min_m)
