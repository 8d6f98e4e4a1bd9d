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
def evaluate(
    times: Any, pose: Any, twist: Any, acceleration: Any, reference_pose: Any,
    reference_twist: Any, anchor: Any, place: Any, yaw: Any, weights: Any,
) -> Any:
    """Return what `roll` returns, and the cost of `unicycle_problem.py`.

    Args:
        times: Knots 0..N [s], shape [N+1].
        pose: At knot 0, shape [3].
        twist: At knot 0, shape [3].
        acceleration: Of the twist at knots 0..N, shape [N+1, 3].
        reference_pose: At knots 1..N, shape [N, 3].
        reference_twist: At knots 1..N, shape [N, 3].
        anchor: Accelerations at knots 1..N-1, shape [N-1, 3].
        place: Weights of x, y at knots 1..N, shape [N].
        yaw: Weights of the yaw at knots 1..N, shape [N].
        weights: Of twist, acceleration and distance to the anchor, shape [3, 3].
    """
    rolled = roll(times, pose, twist, acceleration)
    cost, steps = 0.0, len(times) - 1
    for k in range(steps):
        x = rolled[0, k + 1, 0] - reference_pose[k, 0]
        y = rolled[0, k + 1, 1] - reference_pose[k, 1]
        turn = rolled[0, k + 1, 2] - reference_pose[k, 2]
        cost += place[k] * (x * x + y * y) + yaw[k] * turn * turn
        for j in range(3):
            slip = rolled[1, k + 1, j] - reference_twist[k, j]
            cost += weights[0, j] * slip * slip
            if k < steps - 1:
                push = acceleration[k + 1, j]
                change = push - anchor[k, j]
                cost += weights[1, j] * push * push + weights[2, j] * change * change
    return rolled, cost


@kernel()
def sensitivity(
    dt: float, rolled: Any, acceleration: Any, speed_at: Any, yaw_at: Any, omni: bool
) -> Any:
    """Return d(x, y at knots 1..N)/d(accelerations at knots 1..N-1), shape [2, N, m (N-1)].

    The columns are the knots of u, then (omni) of w, then of omega.

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
    out = np.empty((2, steps, inputs * count))
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
        out[0, k] = total[0]
        out[1, k] = total[1]
    return out


@kernel()
def quadratic(
    jacobian: Any, rolled: Any, acceleration: Any, reference_pose: Any, reference_twist: Any,
    anchor: Any, place: Any, yaw: Any, weights: Any, speed_map: Any, place_map: Any,
    constant: Any, omni: bool,
) -> Any:
    """Return H [M, M], f [M] and the present inputs [M] of the cost linearised about a motion.

    1/2 a' H a + f' a, a joint by joint as the columns of `sensitivity`.

    Args:
        jacobian: What `sensitivity` returned.
        rolled: The motion, shape [4, N+1, 3].
        acceleration: That makes it, shape [N+1, 3].
        reference_pose: See `evaluate`.
        reference_twist: See `evaluate`.
        anchor: See `evaluate`.
        place: See `evaluate`.
        yaw: See `evaluate`.
        weights: See `evaluate`.
        speed_map: V of `prediction.py`, shape [N, N-1].
        place_map: Q of `prediction.py`, shape [N, N-1].
        constant: The part of H that does not depend on the motion, shape [M, M].
        omni: The base moves sideways too.
    """
    steps, count = place_map.shape
    size, inputs = constant.shape[0], constant.shape[0] // count
    hessian, linear, flat = constant.copy(), np.zeros(size), np.empty(size)
    for k in range(steps):
        x = rolled[0, k + 1, 0] - reference_pose[k, 0]
        y = rolled[0, k + 1, 1] - reference_pose[k, 1]
        turn = rolled[0, k + 1, 2] - reference_pose[k, 2]
        two, known = 2.0 * place[k], min(k + 1, count)
        for j in range(inputs):
            axis = j if omni or j == 0 else 2
            pull = 2.0 * weights[0, axis] * (rolled[1, k + 1, axis] - reference_twist[k, axis])
            for i in range(j * count, j * count + known):
                east, north = two * jacobian[0, k, i], two * jacobian[1, k, i]
                linear[i] += east * x + north * y + pull * speed_map[k, i - j * count]
                for other in range(j + 1):
                    start = other * count
                    for n in range(start, start + known):
                        hessian[i, n] += east * jacobian[0, k, n] + north * jacobian[1, k, n]
        for i in range(known):
            linear[size - count + i] += 2.0 * yaw[k] * turn * place_map[k, i]
    for i in range(size):
        for n in range(i + 1, size):
            if n // count > i // count:
                hessian[i, n] = hessian[n, i]
    for j in range(inputs):
        axis = j if omni or j == 0 else 2
        for i in range(count):
            push = acceleration[i + 1, axis]
            flat[j * count + i] = push
            linear[j * count + i] += 2.0 * (
                weights[1, axis] * push + weights[2, axis] * (push - anchor[i, axis]))
    for i in range(size):
        for n in range(size):
            linear[i] -= hessian[i, n] * flat[n]
    return hessian, linear, flat


@kernel()
def minimum(hessian: Any, linear: Any) -> Any:
    """Return the a of least 1/2 a' H a + f' a, by Cholesky's factor; NaN if H is not definite."""
    size = len(linear)
    factor, out = np.zeros((size, size)), np.empty(size)
    for i in range(size):
        for j in range(i + 1):
            value = hessian[i, j]
            for k in range(j):
                value -= factor[i, k] * factor[j, k]
            if i == j:
                factor[i, i] = math.sqrt(value) if value > 0.0 else math.nan
            else:
                factor[i, j] = value / factor[j, j]
        value = -linear[i]
        for k in range(i):
            value -= factor[i, k] * out[k]
        out[i] = value / factor[i, i]
    for i in range(size - 1, -1, -1):
        out[i] /= factor[i, i]
        for k in range(i):
            out[k] -= factor[i, k] * out[i]
    return out


@kernel()
def body_of(position: Any, velocity: Any, acceleration: Any, omni: bool) -> Any:
    """Return body twist and its rate of change, [2, T, 3], of motions x, y, yaw [T, 3].

    A sideways velocity that two driven wheels cannot have is left out.
    """
    out = np.empty((2, len(position), 3))
    for k in range(len(position)):
        c, s = math.cos(position[k, 2]), math.sin(position[k, 2])
        v, a = velocity[k], acceleration[k]
        out[0, k, 0], out[0, k, 2] = c * v[0] + s * v[1], v[2]
        out[1, k, 0], out[1, k, 2] = c * a[0] + s * a[1], a[2]
        out[0, k, 1], out[1, k, 1] = 0.0, 0.0
        if omni:
            out[0, k, 1] = c * v[1] - s * v[0]
            out[1, k, 0] += out[0, k, 1] * v[2]
            out[1, k, 1] = c * a[1] - s * a[0] - out[0, k, 0] * v[2]
    return out


@kernel()
def described(
    position: Any, velocity: Any, acceleration: Any, here: Any, drift: Any, omni: bool
) -> Any:
    """Return a reference's poses [N, 3], twists [N, 3] and their rates [N-1, 3], from knot 1 on.

    The poses as the command must go so that the robot goes there: the robot is at p = C - c and
    executes the twist of C, so that both agree if the command goes to
    C + R(c_yaw) (r - p), yaw_r + c_yaw.

    Args:
        position: Of the reference at knots 0..N, shape [N+1, 3].
        velocity: Shape [N+1, 3].
        acceleration: Shape [N+1, 3].
        here: C, x, y, yaw.
        drift: c, x, y, yaw.
        omni: The base moves sideways too.
    """
    body = body_of(position, velocity, acceleration, omni)
    pose = np.empty((len(position) - 1, 3))
    c, s = math.cos(drift[2]), math.sin(drift[2])
    for k in range(len(pose)):
        x = position[k + 1, 0] - (here[0] - drift[0])
        y = position[k + 1, 1] - (here[1] - drift[1])
        pose[k, 0], pose[k, 1] = here[0] + c * x - s * y, here[1] + s * x + c * y
        pose[k, 2] = position[k + 1, 2] + drift[2]
    return pose, body[0, 1:].copy(), body[1, 1:-1].copy()


@kernel()
def sampled(times: Any, position: Any, velocity: Any, at: Any) -> Any:
    """Return what `trajectory.hermite` returns at times [T], shape [3, T, 3].

    Args:
        times: Knots, shape [K] [s].
        position: Shape [K, 3].
        velocity: Shape [K, 3].
        at: Query times, ascending or not, shape [T] [s].
    """
    out = np.zeros((3, len(at), 3))
    knots, k = len(times), 0
    for t in range(len(at)):
        now = at[t]
        if knots == 1 or now < times[0]:
            out[0, t] = position[0]
            continue
        if now > times[knots - 1]:
            out[0, t] = position[knots - 1]
            continue
        while k > 0 and times[k] > now:
            k -= 1
        while k < knots - 2 and times[k + 1] <= now:
            k += 1
        width = times[k + 1] - times[k]
        s = (now - times[k]) / width
        for j in range(3):
            m0, m1 = width * velocity[k, j], width * velocity[k + 1, j]
            delta = position[k + 1, j] - position[k, j]
            b, c = 3.0 * delta - 2.0 * m0 - m1, m0 + m1 - 2.0 * delta
            out[0, t, j] = position[k, j] + s * (m0 + s * (b + s * c))
            out[1, t, j] = (m0 + s * (2.0 * b + 3.0 * s * c)) / width
            out[2, t, j] = (2.0 * b + 6.0 * s * c) / (width * width)
    return out
