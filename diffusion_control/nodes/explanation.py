# SPDX-License-Identifier: Apache-2.0
"""An explanation on topics: plans and reverse steps as MarkerArray, latched, for a time."""

from __future__ import annotations

import time

import rclpy
from visualization_msgs.msg import Marker, MarkerArray

from diffusion_control.explain import Explanation
from diffusion_control.nodes.convert import line_strip
from diffusion_control.nodes.qos import LATCHED

PLAN, OTHER, STEP = (0.2, 0.7, 0.3), (0.6, 0.4, 0.8), (0.2, 0.4, 0.8)
POLL_S = 0.05


def publish(explanation: Explanation, lasting_s: float) -> None:
    """Publish `explain/plans` and `explain/denoising` once each, latched, and wait."""
    rclpy.init()
    try:
        node = rclpy.create_node('explain')
        plans = node.create_publisher(MarkerArray, 'explain/plans', LATCHED)
        steps = node.create_publisher(MarkerArray, 'explain/denoising', LATCHED)
        plans.publish(plan_markers(explanation))
        steps.publish(step_markers(explanation))
        until = time.monotonic() + lasting_s
        while rclpy.ok() and time.monotonic() < until:
            rclpy.spin_once(node, timeout_sec=POLL_S)
        node.destroy_node()
    finally:
        rclpy.try_shutdown()


def plan_markers(explanation: Explanation) -> MarkerArray:
    """Return a line for every plan; its namespace says what was changed."""
    return MarkerArray(markers=[Marker(action=Marker.DELETEALL), *(
        line_strip(path, explanation.frame_id, 0.0, namespace=name,
                   width_m=0.008 if name == 'plan' else 0.003,
                   colour=PLAN if name == 'plan' else OTHER)
        for name, path in explanation.paths.items())])


def step_markers(explanation: Explanation) -> MarkerArray:
    """Return the clean estimates of every reverse step, a namespace each."""
    return MarkerArray(markers=[Marker(action=Marker.DELETEALL), *(
        line_strip(path, explanation.frame_id, 0.0, namespace=f'step_{k + 1:02d}', index=index,
                   width_m=0.002, colour=STEP)
        for k, paths in enumerate(explanation.steps) for index, path in enumerate(paths))])
