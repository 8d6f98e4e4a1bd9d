# SPDX-License-Identifier: Apache-2.0
"""The monitor in closed loop among obstacles: it slows, brakes, and touches nothing in motion."""

from __future__ import annotations

import numpy as np
import pytest
from safety_world import (
    ARM,
    SPIN,
    Mover,
    World,
    check_commands,
    drive,
    spinning,
    states,
    world,
)

from diffusion_control import safety
from diffusion_control.robots import Obstacle, ObstacleArrays
from diffusion_control.safety import SafetyDecision


def ahead(w: World, angle: float) -> Obstacle:
    """Return a sphere around where the tool will be after joint 1 turned by `angle`."""
    q = w.q.copy()
    q[0] += angle
    return Obstacle('sphere', (0.06,), ARM.tool_pose(q)[0], key='jump')


def moving_contact(w: World, obstacles: tuple[Obstacle, ...]) -> float:
    """Return the least clearance over the set-points that moved [m]."""
    arrays = ObstacleArrays.pack(obstacles)
    rows = np.array(w.set_points)[::4]
    moved = np.abs(np.diff(rows, axis=0)).max(axis=1) > 1e-6
    return float(ARM.collision.path_clearance(
        rows[1:][moved], np.zeros(int(moved.sum())), arrays)[0].min())


def test_an_obstacle_ahead_is_approached_slower_and_not_touched_without_the_filter_too() -> None:
    w = world(filter=False)
    obstacle = ahead(w, 0.9)
    w.standing = (obstacle,)
    w.observed = w.observe()
    decisions = drive(w, 2.5)
    assert {'followed', 'slowed', 'tail', 'hold'} <= {d.action for d in decisions}
    assert all(d.verified for d in decisions)
    assert moving_contact(w, (obstacle,)) >= 0.0099
    held = [decision for decision in decisions if decision.state == 'HOLD'][-1]
    assert held.reason_code == 'no_verified_step' and held.mode == 'planner'
    assert held.counters.slowed > 0
    check_commands(w, decisions)
    away = drive(w, 0.5, velocity=-SPIN)
    assert states(away)[-2:] == ['HOLD', 'NOMINAL'] and w.dq[0] < -0.5


def test_an_obstacle_that_appears_ahead_makes_it_brake_at_once() -> None:
    w = spinning()
    w.set_points.clear()
    jumped = ahead(w, 0.42)
    w.standing = (jumped,)
    w.observed = w.observe()
    decisions = drive(w, 1.0)
    assert decisions[0].action in ('slowed', 'tail', 'brake')
    assert moving_contact(w, (jumped,)) > 0.0
    w.standing = ()
    assert drive(w, 0.5)[-1].state == 'NOMINAL'


def test_an_obstacle_on_the_stored_tail_gets_the_hardest_brake_and_is_counted() -> None:
    w = spinning(filter=False)
    w.set_points.clear()
    jumped = ahead(w, 0.3)
    w.standing = (jumped,)
    w.observed = w.observe()
    decisions = drive(w, 1.0)
    assert decisions[0].counters.tail_invalidated == 1
    assert decisions[0].action == 'brake' and not decisions[0].verified
    assert np.abs(w.dq).max() == 0.0
    check_commands(w, decisions)


def test_standing_still_under_an_approaching_obstacle_is_counted() -> None:
    w = world()
    drive(w, 0.3, velocity=np.zeros(7))
    tool = ARM.tool_pose(w.q)[0]
    w.standing = (Obstacle('sphere', (0.1,), tool, key='0', may_move=True),)
    w.observed = w.observe()
    decision = drive(w, 0.1, velocity=np.zeros(7))[-1]
    assert decision.verified and decision.clearance_m < 0.0
    assert decision.counters.stood_in_contact > 0
    moved = drive(w, 0.5, velocity=SPIN)
    assert np.abs(w.dq).max() == 0.0 or moved[-1].verified


@pytest.mark.parametrize('seed', [3, 5, 7])
def test_a_reckless_tracker_among_turning_movers_touches_nothing_while_moving(seed: int) -> None:
    rng = np.random.default_rng(seed)
    movers = [Mover(Obstacle('sphere', (0.08,), np.array(place), key=str(k)), 0.45)
              for k, place in enumerate(((0.75, 0.3, 0.4), (0.2, -0.7, 0.5)))]
    standing = (Obstacle('box', (0.2, 0.2, 0.3), np.array([0.55, -0.3, 0.15]), key='b'),
                Obstacle('cylinder', (0.06, 0.5), np.array([-0.1, 0.5, 0.25]), key='c'))
    w = World(ARM, safety.make(ARM, rate_hz=100.0), movers=movers, standing=standing, seed=seed)
    decisions: list[SafetyDecision] = []
    for _ in range(6):
        decisions += drive(w, 0.4, rng.choice([-1.0, 1.0], 7) * ARM.limits.velocity_rad_s * 0.8)
    assert min(w.moving_clearance_m) > 0.0 and min(w.own_clearance_m) > 0.0
    assert len(w.moving_clearance_m) > 300
    set_points = np.array(w.set_points)
    assert (set_points >= ARM.limits.lower_rad).all()
    assert (set_points <= ARM.limits.upper_rad).all()
    check_commands(w, decisions)
