# SPDX-License-Identifier: Apache-2.0
"""Iterative linear-quadratic regulation of the unicycle, from several bent ways.

W. Li, E. Todorov, "Iterative Linear Quadratic Regulator Design for Nonlinear Biological Movement
Systems", ICINCO 2004. With states s = (x, y, yaw), inputs u = (v, omega), those of the pursuit of
a bent way u', and the hinges of `robots.base_cost` on clearance,

    J(u) = sum_k h |u_k - u'_k|_R^2 + W sum_k hinge(s_k)^2 + W_end |p_N - goal|^2

is lowered by Riccati recursions about the roll-out (Gauss-Newton; the squared hinge has the
Hessian g g' / (2 c) for its value c and gradient g), with a line search. It is a local method:
the bends that it starts from say on which side it passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffusion_control.planners.base.base_planner import (
    WHOLE_S,
    Array,
    BaseParameters,
    BasePlanner,
    BaseRequest,
)
from diffusion_control.planners.base.way_samples import CORNERS, EXTRA_M, WaySamples
from diffusion_control.planners.parameters import parameter
from diffusion_control.robots.jit import kernel

INPUT_WEIGHT = np.array([1.0, 0.3])
CLEAR_WEIGHT, END_WEIGHT = 400.0, 60.0
STEPS = (1.0, 0.5, 0.25, 0.1)
DAMPING = 1e-3
RESERVE_S = 0.03
MOVED_M = 0.02


@dataclass(frozen=True)
class BaseIlqrParameters(BaseParameters):
    """Settings of iLQR."""

    num_iterations: int = parameter(12, 1, 500, 'recursions from each bend')
    num_bends: int = parameter(13, 1, 255, 'bends of the line to choose from')
    bend_m: float = parameter(3.0, 0.1, 50.0, 'how far the widest one leads aside [m]')
    num_started: int = parameter(3, 1, 64, 'cheapest bends that are descended from')


class BaseIlqr(BasePlanner):
    """Descends from the cheapest bends, and from the way that is followed."""

    name = 'ilqr'
    parameters_type = BaseIlqrParameters

    def propose(self, request: BaseRequest, kept: Array | None, until: float) -> list[Array]:
        """Return the ways descended from, and where the descents led."""
        samples = WaySamples(request)
        bends = _bent(samples, self.values.num_bends, self.values.bend_m)
        order = np.argsort(samples.cost(bends), kind='stable')[:self.values.num_started]
        starts = list(samples.corners(bends[order]))
        if kept is not None:
            starts = [kept, *starts[:max(1, len(starts) - 1)]]
        ways = [request.line, *starts]
        began = self.clock()
        for done, corners in enumerate(starts):
            ways.append(descended(request, corners, self.values.num_iterations))
            now = self.clock()
            if now + (now - began) / (done + 1) > until - RESERVE_S:
                break
        return ways


def descended(request: BaseRequest, corners: Array, iterations: int) -> Array:
    """Return the way [C, 2] to which iLQR leads from the pursuit of another."""
    rolled, _ = request.roll(corners, WHOLE_S, request.limits, forgets=True)
    if len(rolled) < 3:
        return corners
    wanted: Array = (rolled[1:, 3:] + rolled[:-1, 3:]) / 2
    inputs, h = wanted.copy(), float(WHOLE_S[0])
    count = len(inputs)
    gains, steps = np.zeros((count, 2, 3)), np.zeros((count, 2))
    states, trial = np.zeros((count + 1, 3)), np.zeros((count + 1, 3))
    tried = np.empty_like(inputs)
    states[0] = trial[0] = request.start[:3]
    forward(states.copy(), inputs, steps, gains, 0.0, h, request.limits, states, tried)
    inputs, cost, slope, curve = tried.copy(), *_cost(request, states, tried, wanted, h)
    for _ in range(iterations):
        backward(states, inputs, wanted, slope, curve, INPUT_WEIGHT, h, DAMPING, steps, gains)
        for share in STEPS:
            forward(states, inputs, steps, gains, share, h, request.limits, trial, tried)
            found = _cost(request, trial, tried, wanted, h)
            if found[0] < cost - 1e-6:
                break
        else:
            break
        states[:], inputs = trial, tried.copy()
        cost, slope, curve = found
    places = states[1:-1, :2]
    apart = np.hypot(*np.diff(states[:-1, :2], axis=0).T)
    return np.concatenate([
        request.start[None, :2], places[apart > MOVED_M], request.place[None]])


def _bent(samples: WaySamples, count: int, widest_m: float) -> Array:
    """Return free corners [N, F, 2] of the line, bent to both sides by arcs."""
    along = samples.request.place - samples.request.start[:2]
    aside = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-9)
    arc = np.sin(np.pi * np.arange(1, CORNERS + 1) / (CORNERS + 1)) ** 0.5
    width = np.linspace(-widest_m, widest_m, count) if count > 1 else np.zeros(1)
    return np.asarray(samples.line + width[:, None, None] * arc[:, None] * aside)


def _cost(
    request: BaseRequest, states: Array, inputs: Array, wanted: Array, h: float
) -> tuple[float, Array, Array]:
    """Return J, its slopes [N + 1, 3] and curvatures [N + 1, 3, 3] in the states."""
    value, _, gradient = request.world.cost(states, EXTRA_M, gradient=True)
    value, slope = value.astype(float), CLEAR_WEIGHT * gradient.astype(float)
    curve = np.einsum('ki,kj->kij', slope, slope) / (
        2.0 * CLEAR_WEIGHT * np.maximum(value, 1e-6))[:, None, None]
    away = states[-1, :2] - request.place
    slope[-1, :2] += 2 * END_WEIGHT * away
    curve[-1, [0, 1], [0, 1]] += 2 * END_WEIGHT
    total = (CLEAR_WEIGHT * value.sum() + END_WEIGHT * away @ away
             + h * (INPUT_WEIGHT * (inputs - wanted) ** 2).sum())
    request.evaluations += 1
    return float(total), slope, curve


@kernel()
def forward(
    states: Any, inputs: Any, steps: Any, gains: Any, share: float, h: float, limits: Any,
    out: Any, used: Any,
) -> None:
    """Roll the unicycle with inputs + share * steps + gains (s' - s), within the limits."""
    out[0] = states[0]
    for k in range(len(inputs)):
        for i in range(2):
            value = inputs[k, i] + share * steps[k, i]
            for j in range(3):
                value += gains[k, i, j] * (out[k, j] - states[k, j])
            low = 0.0 if i == 0 else -limits[1]
            used[k, i] = min(max(value, low), limits[i])
        middle = out[k, 2] + h * used[k, 1] / 2
        out[k + 1, 0] = out[k, 0] + h * used[k, 0] * math.cos(middle)
        out[k + 1, 1] = out[k, 1] + h * used[k, 0] * math.sin(middle)
        out[k + 1, 2] = out[k, 2] + h * used[k, 1]


@kernel()
def backward(
    states: Any, inputs: Any, wanted: Any, slope: Any, curve: Any, weight: Any, h: float,
    damping: float, steps: Any, gains: Any,
) -> None:
    """Write the Riccati recursion's steps [N, 2] and gains [N, 2, 3]."""
    count = len(inputs)
    first, second = slope[count].copy(), curve[count].copy()
    a, b, inverse = np.eye(3), np.zeros((3, 2)), np.empty((2, 2))
    for back in range(count):
        k = count - 1 - back
        v, middle = inputs[k, 0], states[k, 2] + h * inputs[k, 1] / 2
        c, s = math.cos(middle), math.sin(middle)
        a[0, 2], a[1, 2] = -h * v * s, h * v * c
        b[0, 0], b[1, 0], b[2, 1] = h * c, h * s, h
        b[0, 1], b[1, 1] = -h * h / 2 * v * s, h * h / 2 * v * c
        of_b, of_a = second @ b, second @ a
        q_u, q_uu, q_ux = b.T @ first, b.T @ of_b, b.T @ of_a
        for i in range(2):
            q_u[i] += 2 * h * weight[i] * (inputs[k, i] - wanted[k, i])
            q_uu[i, i] += 2 * h * weight[i] + damping
        inverse[0, 0], inverse[1, 1] = q_uu[1, 1], q_uu[0, 0]
        inverse[0, 1], inverse[1, 0] = -q_uu[0, 1], -q_uu[1, 0]
        inverse /= q_uu[0, 0] * q_uu[1, 1] - q_uu[0, 1] * q_uu[1, 0]
        steps[k], gains[k] = -inverse @ q_u, -inverse @ q_ux
        first = slope[k] + a.T @ first + q_ux.T @ steps[k]
        second = curve[k] + a.T @ of_a + q_ux.T @ gains[k]
        second = (second + second.T) / 2
