# SPDX-License-Identifier: Apache-2.0
"""A small world for tests of the safety monitor: ideal robot with a delay, bounded movers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control import robots, safety
from diffusion_control.robots import Arm, Obstacle, ObstacleArrays, RobotState
from diffusion_control.safety import Health, SafetyDecision, SafetyMonitor
from diffusion_control.trajectory.pusher import Pusher
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]

DT_S = 0.01
STEP_S = 0.001
NOISE_RAD = 1e-4
ARM = robots.load('panda')
SPIN = np.array([1.3, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
GOOD = Health(
    state_age_s=0.0, motion_age_s=0.0, obstacles_age_s=0.0, accepted_plan_age_s=0.1,
    confidence=0.9, planner_alive=True, fallback_alive=True, fallback_plan_age_s=0.3,
    own_gap_s=0.01)


@dataclass
class Mover:
    """An obstacle within the published bounds, which turns whenever it likes."""

    obstacle: Obstacle
    speed_m_s: float
    velocity: Array = field(default_factory=lambda: np.zeros(3))
    target: Array = field(default_factory=lambda: np.zeros(3))

    def step(self, rng: np.random.Generator) -> None:
        """Advance 1 ms at no more than 2 m/s^2."""
        if rng.random() < 0.002:
            direction = rng.normal(size=3)
            self.target = direction * self.speed_m_s / np.linalg.norm(direction)
        change = self.target - self.velocity
        size = float(np.linalg.norm(change))
        self.velocity = self.velocity + change * min(1.0, 2.0 * STEP_S / max(size, 1e-9))
        self.obstacle = replace(
            self.obstacle, position_m=self.obstacle.position_m + STEP_S * self.velocity)


@dataclass
class World:
    """Ideal robot that executes C with a delay, movers, and the truth at 1 kHz.

    Attributes:
        arm: Robot.
        monitor: Monitor under test.
        delay_s: Actual delay of the robot [s].
        movers: Moving obstacles.
        standing: Standing obstacles.
    """

    arm: Arm
    monitor: SafetyMonitor
    delay_s: float = 0.01
    movers: list[Mover] = field(default_factory=list)
    standing: tuple[Obstacle, ...] = ()
    seed: int = 0
    start_rad: Array | None = None
    check: bool = True
    frozen: bool = False

    def __post_init__(self) -> None:
        """Begin at rest."""
        self.rng = np.random.default_rng(self.seed)
        self.now_s = 1000.0
        self.q = np.array(self.arm.home_rad if self.start_rad is None else self.start_rad)
        self.dq = np.zeros(self.arm.dof)
        self.sent: list[tuple[float, Trajectory]] = []
        self.line: deque[Array] = deque(maxlen=1 + round(self.delay_s / STEP_S))
        self.observed: tuple[Obstacle, ...] = self.observe()
        self.decision: SafetyDecision | None = None
        self.set_points: list[Array] = []
        self.moving_clearance_m: list[float] = []
        self.any_clearance_m: list[float] = []
        self.own_clearance_m: list[float] = []
        self.ticks = 0

    def observe(self) -> tuple[Obstacle, ...]:
        """Return all obstacles as they are now."""
        return self.standing + tuple(
            replace(m.obstacle, velocity_m_s=m.velocity, may_move=True) for m in self.movers)

    def state(self) -> RobotState:
        """Return what the encoders say."""
        noise = NOISE_RAD * self.rng.normal(size=self.arm.dof)
        return RobotState(self.q + noise, self.dq.copy(), self.now_s)

    def tick(self, motion: Trajectory | None, **inputs: object) -> SafetyDecision:
        """Run the monitor once and the world for one period."""
        if self.ticks % 3 == 0:
            self.observed = self.observe()
        given: dict[str, object] = {
            'state': self.state(), 'motion': motion, 'obstacles': self.observed, 'health': None}
        given.update(inputs)
        decision = self.monitor.step(
            given['state'], given['motion'], given['obstacles'], self.now_s,
            health=given['health'])  # type: ignore[arg-type]
        if decision.send and decision.command is not None:
            self.sent.append((self.now_s, decision.command))
        self.decision = decision
        self.advance(round(DT_S / STEP_S))
        self.ticks += 1
        return decision

    def advance(self, steps: int) -> None:
        """Advance by milliseconds: the receiver interpolates the last command, the robot lags."""
        times: Array = self.now_s + STEP_S * np.arange(1, steps + 1, dtype=np.float64)
        rows: list[Array | None] = [None] * steps
        if self.sent:
            rows = list(self.sent[-1][1].sample_many(times)[0])
        for row in rows:
            self._advance(row)

    def _advance(self, running: Array | None) -> None:
        self.now_s += STEP_S
        for mover in self.movers:
            mover.step(self.rng)
        before = self.q
        if running is not None:
            self.set_points.append(running)
            self.line.append(running)
            if not self.frozen:
                self.q = self.line[0]
        self.dq = (self.q - before) / STEP_S
        if not self.check:
            return
        obstacle, own = self.arm.collision.clearance(
            self.q, ObstacleArrays.pack(self.observe()))
        self.any_clearance_m.append(obstacle)
        self.own_clearance_m.append(own)
        fast = np.linalg.norm(
            self.arm.collision.centres(self.q) - self.arm.collision.centres(before), axis=1).max()
        if fast > 0.005 * STEP_S:
            self.moving_clearance_m.append(obstacle)


def world(start_rad: Array | None = None, standing: tuple[Obstacle, ...] = (),
          **params: object) -> World:
    return World(ARM, safety.make(ARM, rate_hz=100.0, **params), standing=standing,
                 start_rad=start_rad, check=False)


def drive(
    w: World, seconds: float, velocity: Array | None = SPIN, **inputs: Any
) -> list[SafetyDecision]:
    """Run with a tracker that pushes towards a velocity (None: no tracker)."""
    pusher, out = Pusher(ARM.limits), []
    for _ in range(round(seconds * 100)):
        committed = w.monitor.committed
        motion = None
        if committed is not None and velocity is not None:
            motion = pusher.motion(committed, w.now_s, velocity)
        values = {k: v(w) if callable(v) else v for k, v in inputs.items()}
        out.append(w.tick(**{'motion': motion, **values}))
    return out


def spinning(**params: object) -> World:
    """Return a world whose robot moves at speed."""
    w = world(**params)
    drive(w, 0.3)
    drive(w, 0.4)
    assert w.monitor.machine.state == 'NOMINAL' and np.abs(w.dq).max() > 1.0
    return w


def states(decisions: list[SafetyDecision]) -> list[str]:
    path: list[str] = []
    for decision in decisions:
        if not path or path[-1] != decision.state:
            path.append(decision.state)
    return path


def check_commands(w: World, decisions: list[SafetyDecision]) -> None:
    """Every command is complete and finite; the set-point at 1 kHz never breaks a limit."""
    for decision in decisions:
        command = decision.command
        assert command is not None and len(command.times_s) <= 40
        assert (command.velocity[-1] == 0.0).all() and np.isfinite(command.position).all()
    set_points = np.array(w.set_points)
    velocity = np.diff(set_points, axis=0) / 1e-3
    acceleration = np.diff(velocity, axis=0) / 1e-3
    assert (np.abs(velocity) <= ARM.limits.velocity_rad_s * 1.001).all()
    assert (np.abs(acceleration) <= ARM.limits.acceleration_rad_s2 * 1.01).all()


def rest_bound_s(speed: Array, monitor: safety.SafetyMonitor) -> float:
    """Return the contract's bound of the time from the first brake until rest [s]."""
    acceleration = 0.75 * ARM.limits.acceleration_rad_s2
    return float((np.abs(speed) / acceleration
                  + acceleration / ARM.limits.jerk_rad_s3).max()) + 0.01 + 0.1
