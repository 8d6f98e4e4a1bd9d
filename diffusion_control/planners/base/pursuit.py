# SPDX-License-Identifier: Apache-2.0
"""The unicycle model pursues ways: roll-outs from any twist to rest, as fast as limits allow.

x' = v cos yaw, y' = v sin yaw, yaw' = omega, with v and omega linear between knots, so that yaw is
a parabola there; x and y by Simpson's rule. The steering aims at a point ahead on the way (R.
Coulter, "Implementation of the Pure Pursuit Path Tracking Algorithm", CMU-RI-TR-92-01), after a
turn on the spot where that point is far aside. With d left to go and brakes b the next speed u of
a step h is the largest with  d - (v + u) h / 2 >= u^2 / (2 b); the same holds for the heading.
Every roll-out is at rest at its last knot, and beside movers as slow as its monitor will make it
(`mover_room`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.base.mover_room import free_share
from diffusion_control.robots.jit import kernel
from diffusion_control.robots.planar import wrapped

Array = NDArray[np.float64]
ASIDE_RAD = 0.8
GAIN = 3.5
AHEAD_M, AHEAD_S = 0.16, 0.25
THERE_M, THERE_RAD = 0.02, 0.02
SPEED, RATE, GROW, BRAKE, TURN, TRAVEL, HALF = range(7)


@kernel()
def stopping(left: float, now: float, brake: float, h: float) -> float:
    """Return the largest next speed from which one still stops in what is left (>= 0)."""
    inner = h * h / 4 - 2 * (now * h / 2 - left) / brake
    return brake * (-h / 2 + math.sqrt(inner)) if inner > h * h / 4 else 0.0


@kernel()
def turning(error: float, now: float, limits: Any, h: float) -> float:
    """Return the next yaw rate of a turn by an angle, stopping there."""
    sign = 1.0 if error >= 0 else -1.0
    rate = stopping(abs(error), sign * now, 0.8 * limits[TURN], h)
    return sign * min(rate, float(limits[RATE]))


@kernel()
def advance(state: Any, v: float, w: float, h: float, out: Any) -> None:
    """Write the state (x, y, yaw, v, omega) after a step with linear v and omega."""
    yaw = state[2]
    middle = yaw + h * (3 * state[4] + w) / 8
    end = yaw + h * (state[4] + w) / 2
    between = (state[3] + v) / 2
    out[0] = state[0] + h / 6 * (
        state[3] * math.cos(yaw) + 4 * between * math.cos(middle) + v * math.cos(end))
    out[1] = state[1] + h / 6 * (
        state[3] * math.sin(yaw) + 4 * between * math.sin(middle) + v * math.sin(end))
    out[2], out[3], out[4] = end, v, w


@kernel()
def limited(state: Any, v: float, w: float, left_s: float, limits: Any, h: float) -> Any:
    """Return the twist nearest to a wanted one that the drive can have after a step.

    After it, `left_s` remain to come to rest.
    """
    v = min(max(v, -limits[BRAKE] * left_s), limits[BRAKE] * left_s)
    w = min(max(w, -limits[TURN] * left_s), limits[TURN] * left_s)
    up = limits[GROW] if state[3] >= 0 else limits[BRAKE]
    down = limits[BRAKE] if state[3] > 0 else limits[GROW]
    v = min(max(v, state[3] - down * h), state[3] + up * h)
    w = min(max(w, state[4] - limits[TURN] * h), state[4] + limits[TURN] * h)
    return v, w


@kernel()
def nearest_ahead(way: Any, first: int, x: float, y: float) -> int:
    """Return the index of the nearest of the next twelve points of a way."""
    best, found = 1e18, first
    for j in range(first, min(first + 12, len(way))):
        away = (way[j, 0] - x)**2 + (way[j, 1] - y)**2
        if away < best:
            best, found = away, j
    return found


@kernel()
def pursue(
    start: Any, way: Any, spacing: float, yaw: float, widths: Any, limits: Any, room: Any,
    out: Any,
) -> Any:
    """Roll the base along a way until it is there or the steps are used up.

    Args:
        start: x, y, yaw, v, omega.
        way: Points `spacing` apart, shape [P, 2] [m].
        spacing: [m]; 0 where the way is one point.
        yaw: Heading wanted at the end [rad]; NaN leaves it free.
        widths: Durations of the steps [N] [s].
        limits: Speed, yaw rate, growth, brakes, yaw acceleration, wheels' speed, half of track.
        room: See `mover_room.MoverRoom.arrays`.
        out: Receives the states at the knots, shape [N + 1, 5].

    Returns:
        Number of steps that were used, and the way that is left [m].
    """
    out[0] = start
    count, at = len(way), 0
    left_s, passed_s = widths.sum(), 0.0
    left = (count - 1) * spacing
    for k in range(len(widths)):
        h = widths[k]
        left_s = max(left_s - h, 0.0)
        x, y, heading, v, w = out[k, 0], out[k, 1], out[k, 2], out[k, 3], out[k, 4]
        at = nearest_ahead(way, at, x, y)
        left = (count - 1 - at) * spacing
        end_x, end_y = way[count - 1, 0] - x, way[count - 1, 1] - y
        if left < 0.3:
            left = math.cos(heading) * end_x + math.sin(heading) * end_y
        near = count - 1 - at < 2 and left < THERE_M
        if near or spacing == 0.0:
            left = max(left, 0.0) if spacing > 0 else 0.0
            error = 0.0 if math.isnan(yaw) else wrapped(yaw - heading)
            if abs(v) < 1e-9 and abs(w) < 1e-9 and abs(error) < THERE_RAD:
                return k, left
            wish_v, wish_w = stopping(left, v, 0.8 * limits[BRAKE], h), 0.0
            if not math.isnan(yaw) and abs(v) < 0.1:
                wish_w = turning(error, w, limits, h)
        else:
            ahead = AHEAD_M + AHEAD_S * max(v, 0.0)
            aim = min(at + int(ahead / spacing + 0.5), count - 1)
            error = wrapped(math.atan2(way[aim, 1] - y, way[aim, 0] - x) - heading)
            if left < 0.3 and abs(error) > ASIDE_RAD and math.hypot(end_x, end_y) < 0.06:
                error = 0.0
            aside = abs(error) > ASIDE_RAD
            wish_w = turning(error, w, limits, h) if aside or v < 0.05 else GAIN * error
            wish_w = min(max(wish_w, -limits[RATE]), limits[RATE])
            share = 0.0 if aside else math.cos(error * math.pi / 2 / ASIDE_RAD)
            wish_v = min(share * limits[SPEED], limits[TRAVEL] - abs(wish_w) * limits[HALF])
            wish_v = min(wish_v, stopping(max(left, 0.0), v, 0.8 * limits[BRAKE], h))
        share = free_share(out[k], wish_v, wish_w, passed_s, room)
        v, w = limited(out[k], share * wish_v, share * wish_w, left_s, limits, h)
        passed_s += h
        advance(out[k], v, w, h, out[k + 1])
    return len(widths), max((count - 1 - at) * spacing, 0.0)


@kernel()
def dense(corners: Any, spacing: float, out: Any) -> Any:
    """Write points along corners [C, 2], evenly spaced; return their number and distance [m]."""
    length = 0.0
    for k in range(1, len(corners)):
        length += math.hypot(corners[k, 0] - corners[k - 1, 0], corners[k, 1] - corners[k - 1, 1])
    if length < 1e-3:
        out[0] = corners[len(corners) - 1]
        return 1, 0.0
    count = min(max(int(length / spacing) + 2, 2), len(out))
    step, k, walked = length / (count - 1), 1, 0.0
    for j in range(count):
        wanted = j * step
        while True:
            dx, dy = corners[k, 0] - corners[k - 1, 0], corners[k, 1] - corners[k - 1, 1]
            part = math.hypot(dx, dy)
            if walked + part >= wanted - 1e-12 or k == len(corners) - 1:
                break
            walked += part
            k += 1
        share = min(max((wanted - walked) / part, 0.0), 1.0) if part > 0 else 0.0
        out[j, 0] = corners[k - 1, 0] + share * dx
        out[j, 1] = corners[k - 1, 1] + share * dy
    return count, step


@kernel()
def pursue_all(
    start: Any, corners: Any, yaw: float, widths: Any, limits: Any, room: Any, poses: Any,
    used: Any, left: Any,
) -> None:
    """Roll along N ways given by corners [N, C, 2]; poses [N, S + 1, 3] stay where they end."""
    way, states = np.empty((400, 2)), np.empty((len(widths) + 1, 5))
    for i in range(len(corners)):
        count, spacing = dense(corners[i], 0.06, way)
        used[i], left[i] = pursue(
            start, way[:count], spacing, yaw, widths, limits, room, states)
        for k in range(len(widths) + 1):
            poses[i, k] = states[min(k, used[i]), :3]
