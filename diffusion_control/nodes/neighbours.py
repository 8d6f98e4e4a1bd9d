# SPDX-License-Identifier: Apache-2.0
"""Whether another run of this package shares the ROS domain."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.context import Context

from diffusion_control.errors import ConfigurationError
from diffusion_control.middleware import local_environment
from diffusion_control.nodes.graph import OURS, named

RUN = (*OURS, 'demo_monitor')
LISTEN_S = 1.5
"""On a busy machine the nodes of a demo are seen within 0.2 to 1.5 s."""


@contextmanager
def alone_in_domain() -> Iterator[None]:
    """Do something else meanwhile, then refuse a domain in which nodes of a run are seen.

    Two runs would write the same topics: each robot would get the commands of both.

    Raises:
        ConfigurationError: Nodes of another run are there.
    """
    os.environ.update(local_environment())
    context = Context()
    rclpy.init(args=[], context=context)
    node = rclpy.create_node('diffusion_control_neighbours', context=context)
    try:
        end = time.monotonic() + LISTEN_S
        yield
        time.sleep(max(end - time.monotonic(), 0.0))
        others = named(node, RUN)
    finally:
        node.destroy_node()
        context.try_shutdown()
    if others:
        domain = os.environ.get('ROS_DOMAIN_ID') or '0'
        raise ConfigurationError(
            'another run is in this ROS domain', where='ROS_DOMAIN_ID',
            value=f'{domain}, with {", ".join(others)}', allowed='a domain without such nodes',
            remedy='wait until it has ended, or set ROS_DOMAIN_ID to another number (0 .. 101)')
