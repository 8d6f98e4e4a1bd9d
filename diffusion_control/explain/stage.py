# SPDX-License-Identifier: Apache-2.0
"""The stage of the pictures: the scene in three dimensions, or from above for a base."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.patches import Polygon
from mpl_toolkits.mplot3d.art3d import Poly3DCollection  # type: ignore[import-untyped]
from numpy.typing import NDArray

from diffusion_control.evaluation.base.picture import draw_walls, outline_of
from diffusion_control.evaluation.picture_scene import add_faces, frame, shape_faces
from diffusion_control.evaluation.picture_style import MOVING, STANDING, style
from diffusion_control.explain.question import Question, obstacle_name
from diffusion_control.planners.base.base_planner import target_of

Array = NDArray[np.float64]
ROOM_M = 0.4
SEEN = '#cdd5e0'


class Stage:
    """Draws the scene of a question, and paths in it.

    Args:
        question: The question.
        around: Points that are to be in view, from the start to the end, [K, 3] [m].
    """

    def __init__(self, question: Question, around: Array) -> None:
        self.question = question
        self.flat = question.robot.kind == 'base'
        start, self.goal = around[:1], around[-1:]
        if self.flat:
            self.goal = np.append(target_of(question.problem.goal)[0], 0.0)[None]
        self.start, self.around = start, np.concatenate([around, self.goal])

    @property
    def projection(self) -> str | None:
        """What matplotlib is told for the axes."""
        return None if self.flat else '3d'

    def draw(self, axes: Any, title: str) -> None:
        """Draw obstacles, walls, start and goal; set the view."""
        if self.flat:
            self._above(axes, title)
        else:
            self._solid(axes)
            axes.set_title(title, loc='left', fontsize=9.5, fontweight='bold')
        self.points(axes, self.start, color='#333333', s=24, zorder=12, label='start')
        self.points(axes, self.goal, color='#f4b400', marker='*', s=110, zorder=12, label='goal')

    def name(self, axes: Any, index: int) -> None:
        """Write the name of an obstacle where it is."""
        obstacle = self.question.problem.obstacles[index]
        place = np.asarray(obstacle.position_m)[:2 if self.flat else 3]
        axes.text(*place, obstacle_name(self.question.problem, index), fontsize=7,
                  color='#333333', zorder=13, ha='center', va='center', clip_on=True)

    def path(self, axes: Any, places: Array, **look: Any) -> Any:
        """Draw a path [K, 3] and return the line."""
        columns = places.T[:2] if self.flat else places.T
        return axes.plot(*columns, **look)[0]

    def move(self, line: Any, places: Array) -> None:
        """Lay a line along another path [K, 3]."""
        if self.flat:
            line.set_data(places[:, 0], places[:, 1])
        else:
            line.set_data_3d(*places.T)

    def points(self, axes: Any, places: Array, **look: Any) -> None:
        """Draw points [K, 3]."""
        if self.flat:
            axes.scatter(*places.T[:2], **look)
        else:
            axes.scatter(*places.T, depthshade=False, **look)

    def _solid(self, axes: Any) -> None:
        faces: list[Array] = []
        colours: list[Any] = []
        for obstacle in self.question.problem.obstacles:
            colour = MOVING if obstacle.velocity_m_s.any() else STANDING
            add_faces(faces, colours, shape_faces(obstacle), colour, 0.45)
        axes.computed_zorder = False
        if faces:
            axes.add_collection3d(
                Poly3DCollection(faces, facecolors=colours, edgecolors='none', zorder=2))
        frame(axes, faces, self.around)

    def _above(self, axes: Any, title: str) -> None:
        style(axes, title, 'y [m]', 'x [m]')
        if self.question.problem.map is not None:
            draw_walls(axes, self.question.problem.map)
        seen = getattr(self.question.planner, 'seen', None)
        if seen is not None:
            draw_walls(axes, seen, SEEN, zorder=1)
            axes.scatter([], [], marker='s', color=SEEN, label='walls as the network sees them')
        for obstacle in self.question.problem.obstacles:
            colour = MOVING if obstacle.velocity_m_s.any() else STANDING
            axes.add_patch(Polygon(outline_of(obstacle), facecolor=colour, alpha=0.55, zorder=3))
        low, high = self.around[:, :2].min(0) - ROOM_M, self.around[:, :2].max(0) + ROOM_M
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        axes.set_aspect('equal', adjustable='box')
