# SPDX-License-Identifier: Apache-2.0
"""The committed trajectory C: what was last sent to the robot, and how a motion is joined to it.

At time t, with the tracker's motion M and s = max(t, M.start), the next C is

    C on [t, s],  M - M(s) + C(s) + (v_C(s) - v_M(s)) (tau - s) on [s, s + lead],  then a stop.

The shift keeps position and velocity continuous without adding any acceleration. It is zero when
the tracker started on C; a larger one than its bounds means that it did not, and is refused.
All pieces are cubic Hermite; cutting a cubic at an inner knot leaves the same cubic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.safety import cubic
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]

MAX_KNOTS = 40
LEAST_GAP_S = 2e-4
SWITCH_GAP_S = 1e-6
"""A switch of the jerk j that is left out costs about j times this in acceleration."""
TAIL_GAP_S = 2e-5
STAND_S = 0.1
AHEAD_S = 0.1
REST_RAD_S = 1e-3


@dataclass(frozen=True)
class Piece:
    """A stretch of a motion; times relative to the tick.

    Attributes:
        times_s: Increasing, shape [T] [s].
        position: Shape [T, n].
        velocity: Shape [T, n].
        acceleration: Shape [T, n].
    """

    times_s: Array
    position: Array
    velocity: Array
    acceleration: Array

    def trajectory(self, stamp_s: float, names: tuple[str, ...], frame_id: str) -> Trajectory:
        """Return the piece as a trajectory whose time 0 is `stamp_s` (ROS time [s])."""
        return Trajectory(stamp_s, self.times_s, self.position, self.velocity, self.acceleration,
                          names, frame_id)


def at(motion: Trajectory, time_s: float) -> tuple[Array, Array, Array]:
    """Return position, velocity and acceleration [n] of a motion at one ROS time [s].

    The same as `Trajectory.sample`, several times faster for one instant.
    """
    rows = cubic.state(
        motion.times_s, motion.position, motion.velocity, time_s - motion.stamp_s)
    return rows[0], rows[1], rows[2]


def cut(
    motion: Trajectory, now_s: float, start_s: float, end_s: float,
    least_gap_s: float = LEAST_GAP_S,
) -> Piece:
    """Return the stretch [start_s, end_s] of a motion, with times relative to `now_s`.

    Beyond the ends the motion stands, as a receiver does. Inner knots too near to the
    ends of the stretch are left out.

    Args:
        motion: What to cut.
        now_s: ROS time that becomes 0 [s].
        start_s: ROS time of the first knot [s].
        end_s: ROS time of the last knot [s], at least `start_s`.
        least_gap_s: How near inner knots may be to the ends [s].
    """
    times, rows = cubic.stretch(
        motion.times_s, motion.position, motion.velocity, motion.acceleration,
        start_s - motion.stamp_s, end_s - motion.stamp_s, least_gap_s)
    return Piece(times + (motion.stamp_s - now_s), rows[0], rows[1], rows[2])


def rest_of(committed: Trajectory, now_s: float) -> Trajectory:
    """Return what is left of a committed trajectory from now on, at rest 0.1 s ahead or later.

    A receiver ignores a motion that ends in the past, so a motion that has ended is continued by
    standing. What is left is the same motion: the hardest stop uses all but 0.5 % of the limits.
    """
    end_s = max(committed.end_s, now_s + STAND_S)
    piece = cut(committed, now_s, now_s, end_s, SWITCH_GAP_S)
    piece.velocity[-1] = 0.0
    piece.acceleration[-1] = 0.0
    return piece.trajectory(now_s, committed.names, committed.frame_id)


def stand(position: Array, now_s: float, names: tuple[str, ...], frame_id: str) -> Trajectory:
    """Return the motion that stands at a position [rad] from now on."""
    rows = np.repeat(np.asarray(position, dtype=float)[None], 2, axis=0)
    zeros = np.zeros_like(rows)
    return Trajectory(now_s, np.array([0.0, STAND_S]), rows, zeros, zeros.copy(), names, frame_id)


def refusal(motion: Trajectory, committed: Trajectory, now_s: float) -> str:
    """Return why a motion can never be joined, as a reason code; empty if nothing is wrong."""
    if motion.names != committed.names:
        return 'wrong_names'
    if len(motion.times_s) > MAX_KNOTS:
        return 'too_many_points'
    if np.abs(motion.velocity[-1]).max() > REST_RAD_S:
        return 'does_not_end_at_rest'
    if motion.end_s <= now_s:
        return 'motion_ended'
    if motion.start_s > now_s + AHEAD_S:
        return 'starts_too_late'
    return ''


def joining_refusal(
    committed: Trajectory, motion: Trajectory, now_s: float, *, position_jump: float,
    velocity_jump: Array,
) -> str:
    """Return why a motion cannot be joined to C now, as a reason code; see `splice`."""
    code = refusal(motion, committed, now_s)
    if code:
        return code
    start_s = max(now_s, motion.start_s)
    (q, v, _), (motion_q, motion_v, _) = at(committed, start_s), at(motion, start_s)
    if np.abs(q - motion_q).max() > position_jump or (np.abs(v - motion_v) > velocity_jump).any():
        return 'discontinuous'
    return ''


def splice(
    committed: Trajectory, motion: Trajectory, now_s: float, lead_s: float, *,
    position_jump: float, velocity_jump: Array,
) -> Piece | str:
    """Return C until the motion starts and `lead_s` of the motion, or a reason code.

    Args:
        committed: C.
        motion: The tracker's motion M.
        now_s: ROS time of the tick [s].
        lead_s: How much of M to take [s].
        position_jump: Largest accepted |M(s) - C(s)| of a joint [rad].
        velocity_jump: Largest accepted |v_M(s) - v_C(s)| of each joint [rad/s], shape [n].
    """
    code = joining_refusal(
        committed, motion, now_s, position_jump=position_jump, velocity_jump=velocity_jump)
    return code or joined(committed, motion, now_s, lead_s)


def joined(committed: Trajectory, motion: Trajectory, now_s: float, lead_s: float) -> Piece:
    """Return the splice of a motion that `joining_refusal` has nothing against."""
    start_s = max(now_s, motion.start_s)
    head = cut(committed, now_s, now_s, start_s)
    body = cut(motion, now_s, start_s, start_s + lead_s)
    offset = head.position[-1] - body.position[0]
    drift = head.velocity[-1] - body.velocity[0]
    since = (body.times_s - body.times_s[0])[:, None]
    shifted = Piece(body.times_s, body.position + offset + drift * since, body.velocity + drift,
                    body.acceleration)
    return join(head, shifted, LEAST_GAP_S)


def join(first: Piece, second: Piece, least_gap_s: float = TAIL_GAP_S) -> Piece:
    """Return two pieces as one; the second begins where the first ends and its knot is kept."""
    kept = int(first.times_s.searchsorted(second.times_s[0] - least_gap_s))
    return Piece(*(
        np.concatenate([a[:kept], b]) for a, b in (
            (first.times_s, second.times_s), (first.position, second.position),
            (first.velocity, second.velocity), (first.acceleration, second.acceleration))))


def thin(piece: Piece, limit: int = MAX_KNOTS) -> Piece:
    """Return the piece with at most `limit` knots: those nearest to their predecessor go first."""
    surplus = len(piece.times_s) - limit
    if surplus <= 0:
        return piece
    keep = np.ones(len(piece.times_s), dtype=bool)
    for _ in range(surplus):
        left = np.flatnonzero(keep)
        spans = piece.times_s[left[2:]] - piece.times_s[left[:-2]]
        keep[left[1 + int(np.argmin(spans))]] = False
    return Piece(piece.times_s[keep], piece.position[keep], piece.velocity[keep],
                 piece.acceleration[keep])
