# SPDX-License-Identifier: Apache-2.0
"""The panels of `summary.png` that a base has: velocities, and its path from above."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from numpy.typing import NDArray

from diffusion_control.evaluation.base.measures import base_of
from diffusion_control.evaluation.base.messages import parse_map
from diffusion_control.evaluation.base.truth import body_twists
from diffusion_control.evaluation.picture_scene import (
    PATH_MAP,
    last_obstacles,
    published_sets,
    traces,
)
from diffusion_control.evaluation.picture_style import INK, MOVING, QUIET, STANDING, style
from diffusion_control.evaluation.run_data import RunData
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.planar import compose, yaw_of

Array = NDArray[np.float64]
SPEED, TURNING, WALL, ROBOT, GOAL = '#2f6fb0', '#d9822b', '#4a5568', '#3a9d5d', '#f4b400'
ROOM_M = 0.3


def draw_velocities(axes: Any, run: RunData, times_s: Array, index: NDArray[np.intp]) -> None:
    """Draw v and the yaw rate as they were, over what the receiver asked the wheels for.

    Args:
        axes: Axes.
        run: The run.
        times_s: Time of each sample in `index` [s].
        index: Samples of the ground truth to draw.
    """
    truth, true = run.truth, body_twists(run.truth)[index]
    second = axes.twinx()
    for panel, column, asked, colour in ((axes, 0, 0, SPEED), (second, 2, -1, TURNING)):
        panel.plot(times_s, truth.cmd[index, asked], color=colour, linewidth=3.2, alpha=0.28,
                   solid_capstyle='round')
        panel.plot(times_s, true[:, column], color=colour, linewidth=1.1)
    style(axes, 'Velocities: set-point (broad) and truth (fine)', 'v [m/s]')
    axes.yaxis.label.set_color(SPEED)
    second.set_ylabel('yaw rate [rad/s]', fontsize=8, color=TURNING)
    second.tick_params(labelsize=7.5, colors=QUIET, length=3)
    for side in ('top', 'left', 'bottom', 'right'):
        second.spines[side].set_visible(False)
    drive = base_of(run).drive
    top = 1.15 * drive.speed_max_m_s
    axes.set_ylim(-top, top)
    second.set_ylim(-1.15 * drive.yaw_rate_max_rad_s, 1.15 * drive.yaw_rate_max_rad_s)
    axes.set_xlim(times_s[0], times_s[-1])
    axes.tick_params(labelbottom=False)


def draw_top_view(axes: Any, run: RunData, times_s: Array, index: NDArray[np.intp]) -> None:
    """Draw walls, obstacles, the ways of the moving ones, the base's path and its goals.

    Args:
        axes: Axes.
        run: The run.
        times_s: Time of each sample in `index` [s].
        index: Samples of the ground truth to draw.
    """
    path = run.truth.q[index]
    sets = published_sets(run)
    corners = _walls(axes, run)
    for obstacle, moved in last_obstacles(sets):
        axes.add_patch(Polygon(outline_of(obstacle), facecolor=MOVING if moved else STANDING,
                               alpha=0.55, linewidth=0, zorder=3))
    for way in traces(sets):
        axes.plot(way[:, 0], way[:, 1], color=MOVING, linewidth=1.0, linestyle=(0, (2, 2)),
                  alpha=0.9, zorder=4)
    lines = LineCollection(
        list(np.stack([path[:-1, :2], path[1:, :2]], axis=1)), cmap=PATH_MAP, linewidths=2.2,
        zorder=5)
    lines.set_array(times_s[:-1])
    axes.add_collection(lines)
    axes.plot(*path[0, :2], 'o', color='#333333', markersize=4, zorder=6)
    outline = base_of(run).config.outline
    places = compose(path[-1], np.column_stack([outline, np.zeros(len(outline))]))
    axes.add_patch(Polygon(
        places[:, :2], facecolor=ROBOT, alpha=0.4, edgecolor=ROBOT, linewidth=1.2, zorder=6))
    _goals(axes, run)
    _frame(axes, np.concatenate([path[:, :2], corners]), run)
    _legend(axes)


def outline_of(obstacle: Obstacle, around: int = 24) -> Array:
    """Return the outline of an obstacle from above, shape [k, 2]; a tilted one by its yaw."""
    size, place = obstacle.size_m, obstacle.position_m
    if obstacle.shape == 'box':
        corners = np.array([[1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]]) * np.array(
            [size[0] / 2, size[1] / 2, 0.0])
        turn = np.array([place[0], place[1], yaw_of(obstacle.quaternion)])
        return np.asarray(compose(turn, corners)[:, :2])
    angles = np.linspace(0.0, 2 * np.pi, around, endpoint=False)
    return np.asarray(
        place[:2] + size[0] * np.stack([np.cos(angles), np.sin(angles)], axis=1))


def _walls(axes: Any, run: RunData) -> Array:
    """Draw the occupied cells of the last map; return its corners [4, 2], none without a map."""
    stream = run.recording.stream('map')
    known = parse_map(stream.messages[-1]) if len(stream) else None
    if known is None or run.frames is None:
        return np.zeros((0, 2))
    frame = stream.messages[-1].header.frame_id
    return draw_walls(axes, known.moved(run.frames.pose(frame, float(run.truth.t_s[-1]))))


def draw_walls(axes: Any, known: OccupancyMap, colour: str = WALL, zorder: int = 2) -> Array:
    """Draw the occupied cells of a map; return its corners [4, 2]."""
    rows, columns = known.cells.shape
    grid = np.stack(np.meshgrid(np.arange(columns + 1), np.arange(rows + 1)), axis=-1)
    local = np.concatenate([grid * known.resolution_m, np.zeros((rows + 1, columns + 1, 1))], 2)
    corners = compose(known.origin, local)
    shown = np.ma.masked_where(~known.occupied, known.occupied)
    axes.pcolormesh(corners[..., 0], corners[..., 1], shown, cmap=ListedColormap([colour]),
                    zorder=zorder, rasterized=True)
    return np.asarray(corners[[0, 0, -1, -1], [0, -1, 0, -1], :2])


def _goals(axes: Any, run: RunData) -> None:
    places: list[Array] = []
    for item in run.goals():
        goal = item.goal.position_m if item.goal.joints_rad is None else item.goal.joints_rad
        assert goal is not None
        if not any(np.allclose(goal[:2], other) for other in places):
            places.append(goal[:2])
    for number, place in enumerate(places, start=1):
        axes.plot(*place, '*', color=GOAL, markersize=12, markeredgecolor='#5b4300',
                  markeredgewidth=0.7, zorder=7)
        axes.annotate(str(number), place, xytext=(5, 5), textcoords='offset points', fontsize=8,
                      color='#5b4300', zorder=8)


def _frame(axes: Any, points: Array, run: RunData) -> None:
    """Set equal scales around points [k, 2] and goals, with some room beside."""
    seen = [points]
    seen += [np.atleast_2d(item.goal.position_m)[:, :2] for item in run.goals()
             if item.goal.position_m is not None]
    every = np.concatenate(seen)
    low, high = every.min(axis=0) - ROOM_M, every.max(axis=0) + ROOM_M
    style(axes, 'Path from above (colour: time)', 'y [m]', 'x [m]')
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect('equal', adjustable='box')


def _legend(axes: Any) -> None:
    handles = [
        Line2D([], [], color=WALL, marker='s', linestyle='', label='wall'),
        Line2D([], [], color=STANDING, marker='o', linestyle='', label='standing'),
        Line2D([], [], color=MOVING, marker='o', linestyle='', label='moving, and its way'),
        Line2D([], [], color=GOAL, marker='*', markersize=10, linestyle='', label='goal'),
        Line2D([], [], color='#333333', marker='o', markersize=4, linestyle='', label='start')]
    axes.legend(handles=handles, fontsize=7, frameon=False, ncols=5, loc='lower left',
                bbox_to_anchor=(0.0, 1.06), columnspacing=0.9, handletextpad=0.2, borderpad=0,
                labelcolor=INK)
