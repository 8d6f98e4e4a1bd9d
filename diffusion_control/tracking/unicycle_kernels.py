# SPDX-License-Identifier: Apache-2.0
"""Motion of a base whose body accelerations are linear between knots (numba kernels).

The twist (u, w, omega) of the body (forward, to the left, turning; w = 0 with two driven wheels)
is an integral of the accelerations, the pose an integral of the twist:

    yaw' = omega,   x' = u cos yaw - w sin yaw,   y' = u sin yaw + w cos yaw.

Twist and yaw are exact polynomials of each step; x and y are integrated by Gauss-Legendre
quadrature with three points (error of a step below 1e-9 m at 2 m/s, 4 rad/s and 0.1 s). The
derivative of x, y by the accelerations of the knots is integrated with two points.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diffusion_control.robots.jit import kernel

_G3 = math.sqrt(0.6)
NODES3 = ((1.0 - _G3) / 2.0, 0.5, (1.0 + _G3) / 2.0)
SHARES3 = (5.0 / 18.0, 8.0 / 18.0, 5.0 / 18.0)
_G2 = 1.0 / math.sqrt(3.0)
NODES2 = ((1.0 - _G2) / 2.0, (1.0 + _G2) / 2.0)


@kernel()
def roll(times: Any, pose: Any, twist: Any, acceleration: Any) -> Any:
    """Return pose, body twist, velocity and acceleration in the world at knots, [4, T, 3].

    Args:
        times: Knots, from 0 on, shape [T] [s].
        pose: x, y, yaw at the first, shape [3].
        twist: u, w, omega at the first, shape [3].
        acceleration: Of the twist at the knots, linear between them, shape [T, 3].
    """
    knots = len(times)
    out = np.empty((4, knots, 3))
    x, y, yaw = pose[0], pose[1], pose[2]
    u, w, r = twist[0], twist[1], twist[2]
    for k in range(knots):
        c, s = math.cos(yaw), math.sin(yaw)
        a = acceleration[k]
        out[0, k, 0], out[0, k, 1], out[0, k, 2] = x, y, yaw
        out[1, k, 0], out[1, k, 1], out[1, k, 2] = u, w, r
        out[2, k, 0], out[2, k, 1], out[2, k, 2] = u * c - w * s, u * s + w * c, r
        forward, left = a[0] - w * r, a[1] + u * r
        out[3, k, 0], out[3, k, 1] = forward * c - left * s, forward * s + left * c
        out[3, k, 2] = a[2]
        if k == knots - 1:
            break
        h, b = times[k + 1] - times[k], acceleration[k + 1]
        for g in range(3):
            t = NODES3[g] * h
            bend = t * t / (2.0 * h)
            ug = u + t * a[0] + bend * (b[0] - a[0])
            wg = w + t * a[1] + bend * (b[1] - a[1])
            turned = yaw + t * (r + t * (a[2] / 2.0 + t * (b[2] - a[2]) / (6.0 * h)))
            c, s = math.cos(turned), math.sin(turned)
            x += SHARES3[g] * h * (ug * c - wg * s)
            y += SHARES3[g] * h * (ug * s + wg * c)
        yaw += h * (r + h * (2.0 * a[2] + b[2]) / 6.0)
        u += h * (a[0] + b[0]) / 2.0
        w += h * (a[1] + b[1]) / 2.0
        r += h * (a[2] + b[2]) / 2.0
    return out


@kernel()
def sensitivity(
    dt: float, rolled: Any, acceleration: Any, speed_at: Any, yaw_at: Any, omni: bool
) -> Any:
    """Return d(x, y at knots 1..N)/d(accelerations at knots 1..N-1), shape [2N, m (N-1)].

    The rows are x then y; the columns the knots of u, then (omni) of w, then of omega.

    Args:
        dt: Step [s].
        rolled: What `roll` returned, shape [4, N+1, 3].
        acceleration: Of the twist at knots 0..N, shape [N+1, 3].
        speed_at: d(speed)/d(acceleration) at the two nodes of each step, shape [2N, N-1].
        yaw_at: The same of its integral, shape [2N, N-1].
        omni: The base moves sideways too.
    """
    steps, count = len(acceleration) - 1, speed_at.shape[1]
    inputs = 3 if omni else 2
    out = np.empty((2 * steps, inputs * count))
    total = np.zeros((2, inputs * count))
    last = (inputs - 1) * count
    for k in range(steps):
        twist, a, b = rolled[1, k], acceleration[k], acceleration[k + 1]
        for g in range(2):
            t = NODES2[g] * dt
            bend = t * t / (2.0 * dt)
            u = twist[0] + t * a[0] + bend * (b[0] - a[0])
            w = twist[1] + t * a[1] + bend * (b[1] - a[1])
            yaw = rolled[0, k, 2] + t * (
                twist[2] + t * (a[2] / 2.0 + t * (b[2] - a[2]) / (6.0 * dt)))
            c, s = dt / 2.0 * math.cos(yaw), dt / 2.0 * math.sin(yaw)
            forward, left = u * c - w * s, u * s + w * c
            row = 2 * k + g
            for i in range(min(k + 1, count)):
                speed, turn = speed_at[row, i], yaw_at[row, i]
                total[0, i] += c * speed
                total[1, i] += s * speed
                if omni:
                    total[0, count + i] -= s * speed
                    total[1, count + i] += c * speed
                total[0, last + i] -= left * turn
                total[1, last + i] += forward * turn
        out[k] = total[0]
        out[steps + k] = total[1]
    return out


@kernel()
def returning(speed: float, acceleration: float, up: float, down: float, jerk_step: float,
              dt: float, steps: int) -> Any:
    """Return how high and how low a speed goes that is brought back to 0, [2, N] each >=, <= 0.

    At the control points v_1, m_1..m_{N-1} of `prediction.py`: upwards with the acceleration
    falling at the jerk limit to `-down`, downwards with it rising to `up`.

    Args:
        speed: At knot 0.
        acceleration: At knot 0.
        up: Largest acceleration > 0.
        down: Largest deceleration > 0.
        jerk_step: Largest change of the acceleration in a step.
        dt: Step [s].
        steps: N.
    """
    out = np.zeros((2, steps))
    for side in range(2):
        sign = 1.0 if side == 0 else -1.0
        v, a, most = sign * speed, sign * acceleration, down if side == 0 else up
        for k in range(steps):
            following = max(a - jerk_step, -most)
            ahead = v + dt * (a + following) / 2.0
            # m_k of an inner knot, v_1 in the first row
            if k == 0:
                out[side, 0] = sign * max(ahead, 0.0)
                if steps > 1:
                    out[side, 1] = sign * max(ahead + dt * following / 2.0, 0.0)
            elif k < steps - 1:
                out[side, k + 1] = sign * max(ahead + dt * following / 2.0, 0.0)
            v, a = ahead, following
    return out
