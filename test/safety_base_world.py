# SPDX-License-Identifier: Apache-2.0
"""Tracker, monitor and simulated base in a small room, for tests of the base's monitor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diffusion_control import safety, simulation, tracking
from diffusion_control.robots import load_base
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.planar import inverse
from diffusion_control.safety.health import Health
from diffusion_control.simulation.base.simulation import in_odom
from diffusion_control.simulation.receivers.messages import TwistMessage
from diffusion_control.simulation.scene import Scene
from diffusion_control.tracking.protocol import Reference
from diffusion_control.trajectory.trajectory import Trajectory

BASE = load_base('base')
ROOM = ('########', *['#......#'] * 6, '########')
LIKE = Trajectory(0.0, np.array([0.0, 1.0]), *np.zeros((3, 2, 3)), BASE.joint_names, 'odom')
GOOD = Health(
    state_age_s=0.0, motion_age_s=0.0, obstacles_age_s=0.0, scan_age_s=0.0, map_age_s=0.0,
    accepted_plan_age_s=0.0, confidence=1.0, planner_alive=True, fallback_alive=True,
    own_gap_s=0.01)


def ahead(start: np.ndarray, way_m: float, stamp_s: float) -> Trajectory:
    """Return the plan straight ahead, and to rest there."""
    duration = max(1.5 * way_m / 0.5, 1.0)
    u = np.linspace(0.0, 1.0, 40)
    way, speed = way_m * (3 * u**2 - 2 * u**3), way_m * (6 * u - 6 * u**2) / duration
    c, s = np.cos(start[2]), np.sin(start[2])
    position = np.stack([start[0] + c * way, start[1] + s * way, start[2] + 0 * way], axis=1)
    velocity = np.stack([c * speed, s * speed, 0 * speed], axis=1)
    return Trajectory(stamp_s, u * duration, position, velocity, 0 * velocity,
                      BASE.joint_names, 'odom')


@dataclass
class Loop:
    """Tracker, monitor and simulated base on one clock.

    Attributes:
        late: Each motion reaches the monitor one tick late, as where the tracker runs just before.
        lost: Numbers of the ticks whose motions get lost.
    """

    obstacles: tuple[Obstacle, ...] = ()
    timeout_s: float = 0.5
    start: tuple[float, float, float] = (2.0, 4.0, 0.0)
    health: Health = GOOD
    deaf: bool = False
    late: bool = False
    lost: tuple[int, ...] = ()
    decisions: list[safety.SafetyDecision] = field(default_factory=list)

    def __post_init__(self) -> None:
        scene = Scene(0, self.obstacles, np.array(self.start), (), layout=ROOM)
        self.sim: Any = simulation.make(
            BASE, scene=scene, seed=3, record=True, receiver_timeout_s=self.timeout_s)
        self.monitor: Any = safety.make(
            BASE, rate_hz=100.0, receiver_timeout_s=self.timeout_s)
        self.tracker = tracking.make('mpc', robot=BASE)
        self.plan: Trajectory | None = None
        self.motion: Trajectory | None = None
        self.map = self.sim.map.moved(inverse(self.sim.map_to_odom()))
        self.scan = self.sim.scan()

    def run(self, seconds: float) -> None:
        for tick in range(round(seconds * 100)):
            state, now = self.sim.measure(), self.sim.time_s
            if tick % 7 == 0:
                self.scan = self.sim.scan()
            place = self.sim.map_to_odom()
            if tick % 10 == 0:
                self.map = self.sim.map.moved(inverse(place))
            seen = in_odom(self.sim.obstacles_now(), place)
            motion = self.tracker.step(
                state, Reference(self.plan, self.monitor.committed), now).motion
            given, self.motion = self.motion if self.late else motion, motion
            decision = self.monitor.step(
                state, None if len(self.decisions) in self.lost else given, seen, now,
                map=self.map, scan=self.scan, health=self.health)
            self.decisions.append(decision)
            if decision.sample is not None and decision.send and not self.deaf:
                self.sim.receive(TwistMessage(decision.sample.velocity.copy(), now))
            self.sim.advance(10)

    def go(self, way_m: float) -> None:
        self.run(0.3)
        self.plan = ahead(self.sim.measure().position, way_m, self.sim.time_s + 0.1)

    @property
    def contacts(self) -> dict[str, int]:
        return dict(self.sim.contact_totals)
