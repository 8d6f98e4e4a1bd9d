# SPDX-License-Identifier: Apache-2.0
"""How fast a base may go beside movers: what its monitor will admit there, foretold.

A twist that may be held for T_h before anything brakes (`robots.base_silence`) is admitted if the
base stays clear of a mover until it rests. The mover turns until the monitor dies, at tau_d, and
then keeps its velocity (`safety.base.verify`). So from a pose at the time t after the start, with
d_x(tau) the distance of the footprint, driven on by the twist, to the mover where it will be at x,
a share k of a wanted twist (v, omega) is free if for tau in {T_h / 2, T_h, T_h + stop(k v,
k omega)} and tau_d = lead

    d_t(tau) >= keep + s tau'   or   d_{t + tau'}(tau) >= keep + (e + A tau_d) tau',

tau' = tau + late, s and A the bounds on a mover's speed and acceleration, e the error of its
velocity; and, because the last twist may be one of the monitor's own stop, at `INSTANTS` times of
that, too: it takes `OWN_STOP` times as long, at its end tau_d = lead + stop', tau = tau_d + T_h.

The largest such k is found by bisection. Where none is free, one that comes no nearer may keep
less: what stands at the limit has to leave. 0 means: stand until the mover has gone; standing is
always allowed. A mover goes on for `MOVER_HORIZON_S`, stands, and is forgotten `FORGOTTEN_S` after
the start where only the time of a way is asked for: it will have gone on, or the next plan knows.
One that was seen to turn (`mover_memory`) goes to and fro.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.world import MOVER_HORIZON_S
from diffusion_control.robots.base_distance import BOX as BOX_CODE
from diffusion_control.robots.base_distance import planar_distance
from diffusion_control.robots.base_silence import Silence
from diffusion_control.robots.distance import NOTHING_M
from diffusion_control.robots.jit import kernel
from diffusion_control.robots.surround import Surround

Array = NDArray[np.float64]
SPARE_M, LEAVE_M, NEARER_M = 0.06, 0.035, 1e-3
LATE_S = 0.06
FORGOTTEN_S = 6.0
HALVINGS = 4
LEAD_S, OWN_STOP, INSTANTS = 0.04, 1.2, 4
ROWS, ORDER, UNKNOWN = 3 + INSTANTS, (2, 6, 5, 4, 3, 1, 0), -1.0
ERROR_M_S, TURNING_M_S2, SEEN_S = 0.1, 2.0, 0.02
KEEP, LEAVE, REACH, HOLD, BRAKE, TURN, LATE, HORIZON, FORGET = range(9)
BOX, PLACE, AXIS, HALVES, GOES, AHEAD, SPAN = 0, 1, 3, 5, 7, 9, 10
"""Columns of a mover: whether it is a box, centre, first axis, half sizes, velocity, and how far
it goes until it turns and back then. In one array: kernels count references to each they take."""


@dataclass(frozen=True)
class MoverRoom:
    """Movers, the footprint and the rule, as the kernels read them.

    Attributes:
        movers: k of them.
        turns: How far each goes until it turns, and how far back then, inf where nobody knows,
            shape [k, 2] [m].
        discs: The footprint.
        rule: Numbers of the rule.
    """

    movers: Surround
    turns: Array
    discs: Array
    rule: Array

    @classmethod
    def of(cls, robot: Any, movers: Surround, speed_m_s: float, turns: Array | None = None
           ) -> MoverRoom:
        """Return the room of a base among movers of bounded speed [m/s]; `turns` as above."""
        silence = Silence.of(robot.drive, robot.receiver_timeout_s)
        unknown = np.full((len(movers.code), 2), np.inf)
        return cls(movers, unknown if turns is None else turns, robot.collision.discs, np.array([
            SPARE_M, LEAVE_M, speed_m_s, silence.hold_s, silence.braking_m_s2,
            silence.yaw_braking_rad_s2, LATE_S, MOVER_HORIZON_S, np.inf]))

    def arrays(self, *, forgets: bool) -> Any:
        """Return what `free_share` reads; `forgets`: whether movers are gone in the end."""
        rule = self.rule.copy()
        if forgets:
            rule[FORGET] = FORGOTTEN_S
        movers = self.movers
        rows = np.empty((len(movers.code), SPAN + 1))
        rows[:, BOX] = movers.code == BOX_CODE
        rows[:, PLACE:PLACE + 2] = movers.centre_m[:, :2]
        rows[:, AXIS:AXIS + 2] = movers.rotation[:, :2, 0]
        rows[:, HALVES:HALVES + 2] = movers.half_m[:, :2]
        rows[:, GOES:GOES + 2] = movers.velocity_m_s[:, :2]
        rows[:, AHEAD:] = self.turns
        return rows, self.discs, rule


@kernel()
def went(k: int, time_s: float, room: Any) -> Any:
    """Return for how long mover k at its velocity would be where it is at a time, and its way.

    Both are seconds of its present velocity: (1, 1) is where it will be in a second, going on;
    (1, -1) is the same place on the way back.
    """
    mover, horizon_s = room[0][k], room[2][HORIZON]
    ahead, span = mover[AHEAD], mover[SPAN]
    speed = math.hypot(mover[GOES], mover[GOES + 1])
    if ahead == np.inf or speed < 1e-6:
        return min(time_s, horizon_s), 1.0 if time_s < horizon_s else 0.0
    back = speed * time_s - ahead
    if back <= 0.0:
        return time_s, 1.0
    if span == np.inf or span < 1e-3:
        return (ahead - back) / speed, -1.0
    back = back % (2.0 * span)
    if back < span:
        return (ahead - back) / speed, -1.0
    return (ahead - 2.0 * span + back) / speed, 1.0


@kernel(inline=True)
def away_from(x: float, y: float, c: float, s: float, mover: Any, at: float, discs: Any) -> float:
    """Return the distance of a pose to where a mover is after so long at its velocity [s].

    The pose is a place, and cosine and sine of its heading.
    """
    dx = x - mover[PLACE] - mover[GOES] * at
    dy = y - mover[PLACE + 1] - mover[GOES + 1] * at
    least = NOTHING_M
    for d in range(discs.shape[0]):
        least = min(least, planar_distance(
            mover[BOX] > 0.0, mover[AXIS], mover[AXIS + 1], mover[HALVES], mover[HALVES + 1],
            dx + c * discs[d, 0] - s * discs[d, 1],
            dy + s * discs[d, 0] + c * discs[d, 1]) - discs[d, 2])
    return least


@kernel()
def drive_on(state: Any, v: float, w: float, stop: float, row: int, rule: Any, out: Any) -> None:
    """Write where a twist leads if it is the last one, or one of the monitor's own stop is.

    The chord of the arc that is driven until the instant `row`: place, cosine and sine of the
    heading, when it is and when the monitor died [s].
    """
    part = row + 1
    until, dead = rule[HOLD] * min(part, 2) / 2, LEAD_S
    going = until + (stop / 2 if part == 3 else 0.0)
    until += stop if part == 3 else 0.0
    if part > 3:
        slowed = (part - 3) / INSTANTS
        left = 1.0 - slowed
        dead += slowed * OWN_STOP * stop
        going = (LEAD_S + slowed * OWN_STOP * stop * (1.0 + left) / 2
                 + left * (rule[HOLD] + left * stop / 2))
        until += dead + left * stop
    middle, end = state[2] + w * going / 2, state[2] + w * going
    out[0] = state[0] + v * going * math.cos(middle)
    out[1] = state[1] + v * going * math.sin(middle)
    out[2], out[3], out[4], out[5] = math.cos(end), math.sin(end), until, dead


@kernel()
def is_free(
    state: Any, v: float, w: float, time_s: float, leaving: bool, room: Any, ahead: Any
) -> bool:
    """Return whether a twist from a state, `time_s` after the start, is admitted.

    `ahead` is for `drive_on`, shape [`ROWS`, 6]: all movers are asked about the same places, and
    the instants that refuse most come first.
    """
    movers, discs, rule = room
    stop = max(abs(v) / rule[BRAKE], abs(w) / rule[TURN])
    whole = rule[HOLD] + rule[LATE] + LEAD_S + OWN_STOP * stop
    keep = rule[LEAVE] if leaving else rule[KEEP]
    c, s = math.cos(state[2]), math.sin(state[2])
    ahead[:, 5] = UNKNOWN
    for k in range(movers.shape[0]):
        mover = movers[k]
        if time_s > rule[FORGET] and mover[AHEAD] == np.inf:
            continue
        at, side = went(k, time_s, room)
        first = away_from(state[0], state[1], c, s, mover, at, discs)
        if first - abs(v) * whole >= rule[KEEP] + rule[REACH] * whole:
            continue
        for row in ORDER:
            if ahead[row, 5] == UNKNOWN:
                drive_on(state, v, w, stop, row, rule, ahead[row])
            x, y, c_end, s_end = ahead[row, 0], ahead[row, 1], ahead[row, 2], ahead[row, 3]
            away = away_from(x, y, c_end, s_end, mover, at, discs)
            if leaving and away < first - NEARER_M:
                return False
            until = ahead[row, 4] + rule[LATE]
            if away >= keep + rule[REACH] * until:
                continue
            unknown = ERROR_M_S + TURNING_M_S2 * (SEEN_S + ahead[row, 5])
            later = away_from(x, y, c_end, s_end, mover, at + side * until, discs)
            if later < keep + unknown * until:
                return False
    return True


@kernel()
def free_share(state: Any, v: float, w: float, time_s: float, room: Any) -> float:
    """Return the largest share of a twist (v, w) that is admitted at a state, 0 for none."""
    if room[0].shape[0] == 0 or (abs(v) < 1e-6 and abs(w) < 1e-6):
        return 1.0
    ahead = np.empty((ROWS, 6))
    if is_free(state, v, w, time_s, False, room, ahead):
        return 1.0
    share = 0.0
    for leaving in (False, True):
        high = 1.0
        for _ in range(HALVINGS):
            middle = (share + high) / 2
            if is_free(state, middle * v, middle * w, time_s, leaving, room, ahead):
                share = middle
            else:
                high = middle
        if share > 0.0:
            break
    return share
