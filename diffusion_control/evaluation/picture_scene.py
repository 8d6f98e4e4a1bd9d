# SPDX-License-Identifier: Apache-2.0
"""The tool's path among the obstacles, in three dimensions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import (  # type: ignore[import-untyped]
    Line3DCollection,
    Poly3DCollection,
)
from numpy.typing import NDArray

from diffusion_control.evaluation.picture_style import INK, MOVING, STANDING
from diffusion_control.evaluation.published_obstacles import ObstacleSet, obstacle_sets
from diffusion_control.evaluation.run_data import RunData
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.obstacles import Obstacle, rotation_matrix

Array = NDArray[np.float64]
ROBOT = '#c9ced6'
LIGHT = np.array([0.35, -0.55, 0.76])
MOVED_M = 0.02
PATH_MAP = 'viridis'
TRACE_STEP = 5
ZOOM, RIGHT_EDGE = 1.13, 0.985


def draw_scene(axes: Any, run: RunData, times_s: Array, index: NDArray[np.intp]) -> None:
    """Draw robot, obstacles, traces of the moving ones, the tool's path and the goals.

    Args:
        axes: 3-D axes.
        run: The run.
        times_s: Time of each sample in `index` on the pictures' axis [s].
        index: Samples of the ground truth to draw.
    """
    sets = published_sets(run)
    tool = run.robot.tool_positions(run.truth.q[index])
    axes.computed_zorder = False
    faces: list[Array] = []
    colours: list[Any] = []
    for obstacle, moved in last_obstacles(sets):
        add_faces(faces, colours, shape_faces(obstacle), MOVING if moved else STANDING, 0.55)
    for centre, radius in _robot_spheres(run, index[-1]):
        add_faces(faces, colours, centre + radius * _unit_sphere(14, 9), ROBOT, 0.34)
    axes.add_collection3d(Poly3DCollection(faces, facecolors=colours, edgecolors='none', zorder=2))
    for trace in traces(sets):
        axes.plot(*trace.T, color=MOVING, linewidth=1.2, linestyle=(0, (2, 2)), alpha=0.9,
                  zorder=3)
    _draw_path(axes, tool, times_s)
    for number, goal in enumerate(_goals(run), start=1):
        axes.scatter(*goal, marker='*', s=110, color='#f4b400', edgecolors='#5b4300',
                     linewidths=0.7, depthshade=False, zorder=12)
        axes.text(goal[0], goal[1], goal[2] + 0.05, str(number), fontsize=8, ha='center',
                  color='#5b4300', zorder=13)
    frame(axes, faces, tool)
    _legend(axes)


def _draw_path(axes: Any, tool: Array, times_s: Array) -> None:
    segments = np.stack([tool[:-1], tool[1:]], axis=1)
    path = Line3DCollection(segments, cmap=PATH_MAP, linewidths=2.0, zorder=10)
    path.set_array(times_s[:-1])
    axes.add_collection3d(path)
    axes.scatter(*tool[0], color='#333333', s=22, depthshade=False, zorder=11)


def _legend(axes: Any) -> None:
    axes.set_title("Tool's path (colour: time) among the obstacles", loc='left', fontsize=9.5,
                   fontweight='bold', color=INK, pad=5)
    handles = [
        Line2D([], [], color=STANDING, marker='o', linestyle='', label='standing'),
        Line2D([], [], color=MOVING, marker='o', linestyle='', label='moving, and its way'),
        Line2D([], [], color='#f4b400', marker='*', markersize=10, linestyle='', label='goal'),
        Line2D([], [], color='#333333', marker='o', markersize=4, linestyle='', label='start')]
    axes.legend(handles=handles, fontsize=7, frameon=False, ncols=4, loc='lower left',
                bbox_to_anchor=(0.0, 0.955), columnspacing=0.9, handletextpad=0.2, borderpad=0)


def frame(axes: Any, faces: Sequence[Array], tool: Array) -> None:
    """Set equal scales around what is there, a quiet floor and no clutter."""
    points = np.concatenate([*faces, tool]) if faces else tool
    low, high = points.min(axis=0), points.max(axis=0)
    low, high = np.maximum(low, -1.3), np.minimum(high, 1.5)
    low[2] = min(low[2], 0.0)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_zlim(low[2], high[2])
    axes.view_init(elev=24, azim=-52)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.pane.set_facecolor((0.96, 0.97, 0.98, 1.0))
        axis.pane.set_edgecolor((0.85, 0.87, 0.89, 1.0))
        axis._axinfo['grid'].update(color=(0.87, 0.89, 0.91, 1.0), linewidth=0.6)
        axis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=7, pad=-2, colors='#667085')
    for name in 'xyz':
        getattr(axes, f'set_{name}label')(f'{name} [m]', fontsize=7, labelpad=-7, color='#667085')
    _fit(axes, np.maximum(high - low, 0.1))


def _fit(axes: Any, aspect: Array) -> None:
    """Zoom in as far as the outermost label, that of z, stays within the figure."""
    axes.set_facecolor('none')
    axes.set_box_aspect(aspect, zoom=ZOOM)
    axes.figure.draw_without_rendering()
    label = axes.zaxis.label.get_window_extent()
    centre = 0.5 * (axes.bbox.x0 + axes.bbox.x1)
    room = axes.figure.bbox.x0 + RIGHT_EDGE * axes.figure.bbox.width - centre
    axes.set_box_aspect(aspect, zoom=ZOOM * min(1.0, room / (label.x1 - centre)))


def published_sets(run: RunData) -> list[ObstacleSet]:
    """Return every fifth set of obstacles that was published, in the simulator's world."""
    stream = run.recording.stream('obstacles')
    return obstacle_sets(
        stream.messages[::TRACE_STEP], run.ros_s(stream.log_s)[::TRACE_STEP],
        None if run.frames is None else run.frames.pose)


def last_obstacles(sets: Sequence[ObstacleSet]) -> Iterable[tuple[Obstacle, bool]]:
    """Yield each obstacle where it was seen last, and whether it ever moved."""
    first: dict[str, Array] = {}
    last: dict[str, Obstacle] = {}
    moved: dict[str, bool] = {}
    for item in sets:
        for obstacle in item.obstacles:
            start = first.setdefault(obstacle.key, np.asarray(obstacle.position_m))
            last[obstacle.key] = obstacle
            apart = float(np.linalg.norm(obstacle.position_m - start))
            moved[obstacle.key] = moved.get(obstacle.key, False) or apart > MOVED_M
    return [(obstacle, moved[key]) for key, obstacle in last.items()]


def traces(sets: Sequence[ObstacleSet]) -> list[Array]:
    """Return the way of each obstacle that moved, shape [m, 3]."""
    ways: dict[str, list[Array]] = {}
    for item in sets:
        for obstacle in item.obstacles:
            ways.setdefault(obstacle.key, []).append(np.asarray(obstacle.position_m))
    arrays = [np.array(way) for way in ways.values()]
    return [way for way in arrays if np.ptp(way, axis=0).max() > MOVED_M]


def _robot_spheres(run: RunData, sample: int) -> Iterable[tuple[Array, float]]:
    """Return the spheres of the robot's model at a sample, for its silhouette."""
    assert isinstance(run.robot, Arm)
    model = run.robot.collision
    return zip(model.centres(run.truth.q[sample]), model.radius, strict=True)


def _goals(run: RunData) -> list[Array]:
    """Return the tool positions of all goals, each once."""
    places: list[Array] = []
    for item in run.goals():
        place = (item.goal.position_m if item.goal.joints_rad is None
                 else run.robot.tool_pose(item.goal.joints_rad)[0])
        if place is not None and not any(np.allclose(place, other) for other in places):
            places.append(place)
    return places


def add_faces(
    faces: list[Array], colours: list[Any], new: Array, colour: str, alpha: float
) -> None:
    """Append quadrilaterals [m, 4, 3], shaded by the angle of their normals to the light."""
    normal = np.cross(new[:, 2] - new[:, 0], new[:, 3] - new[:, 1])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    shade = 0.68 + 0.32 * np.abs(normal @ LIGHT)
    base = np.array(to_rgb(colour))
    faces.extend(new)
    colours.extend((*np.clip(base * s, 0, 1), alpha) for s in shade)


def _unit_sphere(around: int, along: int) -> Array:
    """Return the quadrilaterals of a unit sphere, shape [around * along, 4, 3]."""
    turn, tilt = np.meshgrid(
        np.linspace(0, 2 * np.pi, around + 1), np.linspace(0, np.pi, along + 1))
    return _quads(np.stack([np.cos(turn) * np.sin(tilt), np.sin(turn) * np.sin(tilt),
                            np.cos(tilt)], axis=-1))


def _quads(grid: Array) -> Array:
    """Return the quadrilaterals of a grid of points [a, b, 3], shape [(a-1)(b-1), 4, 3]."""
    return np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]],
                    axis=2).reshape(-1, 4, 3)


def shape_faces(obstacle: Obstacle) -> Array:
    """Return an obstacle's surface as quadrilaterals in the base frame."""
    size = np.asarray(obstacle.size_m)
    if obstacle.shape == 'sphere':
        local = size[0] * _unit_sphere(18, 10)
    elif obstacle.shape == 'box':
        local = _box() * size / 2
    else:
        local = _cylinder() * np.array([size[0], size[0], size[1] / 2])
    turned: Array = local @ rotation_matrix(obstacle.quaternion).T + obstacle.position_m
    return turned


def _box() -> Array:
    """Return the six faces of the cube [-1, 1]^3."""
    square = np.array([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])
    return np.concatenate([np.stack([np.roll(sign * square, k, axis=1)]) for k in range(3)
                           for sign in (1, -1)])


def _cylinder(around: int = 20) -> Array:
    """Return side and lids of the unit cylinder along z."""
    turn = np.linspace(0, 2 * np.pi, around + 1)
    ring = np.stack([np.cos(turn), np.sin(turn), np.ones_like(turn)], axis=-1)
    low, axis = ring * [1, 1, -1], np.zeros_like(ring)
    return np.concatenate([_quads(np.stack([low, ring])),
                           _quads(np.stack([axis + [0, 0, 1], ring])),
                           _quads(np.stack([axis - [0, 0, 1], low]))])
