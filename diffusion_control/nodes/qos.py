# SPDX-License-Identifier: Apache-2.0
"""Quality-of-service profiles: offers may be strict, requests never are."""

from __future__ import annotations

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_best_available,
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

SENSOR = qos_profile_best_available
"""Adopts what the publisher offers (joint_states, sensors)."""
