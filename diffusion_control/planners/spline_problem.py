# SPDX-License-Identifier: Apache-2.0
"""Batches of spline motions: their assembly, cost, duration and gradient steps.

A motion is C = 14 control points: three fixed by the start (position, velocity, acceleration),
three by the goal at rest, F = 8 free. N motions are arrays [N, C, n]; each has a duration T.
The cost of a motion is

    J = guidance * 20 * mean_k 48 (hinge of clearance)^2 + 0.02 / 2 trace(P^T M P) + 0.1 T r

with r = max(|v| / v_max, sqrt(|a| / a_max)) the factor by which T has to grow to keep the limits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.problem import Start
from diffusion_control.planners.trace import SHOWN_POINTS, USUAL, CostWeights
from diffusion_control.planners.world import Judgement, World
from diffusion_control.robots.limits import JointLimits
from diffusion_control.trajectory.spline import (
    CONTROL_POINTS,
    FIXED,
    basis,
    head,
    smoothness,
    straight,
)
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
FREE = slice(FIXED, CONTROL_POINTS - FIXED)
FREE_POINTS = CONTROL_POINTS - 2 * FIXED
COLLISION_WEIGHT = 20.0
SMOOTH_WEIGHT = 0.02
DURATION_WEIGHT = 0.1
SHORTEST_S = 0.2
COARSE = np.geomspace(0.5, 4.0, 14)
FINE = np.linspace(0.86, 1.0, 6)
LIMIT_INSET_RAD = 0.01
SAMPLES = 24
DESCENT_RATE, LONGEST_STEP_RAD, DESCENT_EXTRA_M = 0.1, 0.25, 0.02
"""Of gradient steps: their length, the most that a point moves, where collisions begin to cost."""


class SplineProblem:
    """Spline motions from one start in one world.

    Args:
        world: Robot and obstacles.
        start: The exact start.
        limits: Speed and acceleration to plan with.
        guidance: Weight of the collision cost relative to smoothness and duration.
        samples: Points per motion at which the cost is taken.
        weights: Factors on the terms of the cost.
    """

    def __init__(
        self, world: World, start: Start, limits: JointLimits, *, guidance: float = 1.0,
        samples: int = SAMPLES, weights: CostWeights = USUAL,
    ) -> None:
        self.world, self.start, self.weights = world, start, weights
        self.guidance, self.samples = guidance, samples
        self.lower = np.minimum(limits.lower_rad + LIMIT_INSET_RAD, start.position)
        self.upper = np.maximum(limits.upper_rad - LIMIT_INSET_RAD, start.position)
        self.lower32 = self.lower.astype(np.float32)
        self.upper32 = self.upper.astype(np.float32)
        self.speed = np.maximum(limits.velocity_rad_s, 1.02 * np.abs(start.velocity))
        self.force = np.maximum(limits.acceleration_rad_s2, 1.02 * np.abs(start.acceleration))
        self.evaluations = 0

    def judge(self, motion: Trajectory, *, tolerance: float = 1.0) -> Judgement:
        """Return what the dense check says about a motion; see `World.judge`."""
        return self.world.judge(motion, tolerance=tolerance)

    def line(self, goal: Array) -> Array:
        """Return the free points of the smoothest line to goals [N, n], shape [N, F, n]."""
        return straight(self.start.position, goal)

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Return smooth noise of unit variance, shape [*shape, F, n]."""
        raw = generator.standard_normal(
            (*shape, FREE_POINTS, len(self.start.position)), dtype=np.float32)
        coloured: Array = np.matmul(smoothness().noise.astype(np.float32), raw)
        return coloured

    def clip(self, free: Array) -> Array:
        """Return free points inside the position limits: the motion is then inside too."""
        clipped: Array = np.clip(free, self.lower, self.upper)
        return clipped

    def assemble(self, free: Array, goal: Array, duration: Array) -> Array:
        """Return control points [N, C, n] from free points [N, F, n], goals [N, n] and T [N].

        The start's acceleration a acts for about one knot spacing h = T / (C - 3); where v + a h
        would exceed the speed limit it is reduced, position and velocity stay exact.
        """
        begin = self.start
        spacing = duration[:, None] / (CONTROL_POINTS - 3)
        acceleration = np.clip(
            begin.acceleration, (-self.speed - begin.velocity) / spacing,
            (self.speed - begin.velocity) / spacing)
        first = head(begin.position, begin.velocity, acceleration, duration)
        last = np.repeat(goal[:, None, :], FIXED, axis=1)
        return np.concatenate([first, free, last], axis=1)

    def stretch(self, points: Array, duration: Array) -> Array:
        """Return r, shape [N]: T r is the shortest duration inside the limits.

        Exact for a start at rest; acceleration is piecewise linear, so that its knots suffice.
        """
        fine, knots = basis(2 * (CONTROL_POINTS - 3) + 1), basis(CONTROL_POINTS - 2)
        speed = np.abs(fine.velocity @ points).max(1) / self.speed
        force = np.abs(knots.acceleration @ points).max(1) / self.force
        ratio: Array = np.maximum(
            speed.max(1) / duration, np.sqrt(force.max(1)) / duration)
        return ratio

    def fit_duration(self, free: Array, goal: Array, duration: Array) -> tuple[Array, Array]:
        """Return control points and the shortest durations found inside the limits.

        From rest T r is exact. In motion the first control points depend on T: two grids of
        durations are searched, and where no T keeps the limits the least violation is taken.
        """
        if self.start.at_rest and not self.start.acceleration.any():
            ratio = self.stretch(self.assemble(free, goal, duration), duration)
            duration = np.maximum(duration * ratio, SHORTEST_S)
            return self.assemble(free, goal, duration), duration
        for factors in (COARSE, FINE):
            duration = self._shortest(free, goal, duration, factors)
        return self.assemble(free, goal, duration), duration

    def _shortest(self, free: Array, goal: Array, duration: Array, factors: Array) -> Array:
        """Return for each motion the first T = duration * factor inside the limits."""
        count, tried = len(free), len(factors)
        times = np.maximum((duration[:, None] * factors).reshape(-1), SHORTEST_S)
        points = self.assemble(np.repeat(free, tried, 0), np.repeat(goal, tried, 0), times)
        ratio = self.stretch(points, times).reshape(count, tried)
        fits = ratio <= 1.0 + 1e-6
        chosen = np.where(fits.any(1), fits.argmax(1), ratio.argmin(1))
        shortest: Array = times.reshape(count, tried)[np.arange(count), chosen]
        return shortest

    def cost(self, points: Array, duration: Array, *, extra_m: float = 0.01) -> Array:
        """Return J of motions [N, C, n], shape [N]."""
        terms = self.terms(points, duration, extra_m=extra_m)
        self.evaluations += len(points)
        total: Array = terms['collision'] + terms['smoothness'] + terms['duration']
        return total

    def terms(self, points: Array, duration: Array, *, extra_m: float = 0.01) -> dict[str, Array]:
        """Return the terms of J of motions [N, C, n] by their names in `trace.TERMS`, [N] each."""
        collision, _ = self.clearance(points, duration, self.samples, extra_m)
        metric = smoothness().metric.astype(points.dtype)
        smooth = 0.5 * (points * (metric @ points)).sum((1, 2))
        weights = self.weights
        return {
            'collision': weights.collision * self.guidance * COLLISION_WEIGHT * 48 / self.samples
            * collision,
            'smoothness': weights.smoothness * SMOOTH_WEIGHT * smooth,
            'duration': weights.duration * DURATION_WEIGHT * duration * np.maximum(
                self.stretch(points, duration), 0.5)}

    def shown(self, free: Array, goal: Array, duration: Array) -> Array:
        """Return the positions of motions at `SHOWN_POINTS` instants, [N, S, n], to be drawn."""
        positions: Array = basis(SHOWN_POINTS).position @ self.assemble(free, goal, duration)
        return positions

    def clearance(
        self, points: Array, duration: Array, samples: int, extra_m: float = 0.0
    ) -> tuple[Array, Array]:
        """Return summed squared hinges and smallest clearance of motions, each of shape [N]."""
        positions, times = self._rows(points, duration, samples)
        cost, near, _ = self.world.cost(positions, times, extra_m=extra_m, gradient=False)
        return cost.reshape(len(points), -1).sum(1), near.reshape(len(points), -1).min(1)

    def descend(
        self, free: Array, goal: Array, duration: Array, *, steps: int,
        smooth: float = SMOOTH_WEIGHT, rate: float = DESCENT_RATE, push: float = 1.0,
        extra_m: float = DESCENT_EXTRA_M, until_s: float = math.inf,
        clock: Callable[[], float] = time.perf_counter,
    ) -> Array:
        """Return free points after covariant gradient steps P <- P - rate * K grad J.

        K is the inverse of the smoothness metric (Zucker et al., CHOMP, IJRR 2013); a step moves
        no point by more than `LONGEST_STEP_RAD`. `push` multiplies the weight of collisions. A
        step that would end after `until_s` on the clock, if as long as the longest one, is not
        begun.
        """
        matrices, at, weights = smoothness(), basis(self.samples), self.weights
        inner = at.position[:, FREE].T
        done, longest_s, now_s = 0, 0.0, clock()
        while done < steps and now_s + longest_s <= until_s:
            points = self.assemble(free, goal, duration)
            positions, times = self._rows(points, duration, self.samples)
            _, _, slope = self.world.cost(positions, times, extra_m=extra_m, gradient=True)
            assert slope is not None
            slope = slope.reshape(len(points), self.samples, -1)
            total = push * weights.collision * self.guidance * COLLISION_WEIGHT * 48 / (
                self.samples) * (inner @ slope)
            total = total + weights.smoothness * smooth * (matrices.metric @ points)[:, FREE]
            step = rate * (matrices.inverse @ total)
            longest = np.abs(step).max((1, 2), keepdims=True)
            free = self.clip(
                free - step * np.minimum(1.0, LONGEST_STEP_RAD / np.maximum(longest, 1e-9)))
            done, began_s, now_s = done + 1, now_s, clock()
            longest_s = max(longest_s, now_s - began_s)
        self.evaluations += done * len(free)
        return free

    def _rows(self, points: Array, duration: Array, samples: int) -> tuple[Array, Array]:
        """Return positions [N * samples, n] and their times [N * samples]."""
        at = basis(samples)
        matrix = at.position.astype(points.dtype)
        positions = (matrix @ points).reshape(-1, points.shape[-1])
        return positions, (duration[:, None] * at.phase).reshape(-1)
