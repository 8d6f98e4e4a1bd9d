# SPDX-License-Identifier: Apache-2.0
"""The monitor of a base in closed loop with the simulated one: movers, walls, silence, losses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='needs MuJoCo (extra sim)')

from diffusion_control import safety, simulation, tracking
from diffusion_control.errors import ConfigurationError
from diffusion_control.robots import load_arm, load_base
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.planar import inverse
from diffusion_control.safety.base.arc import body_twist, silence, stop
from diffusion_control.safety.base.monitor import moved
from diffusion_control.safety.health import Health
from diffusion_control.simulation.base.simulation import in_odom
from diffusion_control.simulation.receivers.messages import TwistMessage
from diffusion_control.simulation.scene import Scene
from diffusion_control.tracking.protocol import Reference
from diffusion_control.trajectory.trajectory import Trajectory

BASE = load_base('base')
ROOM = ('########', *['#......#'] * 6, '########')
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
    """Tracker, monitor and simulated base on one clock."""

    obstacles: tuple[Obstacle, ...] = ()
    timeout_s: float = 0.5
    start: tuple[float, float, float] = (2.0, 4.0, 0.0)
    health: Health = GOOD
    deaf: bool = False
    decisions: list[safety.SafetyDecision] = field(default_factory=list)

    def __post_init__(self) -> None:
        scene = Scene(0, self.obstacles, np.array(self.start), (), layout=ROOM)
        self.sim: Any = simulation.make(
            BASE, scene=scene, seed=3, record=True, receiver_timeout_s=self.timeout_s)
        self.monitor: Any = safety.make(
            BASE, rate_hz=100.0, receiver_timeout_s=self.timeout_s)
        self.tracker = tracking.make('mpc', robot=BASE)
        self.plan: Trajectory | None = None
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
            decision = self.monitor.step(
                state, motion, seen, now, map=self.map, scan=self.scan, health=self.health)
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


def test_it_drives_to_the_end_of_a_plan() -> None:
    loop = Loop()
    loop.go(2.0)
    loop.run(9.0)
    assert np.hypot(*(loop.sim.true_state().position[:2] - [4.0, 4.0])) < 0.05
    assert loop.decisions[-1].state == 'NOMINAL'
    assert {d.action for d in loop.decisions[200:]} == {'followed'}
    assert sum(loop.contacts.values()) == 0


@pytest.mark.parametrize('timeout_s', [0.2, 0.5])
def test_a_plan_through_a_wall_ends_before_it(timeout_s: float) -> None:
    loop = Loop(timeout_s=timeout_s)
    loop.go(8.0)
    loop.run(20.0)
    x = loop.sim.true_state().position[0]
    assert 4.5 < x < 6.8, 'near the wall at 7 m, not in it'
    assert sum(loop.contacts.values()) == 0


@pytest.mark.parametrize('angle', [1.2, 3.14])
def test_a_mover_that_crosses_the_way_is_not_touched_in_motion(angle: float) -> None:
    direction = np.array([np.cos(angle), np.sin(angle), 0.0])
    mover = Obstacle('cylinder', (0.2, 1.0), np.array([4.0, 4.0, 0.5]) - 0.5 * direction,
                     velocity_m_s=0.4 * direction, may_move=True, key='m')
    loop = Loop((mover,))
    loop.go(3.5)
    loop.run(14.0)
    truth = loop.sim.recorder
    assert truth is not None
    assert loop.contacts['self_or_wall'] == 0
    if loop.contacts['obstacle']:
        assert loop.decisions[-1].state in ('STOPPING', 'HOLD', 'NOMINAL')
    speeds = [np.hypot(*d.sample.velocity[:2]) for d in loop.decisions if d.sample is not None]
    assert max(speeds) > 0.1, 'it does drive'


@pytest.mark.parametrize('after_s', [3.0, 4.5])
def test_a_silent_monitor_leaves_a_robot_that_comes_to_rest_in_time(after_s: float) -> None:
    loop = Loop()
    loop.go(8.0)
    loop.run(after_s)
    tail = loop.decisions[-1].tail_s
    loop.sim.advance(round((tail + 0.1) * 1000))
    assert np.abs(loop.sim.true_state().velocity).max() < 0.02
    assert sum(loop.contacts.values()) == 0


@pytest.mark.parametrize('lost', [
    {'scan_age_s': 0.5}, {'map_age_s': np.inf}])
def test_what_is_lost_stops_the_base(lost: dict[str, float]) -> None:
    loop = Loop()
    loop.go(3.0)
    loop.run(2.5)
    assert np.hypot(*loop.sim.true_state().velocity[:2]) > 0.2
    loop.health = replace(GOOD, **lost)  # type: ignore[arg-type]
    loop.run(1.0)
    assert loop.decisions[-1].state in ('STOPPING', 'HOLD')
    assert np.abs(loop.sim.true_state().velocity).max() < 0.02
    loop.health = GOOD
    loop.run(8.0)
    assert loop.decisions[-1].state == 'NOMINAL'
    assert np.hypot(*(loop.sim.true_state().position[:2] - [5.0, 4.0])) < 0.1, 'it goes on'


def test_a_base_that_is_held_is_noticed() -> None:
    loop = Loop()
    loop.go(3.0)
    loop.run(2.5)
    loop.sim.freeze(2.0)
    loop.run(0.6)
    assert loop.decisions[-1].state in ('STOPPING', 'HOLD')
    loop.run(8.0)
    assert loop.decisions[-1].state == 'NOMINAL'


def test_receivers_of_another_kind_are_refused() -> None:
    for robot, kind in ((BASE, 'joint_trajectory'), (load_arm('panda'), 'twist')):
        with pytest.raises(ConfigurationError):
            safety.make(robot, rate_hz=100.0, command_out_type=kind)


def test_a_stop_stays_on_its_arc_and_keeps_the_limits() -> None:
    twist = np.array([0.6, 0.0, 1.5])
    piece = stop(np.array([1.0, 2.0, 0.5]), twist, BASE.drive, 0.75)
    radius = 0.6 / 1.5
    centre = np.array([1.0, 2.0]) + radius * np.array([-np.sin(0.5), np.cos(0.5)])
    away = np.hypot(*(piece.position[:, :2] - centre).T)
    np.testing.assert_allclose(away, radius, atol=2e-4)
    twists = np.array([body_twist(q[2], v) for q, v in zip(
        piece.position, piece.velocity, strict=True)])
    assert np.abs(np.diff(twists[:, 0]) / np.diff(piece.times_s)).max() < 0.76 * 1.5
    assert np.abs(twists[:, 1]).max() < 1e-9 and np.abs(twists[-1]).max() < 1e-9


def test_silence_holds_the_twist_and_then_brakes() -> None:
    piece = silence(np.zeros(3), np.array([0.6, 0.0, 0.4]), BASE.drive, 0.5)
    assert piece.times_s[-1] == pytest.approx(0.5 + 0.6 / 1.5)
    speed = np.hypot(*piece.velocity[:, :2].T)
    np.testing.assert_allclose(speed[piece.times_s <= 0.5], 0.6)
    assert np.abs(piece.velocity[-1]).max() < 1e-9


def test_a_moved_motion_goes_the_same_way_elsewhere() -> None:
    plan = ahead(np.array([1.0, 1.0, 0.3]), 2.0, 10.0)
    other = moved(plan, np.array([0.1, -0.2, 0.5]), 10.0)
    np.testing.assert_allclose(other.position[0], [1.1, 0.8, 0.8])
    np.testing.assert_allclose(other.position[-1, :2], [
        1.1 + 2.0 * np.cos(0.8), 0.8 + 2.0 * np.sin(0.8)])
