# SPDX-License-Identifier: Apache-2.0
"""What a learned planner of an arm is told: start, goal, the line between them, the obstacles.

The line in joint space is looked at in `LOOKS` configurations from start to goal, an obstacle's
part of the input being its distance d to four groups of distal links in each of them, as
tanh(4 d), beside its shape, place, size and axes. An obstacle is thereby described in the terms of
the motion that is to be found, and one that moves is where it will be by then. No input holds a
solved path or a distance to the goal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.link_distances import link_distances
from diffusion_control.robots.obstacles import ObstacleArrays
from diffusion_control.trajectory.spline import smoothness

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]
GROUPS = 4
POINTS_PER_GROUP = 2
SHAPES = 3
PER_METRE, PLACE_SCALE, SIZE_SCALE = 4.0, 2.0, 6.0
UPPER = np.triu_indices(3)


class ArmFeatures:
    """The inputs of the condition encoder for one arm.

    Attributes:
        lengths: Numbers of `state` and `goal`, and per obstacle of `obstacles`.
    """

    def __init__(self, robot: Any) -> None:
        model = robot.collision
        self._placements, self._first = robot.chain.placements, model.first
        self._spheres, dof = model.spheres, robot.dof
        self._group = np.where(
            model.joint >= dof - GROUPS, np.maximum(model.joint - (dof - GROUPS + 1), 0), -1)
        self._key = np.concatenate([
            np.flatnonzero(self._group == g)[[0, -1]] for g in range(GROUPS)])
        weight = smoothness().line
        self._weight = np.concatenate([[0.0], weight, [1.0]])
        points = 3 * GROUPS * POINTS_PER_GROUP
        self.lengths = {
            'state': 3 * dof + points + len(weight) * points, 'goal': 3 * dof + points,
            'obstacles': SHAPES + 6 + 2 * len(UPPER[0]) + GROUPS * len(self._weight)}

    def __call__(
        self, start: Array, goal: Array, obstacles: ObstacleArrays, duration_s: float = 0.0,
        latest_s: float = 0.0,
    ) -> dict[str, Array32]:
        """Return the inputs of one question, each with a leading axis of 1.

        Args:
            start: Configuration [n] [rad].
            goal: Configuration [n] [rad].
            obstacles: As they are at the start, N of them; without any, one empty place is given.
            duration_s: Of the straight motion, to tell where movers will be [s].
            latest_s: Movers are foretold so far, and stand from then on [s].

        Returns:
            `state` [1, S], `goal` [1, G], `obstacles` [1, N, F], `obstacle_mask` [1, N].
        """
        line = start + (goal - start) * self._weight[:, None]
        times = np.minimum(self._weight * duration_s, latest_s)
        count = len(obstacles.code)
        centres = np.empty((len(line), len(self._spheres), 3))
        near = np.empty((count, len(line), GROUPS))
        o = obstacles
        link_distances(
            line, times, self._placements, self._first, self._spheres, self._group, o.code,
            o.centre_m, o.rotation, o.half_m, o.velocity_m_s, centres, near)
        key = PLACE_SCALE * centres[:, self._key].reshape(len(line), -1)
        rows = np.zeros((max(count, 1), self.lengths['obstacles']))
        seen = np.tanh(PER_METRE * near).reshape(count, len(line) * GROUPS)
        rows[:count] = np.concatenate([_shapes(obstacles), seen], axis=1)
        mask = np.zeros(len(rows))
        mask[:count] = 1.0
        state = np.concatenate([_angles(start), key[0], key[1:-1].reshape(-1)])
        found = {
            'state': state, 'goal': np.concatenate([_angles(goal), key[-1]]),
            'obstacles': rows, 'obstacle_mask': mask}
        return {name: part[None].astype(np.float32) for name, part in found.items()}


def _angles(position: Array) -> Array:
    """Return a configuration in numbers near 1, shape [3 n]."""
    return np.concatenate([position / 2, np.sin(position), np.cos(position)])


def _shapes(obstacles: ObstacleArrays) -> Array:
    """Return kind, place, size and axes; axes as x x^T and z z^T, which no half turn changes."""
    kind = (obstacles.code[:, None] == np.arange(1, SHAPES + 1)).astype(float)
    axes = [
        (axis[:, :, None] * axis[:, None, :])[:, UPPER[0], UPPER[1]] * seen[:, None]
        for axis, seen in (
            (obstacles.rotation[:, :, 0], kind[:, 1]),
            (obstacles.rotation[:, :, 2], kind[:, 1] + kind[:, 2]))]
    return np.concatenate(
        [kind, PLACE_SCALE * obstacles.centre_m, SIZE_SCALE * obstacles.half_m, *axes], axis=1)
