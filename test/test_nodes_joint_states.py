# SPDX-License-Identifier: Apache-2.0
"""What a node makes of joint states from one or several publishers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState

from diffusion_control.nodes.convert import to_time
from diffusion_control.nodes.inputs import JointStateInput
from diffusion_control.nodes.taps import Arrival
from diffusion_control.robots.state import RobotState

NAMES = ('a', 'b', 'c')
NAN = float('nan')


class States:
    """In place of `Taps`: what is sent goes straight to the input."""

    def __init__(self) -> None:
        taps: Any = self
        self.input = JointStateInput(taps, NAMES)

    def subscribe(
        self, kind: Any, topic: str, handler: Callable[..., None], qos: Any, *, raw: bool
    ) -> None:
        self._handler = handler

    def send(
        self, names: Sequence[str], position: Sequence[float], stamp_s: float,
        velocity: Sequence[float] = (),
    ) -> RobotState | None:
        """Send one message; return the state if there is a new one."""
        before = self.input.box.look()
        message = JointState(name=list(names), position=list(position), velocity=list(velocity))
        message.header.stamp = to_time(stamp_s)
        self._handler(bytes(serialize_message(message)), Arrival(0.0, 0, 0, 0))
        after = self.input.box.look()
        return after if after is not before else None


def test_joints_come_in_the_order_of_the_robot() -> None:
    state = States().send(('c', 'x', 'a', 'b'), (3.0, 9.0, 1.0, 2.0), 1.0, (0.3, 0.9, 0.1, 0.2))
    assert state is not None
    np.testing.assert_array_equal(state.position, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(state.velocity, [0.1, 0.2, 0.3])
    assert state.stamp_s == 1.0


def test_other_joints_do_not_make_a_state_young() -> None:
    states = States()
    assert states.send(NAMES, (1.0, 2.0, 3.0), 1.0) is not None
    assert states.send(('finger',), (0.04,), 1.02) is None


def test_two_publishers_are_merged_and_the_slower_one_ages() -> None:
    states = States()
    assert states.send(('a', 'b'), (1.0, 2.0), 1.0) is None
    state = states.send(('c',), (3.0,), 1.01)
    assert state is not None and state.position.tolist() == [1.0, 2.0, 3.0]
    assert states.send(('c',), (3.5,), 1.04) is not None
    assert states.send(('c',), (4.0,), 1.09) is None, 'a and b are 0.09 s old'


def test_an_older_message_changes_nothing() -> None:
    states = States()
    states.send(NAMES, (1.0, 2.0, 3.0), 1.0)
    assert states.send(NAMES, (7.0, 7.0, 7.0), 0.99) is None
    state = states.send(('b', 'c', 'a'), (2.5, 3.5, 1.5), 1.005)
    assert state is not None and state.position.tolist() == [1.5, 2.5, 3.5]


def test_a_position_that_is_not_finite_is_missing_and_counted() -> None:
    states = States()
    states.send(NAMES, (1.0, 2.0, 3.0), 1.0)
    state = states.send(NAMES, (1.1, NAN, 3.1), 1.02)
    assert state is not None and state.position.tolist() == [1.1, 2.0, 3.1]
    assert states.input.rejected == 1
    assert states.send(NAMES, (1.2, NAN, 3.2), 1.08) is None, 'b is 0.08 s old'


def test_a_velocity_that_is_not_finite_becomes_nought() -> None:
    state = States().send(NAMES, (1.0, 2.0, 3.0), 1.0, (NAN, 0.2, float('inf')))
    assert state is not None and state.velocity.tolist() == [0.0, 0.2, 0.0]


def test_a_clock_that_went_back_begins_anew() -> None:
    states = States()
    states.send(NAMES, (1.0, 2.0, 3.0), 10.0)
    state = states.send(NAMES, (1.5, 2.5, 3.5), 5.0)
    assert state is not None and state.stamp_s == 5.0
