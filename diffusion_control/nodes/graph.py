# SPDX-License-Identifier: Apache-2.0
"""What the running ROS graph looks like: names, types, writers, quality of service."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible, qos_profile_sensor_data

OURS = ('planner', 'tracker', 'safety', 'fallback', 'simulator')
"""Names of this package's nodes."""


class StateListener:
    """Counts the messages of the measured state that arrive, and keeps the last."""

    def __init__(self, node: Node, message_type: Any, topic: str) -> None:
        """Subscribe without asking for more than is offered."""
        self.last: Any = None
        self.count = 0
        self._subscription = node.create_subscription(
            message_type, topic, self._keep, qos_profile_sensor_data)

    def _keep(self, message: Any) -> None:
        self.last = message
        self.count += 1


def full_names(node: Any) -> list[str]:
    """Return the full name of every node of the graph, one entry for each that carries it."""
    pairs = node.get_node_names_and_namespaces()
    return [f'{namespace.rstrip("/")}/{name}' for name, namespace in pairs]


def named(node: Any, names: Collection[str]) -> list[str]:
    """Return the full names of the nodes that have one of these names in any namespace, sorted."""
    return sorted(name for name in full_names(node) if name.rsplit('/', 1)[-1] in names)


def topic_types(node: Any) -> dict[str, list[str]]:
    """Return the types of every topic of the graph."""
    return dict(node.get_topic_names_and_types())


def writers(node: Any, topic: str) -> list[str]:
    """Return the full names of the nodes that publish on a topic."""
    infos = node.get_publishers_info_by_topic(topic)
    return [f'{info.node_namespace.rstrip("/")}/{info.node_name}' for info in infos]


def used_by_others(node: Any, topic: str) -> bool:
    """Return True when a node other than this one publishes or subscribes to a topic."""
    infos = [
        *node.get_publishers_info_by_topic(topic), *node.get_subscriptions_info_by_topic(topic)]
    return any(info.node_name != node.get_name() for info in infos)


def mismatches(node: Any, topic: str) -> list[str]:
    """Return one sentence for each publisher and subscriber that do not hear each other."""
    problems = []
    for offer in node.get_publishers_info_by_topic(topic):
        for request in node.get_subscriptions_info_by_topic(topic):
            compatibility, reason = qos_check_compatible(offer.qos_profile, request.qos_profile)
            if compatibility == QoSCompatibility.ERROR:
                problems.append(
                    f'{offer.node_name} -> {request.node_name}: {reason.strip(" ;")}')
    return problems
