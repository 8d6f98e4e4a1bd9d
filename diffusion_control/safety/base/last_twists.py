# SPDX-License-Identifier: Apache-2.0
"""How near movers can come if any twist of a motion is the last one (numba kernel).

The twist sent at tau is held for `hold_s` and then braked at the receiver's rates, both parts in
the same time, from the pose at tau on. It is looked at every 40 ms, for a tau every 20 ms until
the last tick that sends a twist. A mover seen at c with velocity v turns until the monitor is
dead and then keeps its velocity: at a time t after it was seen it is within

    (e + A (age + tau + turning)) t   of   c + v t,   and within   s t   of   c,

see `base.verify`; a point of the scan whose velocity nobody knows is within s t of its place.
Distances are 1-Lipschitz: between two knots the distance to the obstacle that goes on is at least
(d_{k-1} + d_k - l) / 2 for the relative way l, and the balls are those of the later knot.
"""

from __future__ import annotations

import math
from typing import Any

from diffusion_control.robots.base_distance import shadow_distance
from diffusion_control.robots.distance import NOTHING_M
from diffusion_control.robots.jit import kernel
from diffusion_control.safety.cubic import state

DEATH_S, KNOT_S = 0.02, 0.04
PERIOD, LAST, HOLD, BRAKE, YAW_BRAKE, LATE, SPEED, UNKNOWN, TURNING, KEEP = range(10)
"""What `rule` holds: the tick, the last death, the receiver's rule [s, m/s^2, rad/s^2], how late
a pose is after the movers were seen [s], s [m/s], e + A (age + turning) [m/s], A [m/s^2], and the
distance to keep [m]."""


@kernel()
def last_twists(
    times: Any, position: Any, velocity: Any, omni: bool, rule: Any, discs: Any, code: Any,
    centre: Any, rotation: Any, half: Any, speed: Any, may_move: Any, points: Any,
    allowed_m: float,
) -> Any:
    """Return the least distance to what movers reach, and by how much it is below what is asked.

    Asked for is min(keep, the distance when the twist is sent - `allowed_m`).

    Args:
        times: Knots of the motion [T] [s].
        position: [T, 3].
        velocity: In the world [T, 3].
        omni: Whether the twist has a part to the side.
        rule: See `PERIOD` to `KEEP`.
        discs: Of the footprint [D, 3].
        code: Shapes of the k obstacles.
        centre: When they were seen, [k, 3].
        rotation: [k, 3, 3].
        half: Half sizes [k, 3].
        speed: Velocities [k, 3].
        may_move: Others are left out, [k].
        points: Of the scan, those that may move [P, 2].
        allowed_m: How much nearer than at the beginning is not worse [m].
    """
    least, short = NOTHING_M, -NOTHING_M
    count = 1 + int(math.ceil(rule[LAST] / DEATH_S - 1e-9))
    for i in range(count):
        after = rule[LAST] * i / max(count - 1, 1)
        now = state(times, position, velocity, after)
        sent = state(times, position, velocity, after + rule[PERIOD])
        c, s = math.cos(sent[0, 2]), math.sin(sent[0, 2])
        u, w = c * sent[1, 0] + s * sent[1, 1], sent[1, 2]
        side = c * sent[1, 1] - s * sent[1, 0] if omni else 0.0
        first, found = one_death(
            now[0], u, side, w, after, rule, discs, code, centre, rotation, half, speed,
            may_move, points)
        least = min(least, found)
        short = max(short, min(rule[KEEP], first - allowed_m) - found)
    return least, short


@kernel()
def one_death(
    pose: Any, u: float, side: float, w: float, after: float, rule: Any, discs: Any, code: Any,
    centre: Any, rotation: Any, half: Any, speed: Any, may_move: Any, points: Any,
) -> Any:
    """Return the distance [m] when the last twist is sent, and the least one until rest."""
    stop = max(math.hypot(u, side) / rule[BRAKE], abs(w) / rule[YAW_BRAKE], 1e-3)
    whole = rule[HOLD] + stop
    knots = int(math.ceil(whole / KNOT_S))
    h, unknown = whole / knots, rule[UNKNOWN] + rule[TURNING] * after
    first, least = NOTHING_M, NOTHING_M
    for d in range(discs.shape[0]):
        lever = math.hypot(discs[d, 0], discs[d, 1])
        farthest = whole * (math.hypot(u, side) + lever * abs(w) + rule[SPEED]) + (
            rule[SPEED] * (rule[LATE] + after))
        for k in range(code.shape[0] + points.shape[0]):
            thing, p = k < code.shape[0], k - code.shape[0]
            if thing and not may_move[k]:
                continue
            x, y, yaw = pose[0], pose[1], pose[2]
            seen_before, moved_before, way, relative, sag = 0.0, 0.0, 0.0, 0.0, 0.0
            vx, vy = (speed[k, 0], speed[k, 1]) if thing else (0.0, 0.0)
            px, py = (centre[k, 0], centre[k, 1]) if thing else (points[p, 0], points[p, 1])
            for i in range(knots + 1):
                if i > 0:
                    share = min(max((whole - (i - 0.5) * h) / stop, 0.0), 1.0)
                    turn = h * share * w
                    c, s = math.cos(yaw + turn / 2), math.sin(yaw + turn / 2)
                    dx, dy = h * share * (u * c - side * s), h * share * (u * s + side * c)
                    x, y, yaw = x + dx, y + dy, yaw + turn
                    sag = 0.125 * lever * turn * turn
                    way = math.hypot(dx, dy) + lever * abs(turn)
                    relative = math.hypot(dx - h * vx, dy - h * vy) + lever * abs(turn)
                t, c, s = rule[LATE] + after + i * h, math.cos(yaw), math.sin(yaw)
                cx = x + c * discs[d, 0] - s * discs[d, 1] - px
                cy = y + s * discs[d, 0] + c * discs[d, 1] - py
                if thing:
                    seen = shadow_distance(code[k], rotation, half, k, cx, cy)
                else:
                    seen = math.hypot(cx, cy)
                if i == 0 and seen - discs[d, 2] - farthest >= max(least, rule[KEEP]):
                    break
                near = (seen if i == 0 else 0.5 * (seen + seen_before - way)) - rule[SPEED] * t
                seen_before = seen
                if thing:
                    moved = shadow_distance(
                        code[k], rotation, half, k, cx - vx * t, cy - vy * t)
                    straight = moved if i == 0 else 0.5 * (moved + moved_before - relative)
                    near, moved_before = max(near, straight - unknown * t), moved
                near -= discs[d, 2] + sag
                least = min(least, near)
                if i == 0:
                    first = min(first, near)
    return first, least
