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
from diffusion_control.robots.base_distance import shadow_distance
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
ERROR_M_S, TURNING_M_S2, SEEN_S = 0.1, 2.0, 0.02
KEEP, LEAVE, REACH, HOLD, BRAKE, TURN, LATE, HORIZON, FORGET = range(9)


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
        return (movers.code, movers.centre_m, movers.rotation, movers.half_m,
                movers.velocity_m_s, self.discs, rule, self.turns)


@kernel()
def driven(x: float, y: float, yaw: float, v: float, w: float, going: float, out: Any) -> None:
    """Write the pose after a twist was held for a time [s], along the chord of its arc."""
    middle = yaw + w * going / 2
    out[0], out[1] = x + v * going * math.cos(middle), y + v * going * math.sin(middle)
    out[2] = yaw + w * going


@kernel()
def went(k: int, time_s: float, room: Any) -> Any:
    """Return for how long mover k at its velocity would be where it is at a time, and its way.

    Both are seconds of its present velocity: (1, 1) is where it will be in a second, going on;
    (1, -1) is the same place on the way back.
    """
    ahead, span = room[7][k, 0], room[7][k, 1]
    speed = math.hypot(room[4][k, 0], room[4][k, 1])
    if ahead == np.inf or speed < 1e-6:
        soon = time_s < room[6][HORIZON]
        return min(time_s, room[6][HORIZON]), 1.0 if soon else 0.0
    back = speed * time_s - ahead
    if back <= 0.0:
        return time_s, 1.0
    if span == np.inf or span < 1e-3:
        return (ahead - back) / speed, -1.0
    back = back % (2.0 * span)
    if back < span:
        return (ahead - back) / speed, -1.0
    return (ahead - 2.0 * span + back) / speed, 1.0


@kernel()
def away_from(pose: Any, k: int, at: float, room: Any) -> float:
    """Return the distance of a pose to where mover k is after so long at its velocity [s]."""
    code, centre, rotation, half, velocity, discs = room[:6]
    c, s = math.cos(pose[2]), math.sin(pose[2])
    x, y = pose[0] - centre[k, 0], pose[1] - centre[k, 1]
    least = NOTHING_M
    for d in range(discs.shape[0]):
        least = min(least, shadow_distance(
            code[k], rotation, half, k,
            x + c * discs[d, 0] - s * discs[d, 1] - velocity[k, 0] * at,
            y + s * discs[d, 0] + c * discs[d, 1] - velocity[k, 1] * at) - discs[d, 2])
    return least


@kernel()
def is_free(
    state: Any, v: float, w: float, time_s: float, leaving: bool, room: Any, pose: Any
) -> bool:
    """Return whether a twist from a state, `time_s` after the start, is admitted."""
    rule = room[6]
    stop = max(abs(v) / rule[BRAKE], abs(w) / rule[TURN])
    for k in range(room[0].shape[0]):
        if time_s > rule[FORGET] and room[7][k, 0] == np.inf:
            continue
        at, side = went(k, time_s, room)
        first = away_from(state, k, at, room)
        whole = rule[HOLD] + rule[LATE] + LEAD_S + OWN_STOP * stop
        if first - abs(v) * whole >= rule[KEEP] + rule[REACH] * whole:
            continue
        for part in range(1, 4 + INSTANTS):
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
            driven(state[0], state[1], state[2], v, w, going, pose)
            away = away_from(pose, k, at, room)
            if leaving and away < first - NEARER_M:
                return False
            keep = rule[LEAVE] if leaving else rule[KEEP]
            until += rule[LATE]
            if away >= keep + rule[REACH] * until:
                continue
            unknown = ERROR_M_S + TURNING_M_S2 * (SEEN_S + dead)
            if away_from(pose, k, at + side * until, room) < keep + unknown * until:
                return False
    return True


@kernel()
def free_share(state: Any, v: float, w: float, time_s: float, room: Any) -> float:
    """Return the largest share of a twist (v, w) that is admitted at a state, 0 for none."""
    if room[0].shape[0] == 0 or (abs(v) < 1e-6 and abs(w) < 1e-6):
        return 1.0
    pose = np.empty(3)
    if is_free(state, v, w, time_s, False, room, pose):
        return 1.0
    share = 0.0
    for leaving in (False, True):
        high = 1.0
        for _ in range(HALVINGS):
            middle = (share + high) / 2
            if is_free(state, middle * v, middle * w, time_s, leaving, room, pose):
                share = middle
            else:
                high = middle
        if share > 0.0:
            break
    return share
