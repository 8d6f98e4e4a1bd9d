# SPDX-License-Identifier: Apache-2.0
"""Whether another run of this package shares the ROS domain.

Two runs would write the same topics: each robot would get the commands of both. Runs of one user
on one machine see one another by a locked file, at once; those of others by their nodes, if these
are discovered in time.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import rclpy
from rclpy.context import Context

from diffusion_control.errors import ConfigurationError
from diffusion_control.inference.engine_cache import default_cache
from diffusion_control.middleware import local_environment
from diffusion_control.nodes.graph import OURS, named
from diffusion_control.whole_file import locked

RUN = (*OURS, 'demo_monitor')
LISTEN_S, PROBES_S = 1.5, 1.0
"""On a busy machine the nodes of a demo are seen within 0.2 to 1.5 s."""


@contextmanager
def alone_in_domain() -> Iterator[None]:
    """Refuse a domain that a run holds; do something else, then refuse one with its nodes.

    Raises:
        ConfigurationError: Another run is there.
    """
    with _file() as file:
        if not locked(file, shared=True):
            raise _shared('a file that it holds')
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
        raise _shared(', '.join(others))


@contextmanager
def held_domain() -> Iterator[None]:
    """Hold the domain for a run, however it ends.

    Raises:
        ConfigurationError: Another run holds it.
    """
    with _file() as file:
        end = time.monotonic() + PROBES_S
        while not locked(file):
            if time.monotonic() > end:
                raise _shared('a file that it holds')
            time.sleep(0.01)
        yield


def _file() -> IO[str]:
    """Return the file of this user's runs in the domain; what is locked is free once closed.

    Where no file can be kept it is one of this run alone: what is left is to look for nodes.
    """
    folder = default_cache() / 'domains'
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / f'{_domain()}.lock').open('w', encoding='utf-8')
    except OSError:
        return tempfile.TemporaryFile('w', encoding='utf-8')


def _domain() -> str:
    return os.environ.get('ROS_DOMAIN_ID') or '0'


def _shared(seen: str) -> ConfigurationError:
    return ConfigurationError(
        'another run is in this ROS domain', where='ROS_DOMAIN_ID',
        value=f'{_domain()}, with {seen}', allowed='a domain without another run',
        remedy='wait until it has ended, or set ROS_DOMAIN_ID to another number (0 .. 101)')
