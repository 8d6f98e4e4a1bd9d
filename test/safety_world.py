# SPDX-License-Identifier: Apache-2.0
"""A small world for tests of the safety monitor: ideal robot with a delay, bounded movers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots import Arm, Obstacle, ObstacleArrays, RobotState
from diffusion_control.safety import SafetyDecision, SafetyMonitor
from diffusion_control.trajectory.stop import Stopper
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]

DT_S = 0.01
STEP_S = 0.001
NOISE_RAD = 1e-4


class Pusher:
    """A stand-in for the tracker: ramps from what is committed to velocities it is given."""

    def __init__(self, arm: Arm, share: float = 0.9) -> None:
        """Plan with `share` of the limits."""
        self.limits = arm.limits.scaled(share)
        self._stopper = Stopper(self.limits, period_s=0.05)

    def motion(self, committed: Trajectory, now_s: float, velocity: Array) -> Trajectory:
        """Return a motion from C at now + 20 ms to a velocity, held for 0.1 s, and a stop."""
        start_s = now_s + 0.02
        q, v, a = (rows[0] for rows in committed.sample_many(np.array([start_s])))
        ramp = self._stopper.ramp(q, v, a, velocity, duration_s=0.1)
        stop = self._stopper.stop(ramp.position[-1], ramp.velocity[-1], ramp.acceleration[-1])
        times = np.concatenate([ramp.times_s, ramp.times_s[-1] + stop.times_s[1:]])
        rows = [np.concatenate([getattr(ramp, name), getattr(stop, name)[1:]])
                for name in ('position', 'velocity', 'acceleration')]
        rows[1][-1] = 0.0
        while len(times) > 40:
            drop = 1 + int(np.argmin(times[2:] - times[:-2]))
            times, rows = np.delete(times, drop), [np.delete(r, drop, axis=0) for r in rows]
        return Trajectory(
            start_s, times, rows[0], rows[1], rows[2], committed.names, committed.frame_id)


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
