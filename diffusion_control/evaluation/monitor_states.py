# SPDX-License-Identifier: Apache-2.0
"""The safety monitor's state over a whole run, also before it was heard and after it fell silent.

A monitor begins in HOLD. One that was killed or hangs says nothing of it: its last state would
seem to last for ever. From its last message on the state is NO_MONITOR, and AT_REST once the true
robot stands.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.mcap_reader import Recording
from diffusion_control.evaluation.rates import SILENT_S
from diffusion_control.evaluation.truth_checks import stands_at_s
from diffusion_control.evaluation.truth_file import Truth

Array = NDArray[np.float64]
INITIAL, NO_MONITOR, AT_REST = 'HOLD', 'NO_MONITOR', 'AT_REST'
SPOKEN = ('safety/state', 'safety/status', 'safety/committed')
TICK_S = 0.01


def monitor_states(
    recording: Recording, truth: Truth, ros_s: Callable[[Array], Array]
) -> list[tuple[float, str]]:
    """Return (ROS time [s], state) for each change; the first one is at the truth's beginning.

    A state counts from when it was sent, not from when a recorder that came later received it.

    Args:
        recording: Messages; without any of `safety/state` nothing is known, and [] returned.
        truth: Ground truth.
        ros_s: Maps times of the system clock [s] to ROS time [s].
    """
    stream = recording.stream('safety/state')
    if not len(stream):
        return []
    begin_s = float(truth.t_s[0])
    said = [(float(time), str(message.data))
            for time, message in zip(ros_s(stream.sent_s), stream.messages, strict=True)]
    early = [state for time, state in said if time <= begin_s]
    told = [(begin_s, early[-1] if early else INITIAL),
            *(change for change in said if change[0] > begin_s),
            *_after_the_end(recording, truth, ros_s)]
    return [change for k, change in enumerate(told) if not k or change[1] != told[k - 1][1]]


def _after_the_end(
    recording: Recording, truth: Truth, ros_s: Callable[[Array], Array]
) -> list[tuple[float, str]]:
    """Return the changes after the monitor's last message, [] if it spoke until the end."""
    last = max(recording.stream(topic).log_s.max(initial=0.0) for topic in SPOKEN)
    end = max(stream.log_s.max(initial=0.0) for stream in recording.streams.values())
    if end - last <= SILENT_S:
        return []
    silent_s = float(ros_s(np.array([last]))[0])
    rest_s = stands_at_s(truth, silent_s)
    changes = [] if rest_s is None else [(rest_s, AT_REST)]
    if rest_s is None or rest_s > silent_s + TICK_S:
        changes.insert(0, (silent_s, NO_MONITOR))
    return changes
