# SPDX-License-Identifier: Apache-2.0
"""How well a base follows what was committed: its odometry against the motion of 0.1 s before."""

from __future__ import annotations

import numpy as np

from diffusion_control.evaluation.base.messages import parse_odometry
from diffusion_control.evaluation.run_data import RunData

LOOK_BACK_S = 0.1


def following_errors(run: RunData) -> dict[str, float | None]:
    """Return the errors of the odometry against the motion that was committed 0.1 s earlier.

    A twist has no place that it leads to; the committed motion has. At each odometry message the
    last motion committed at least 0.1 s before it says where the base should be by now:
    rms_q_rad is the error of its heading, the tool's that of its position, both in `odom`.
    """
    motions = run.trajectories('safety/committed')
    stream = run.recording.stream('odom')
    times = np.array([motion.sent_s for motion in motions])
    heading, apart = [], []
    for message in stream.messages:
        stamp, pose = parse_odometry(message)
        last = int(np.searchsorted(times, stamp - LOOK_BACK_S, side='right')) - 1
        if last < 0 or _frozen(run, stamp):
            continue
        wanted = motions[last].position_at(np.array([stamp]))[0]
        heading.append((pose[2] - wanted[2] + np.pi) % (2 * np.pi) - np.pi)
        apart.append(float(np.hypot(*(pose[:2] - wanted[:2]))))
    if not apart:
        return {'rms_q_rad': None, 'rms_tool_m': None, 'p99_tool_m': None}
    return {'rms_q_rad': float(np.sqrt(np.mean(np.square(heading)))),
            'rms_tool_m': float(np.sqrt(np.mean(np.square(apart)))),
            'p99_tool_m': float(np.percentile(apart, 99))}


def _frozen(run: RunData, stamp_s: float) -> bool:
    """Say whether the simulator froze within the look-back."""
    first, last = run.truth.index(stamp_s - LOOK_BACK_S), run.truth.index(stamp_s)
    return bool(run.truth.exempt[first:last + 1].any())
