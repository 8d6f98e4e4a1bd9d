# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that a loop empties itself, instead of an executor that wakes for each message.

A control loop needs the newest message when it ticks, not a callback whenever one comes: taking
what waits costs a few microseconds a topic, while an executor of rclpy costs a tenth of a
millisecond a message and competes with the loop for the interpreter. The middleware stamps every
message when it arrives, so its age is exact however late it is taken. The executor is left with
services, parameters and timers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.type_support import check_is_valid_msg_type

MAX_AGE_S = 10.0
AT_ONCE = 64


@dataclass(frozen=True)
class Arrival:
    """When a message came.

    Attributes:
        age_s: Time since the middleware received it [s].
        received_ns: Receive time, system clock [ns].
        sent_ns: Send time, system clock [ns].
        sequence: The writer's publication number, 0 if unknown.
    """

    age_s: float
    received_ns: int
    sent_ns: int
    sequence: int


Handler = Callable[[Any, Arrival], None]


@dataclass(frozen=True)
class _Tap:
    handle: Any
    message_type: Any
    handler: Handler
    raw: bool


class Taps:
    """The subscriptions of one loop.

    All of it belongs to the thread that calls `poll`; subscriptions are made before that.
    """

    def __init__(self, node: Node) -> None:
        """Begin without subscriptions."""
        self._node = node
        self._taps: list[_Tap] = []

    def subscribe(
        self, message_type: Any, topic: str, handler: Handler, qos: QoSProfile, *,
        raw: bool = False,
    ) -> None:
        """Subscribe to a topic; names and remappings are resolved as for any subscription.

        Args:
            message_type: Class of the message.
            topic: Its name.
            handler: Gets the message (bytes if `raw`) and its `Arrival`.
            qos: What is asked of the publisher.
            raw: Do not decode.
        """
        check_is_valid_msg_type(message_type)
        self._node.resolve_topic_name(topic)
        with self._node.handle:
            handle = rclpy_implementation.Subscription(
                self._node.handle, message_type, topic, qos.get_c_qos_profile())
        self._taps.append(_Tap(handle, message_type, handler, raw))

    def poll(self) -> int:
        """Hand every waiting message to its handler, oldest first; return how many there were."""
        count = 0
        for tap in self._taps:
            for _ in range(AT_ONCE):
                taken = tap.handle.take_message(tap.message_type, tap.raw)
                if taken is None:
                    break
                count += 1
                tap.handler(taken[0], arrival(taken[1]))
        return count

    def close(self) -> None:
        """Unsubscribe from everything."""
        for tap in self._taps:
            tap.handle.destroy_when_not_in_use()
        self._taps.clear()


def arrival(info: dict[str, int | None]) -> Arrival:
    """Return the arrival of a message from the middleware's info."""
    now = time.time_ns()
    received = info.get('received_timestamp') or now
    age = min(max((now - received) * 1e-9, 0.0), MAX_AGE_S)
    return Arrival(
        age, received, info.get('source_timestamp') or received,
        info.get('publication_sequence_number') or 0)
