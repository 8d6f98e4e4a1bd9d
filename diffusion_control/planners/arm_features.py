# SPDX-License-Identifier: Apache-2.0
"""What a learned planner of an arm is told: start, goal, the line between them, the obstacles.

An arm that stands upright may be turned about its first joint with all that is around it, and no
motion changes. So all is told as seen in the middle of the way: turned by -(q1 of start + q1 of
goal) / 2 about the vertical. How far that was is told once, because the joint has limits.

The line in joint space is looked at in ten configurations from start to goal. Of each the network
is told places of some links and the axes of the tool; of an obstacle its shape, place, size and
axes, its distances d to four groups of distal links in each look, as tanh(4 d), and the way from
it to the tool. An obstacle is thereby described in the terms of the motion that is to be found,
and one that moves is where it will be by then. No input holds a solved path or a distance to the
goal.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.link_distances import link_distances
from diffusion_control.robots.obstacles import ObstacleArrays
from diffusion_control.robots.planar import turned, turned_frames
from diffusion_control.trajectory.spline import smoothness

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]
GROUPS = 4
POINTS_PER_GROUP = 2
SHAPES = 3
PER_METRE, PLACE_SCALE, SIZE_SCALE = 4.0, 2.0, 6.0
ANGLE, AXES, AXIS = 3, 6, slice(3, None)
UPRIGHT = 1.0 - 1e-9
UPPER = np.triu_indices(3)


class ArmFeatures:
    """The inputs of the condition encoder for one arm.

    Attributes:
        lengths: Numbers of `state` and `goal`, and per obstacle of `obstacles`.
    """

    def __init__(self, robot: Any) -> None:
        model, self._chain = robot.collision, robot.chain
        self._placements, self._first = robot.chain.placements, model.first
        self._spheres, dof = model.spheres, robot.dof
        self._group = np.where(
            model.joint >= dof - GROUPS, np.maximum(model.joint - (dof - GROUPS + 1), 0), -1)
        self._key = np.concatenate([
            np.flatnonzero(self._group == g)[[0, -1]] for g in range(GROUPS)])
        weight = smoothness().line
        self._weight = np.concatenate([[0.0], weight, [1.0]])
        self._sense = _sense(self._placements[0])
        angles, look = ANGLE * (dof + 1), 3 * GROUPS * POINTS_PER_GROUP + AXES
        self.lengths = {
            'state': angles + look + len(weight) * look, 'goal': angles + look,
            'obstacles': SHAPES + 6 + 2 * len(UPPER[0]) + (GROUPS + 3) * len(self._weight)}

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
        middle = 0.5 * (start[0] + goal[0]) if self._sense else 0.0
        about = middle * np.eye(len(start))[0]
        o = _turned(obstacles, -self._sense * middle)
        line = start - about + (goal - start) * self._weight[:, None]
        times = np.minimum(self._weight * duration_s, latest_s)
        count = len(o.code)
        centres = np.empty((len(line), len(self._spheres), 3))
        near = np.empty((count, len(line), GROUPS))
        link_distances(
            line, times, self._placements, self._first, self._spheres, self._group, o.code,
            o.centre_m, o.rotation, o.half_m, o.velocity_m_s, centres, near)
        tools = self._chain.tool_poses(line)
        axes = tools[:, AXIS].reshape(-1, 3, 3)[:, :, [0, 2]]
        looks = np.concatenate([
            PLACE_SCALE * centres[:, self._key].reshape(len(line), -1),
            axes.reshape(len(line), -1)], axis=1)
        rows = np.zeros((max(count, 1), self.lengths['obstacles']))
        distances = np.tanh(PER_METRE * near).reshape(count, len(line) * GROUPS)
        moved = o.centre_m[:, None] + times[:, None] * o.velocity_m_s[:, None]
        away = PLACE_SCALE * (tools[:, :3] - moved).reshape(count, 3 * len(line))
        rows[:count] = np.concatenate([_shapes(o), distances, away], axis=1)
        mask = np.zeros(len(rows))
        mask[:count] = 1.0
        ends = [np.concatenate([_angles(q - about), _angles(q[:1])]) for q in (start, goal)]
        found = {
            'state': np.concatenate([ends[0], looks[0], looks[1:-1].reshape(-1)]),
            'goal': np.concatenate([ends[1], looks[-1]]),
            'obstacles': rows, 'obstacle_mask': mask}
        return {name: part[None].astype(np.float32) for name, part in found.items()}


def _sense(placement: Array) -> float:
    """Return 1 or -1 if the first joint turns about the vertical of the base frame, else 0."""
    up = float(placement[AXIS].reshape(3, 3)[2, 2])
    over = abs(up) > UPRIGHT and float(np.abs(placement[:2]).max()) < 1.0 - UPRIGHT
    return float(np.sign(up)) if over else 0.0


def _turned(obstacles: ObstacleArrays, angle_rad: float) -> ObstacleArrays:
    """Return obstacles turned about the vertical through the base."""
    about = np.array([0.0, 0.0, angle_rad])
    return replace(
        obstacles, centre_m=turned(about, obstacles.centre_m),
        rotation=np.ascontiguousarray(turned_frames(about, obstacles.rotation)),
        velocity_m_s=turned(about, obstacles.velocity_m_s))


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
