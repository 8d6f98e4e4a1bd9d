# SPDX-License-Identifier: Apache-2.0
"""The simulator's ground truth as read from a run's `truth.npz`."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
KEYS = ('t_s', 'q', 'dq', 'ddq', 'tau_demand', 'cmd', 'contacts', 'contact_pairs',
        'point_speed_max_m_s', 'distance_min_m', 'obstacles', 'joint_names')
EXEMPT_MARGIN_S = 0.02
OBSTACLE_KIND = 'obstacle'


@dataclass(frozen=True)
class Contact:
    """The beginning of a penetration of two bodies.

    Attributes:
        start_s: ROS time [s].
        pair: Names of the two bodies.
        with_obstacle: True for an obstacle, False for a wall, the floor or an own link.
    """

    start_s: float
    pair: str
    with_obstacle: bool


@dataclass(frozen=True)
class Truth:
    """Ground truth at 1 kHz, joints in the robot's order; T samples, n joints, k obstacles.

    Of a base q is x, y, yaw in the world [m, m, rad], `tau_demand` [T, 2] its wheels' [Nm] and
    `cmd` [T, 2] the receiver's v [m/s] and yaw rate [rad/s] ([T, 3] with the speed to the left).

    Attributes:
        t_s: ROS time [s], shape [T].
        q: True position [rad], shape [T, n].
        dq: True velocity [rad/s], shape [T, n].
        ddq: True acceleration [rad/s^2], shape [T, n].
        tau_demand: The drives' demand before clamping [Nm], shape [T, n].
        cmd: Set-point after the receiver's interpolation [rad], shape [T, n].
        contacts: Beginnings of all penetrations, in order.
        obstacle_contact: Samples in which an obstacle is penetrated, shape [T].
        own_contact: Samples in which a wall, the floor or an own link is, shape [T].
        point_speed_max_m_s: Speed of the robot's fastest point [m/s], shape [T].
        distance_min_m: Least distance to an obstacle [m], shape [T].
        obstacles: x, y, z, bounding radius [m], shape [T, k, 4].
        joint_names: The robot's order.
        exempt: Samples of the simulator's own freezes, shape [T].
    """

    t_s: Array
    q: Array
    dq: Array
    ddq: Array
    tau_demand: Array
    cmd: Array
    contacts: tuple[Contact, ...]
    obstacle_contact: Flags
    own_contact: Flags
    point_speed_max_m_s: Array
    distance_min_m: Array
    obstacles: Array
    joint_names: tuple[str, ...]
    exempt: Flags

    @cached_property
    def period_s(self) -> float:
        """Median time between samples [s]."""
        return float(np.median(np.diff(self.t_s))) if len(self.t_s) > 1 else 1e-3

    @property
    def clearance_min_m(self) -> float | None:
        """Least distance to an obstacle in the whole run [m]; None without obstacles."""
        nearest = float(self.distance_min_m.min(initial=np.inf))
        return nearest if np.isfinite(nearest) else None

    def index(self, ros_s: float) -> int:
        """Return the last sample at or before a time, the first one before the run."""
        return max(int(np.searchsorted(self.t_s, ros_s, side='right')) - 1, 0)

    def cmd_at(self, ros_s: float) -> Array:
        """Return the receiver's set-point at a time, shape [n]."""
        row: Array = self.cmd[self.index(ros_s)]
        return row

    def q_at(self, ros_s: float) -> Array:
        """Return the true position at a time, shape [n]."""
        row: Array = self.q[self.index(ros_s)]
        return row

    def exempt_near(self, ros_s: float) -> bool:
        """Say whether the simulator froze at a time or in the 20 ms before it."""
        first, last = self.index(ros_s - EXEMPT_MARGIN_S), self.index(ros_s)
        return bool(self.exempt[first:last + 1].any())


def read_truth(path: str | Path, joint_names: tuple[str, ...]) -> Truth:
    """Return the ground truth with its columns in the order `joint_names`.

    Raises:
        ConfigurationError: The file is missing, damaged, or lacks a key, a joint or a sample.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            values = {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise ConfigurationError(
            'the ground truth of the run is missing', where=str(path),
            allowed='truth.npz, written by the simulator', remedy='run the demo again') from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigurationError(
            'the ground truth of the run cannot be read', where=str(path), value=str(error),
            allowed='an .npz file without pickles') from error
    missing = [key for key in KEYS if key not in values]
    if missing or not len(values.get('t_s', ())):
        raise ConfigurationError(
            'the ground truth of the run is not complete', where=str(path),
            value=missing or 'no sample', allowed=', '.join(KEYS))
    return truth_of(values, joint_names, path)


def truth_of(values: Mapping[str, Any], joint_names: tuple[str, ...], path: Path) -> Truth:
    """Return the truth of its arrays, joints in the robot's order; `path` is for messages."""
    names = [str(name) for name in values['joint_names']]
    if sorted(names) != sorted(joint_names):
        raise ConfigurationError(
            'the ground truth has other joints', where=f'{path}: joint_names', value=names,
            allowed=', '.join(joint_names), remedy='name the robot that was driven')
    order = [names.index(name) for name in joint_names]
    count = len(values['t_s'])
    touching = np.asarray(values['contacts']).reshape(count, 2) > 0

    def columns(key: str) -> Array:
        array = np.asarray(values[key], dtype=float)
        return array[:, order] if array.shape[1] == len(order) else array

    def series(key: str) -> Array:
        return np.asarray(values[key], dtype=float)

    return Truth(
        series('t_s'), columns('q'), columns('dq'), columns('ddq'), columns('tau_demand'),
        columns('cmd'), _contacts(values), touching[:, 0], touching[:, 1],
        series('point_speed_max_m_s'), series('distance_min_m'), series('obstacles'), joint_names,
        np.asarray(values.get('exempt', np.zeros(count)), dtype=bool))


def _contacts(values: Mapping[str, Any]) -> tuple[Contact, ...]:
    """Return the beginnings of penetrations, from rows (time_s, body_a, body_b, kind, depth_m)."""
    return tuple(
        Contact(float(row['time_s']), f"{row['body_a']} - {row['body_b']}",
                str(row['kind']) == OBSTACLE_KIND)
        for row in values['contact_pairs'])
