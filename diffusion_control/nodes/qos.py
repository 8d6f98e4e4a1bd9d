# SPDX-License-Identifier: Apache-2.0
"""Quality-of-service profiles: offers may be strict, requests never are."""

from __future__ import annotations

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
)

STANDARD = QoSProfile(
    depth=10,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
)
"""Reliable, volatile, keep_last 10: what every publisher of the graph can satisfy."""

LATCHED = QoSProfile(
    depth=1,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""The last value reaches late joiners (safety/state, safety/mode)."""

NEWEST = QoSProfile(
    depth=1,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
)
"""Only the newest value, for slow loops that read fast topics."""

SENSOR = QoSProfile(
    depth=10,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
)
"""Asks for nothing, so every publisher matches. The middleware's own best_available adapts to the
publishers that are there when the subscription is made, and asks for transient_local when there
are none yet: a robot that starts later would not be heard."""
