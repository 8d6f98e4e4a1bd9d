# SPDX-License-Identifier: Apache-2.0
"""What `summary.png` says: the robot by its name, every label, and what a histogram leaves out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from synthetic_run import SyntheticRun

from diffusion_control.evaluation import picture
from diffusion_control.evaluation.judgement import judge_run


@pytest.fixture(scope='module')
def figure(tmp_path_factory: pytest.TempPathFactory) -> Figure:
    """Return the figure of a run among obstacles far apart, as it was drawn."""
    run = SyntheticRun(obstacles=((0.9, 0.7, 0.3, 0.1), (-0.6, -0.7, 0.6, 0.1)))
    drawn: list[Figure] = []

    class Canvas(FigureCanvasAgg):
        def print_png(self, *given: Any, **options: Any) -> None:
            drawn.append(self.figure)
            super().print_png(*given, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture, 'FigureCanvasAgg', Canvas)
        judge_run(run.write(tmp_path_factory.mktemp('run')), {'planner': 'straight_line'})
    return drawn[0]


def test_the_title_names_robot_and_planner(figure: Figure) -> None:
    assert figure.texts[0].get_text() == 'panda · planner straight_line'


def test_every_label_of_the_scene_lies_within_the_figure(figure: Figure) -> None:
    (scene,) = (axes for axes in figure.axes if axes.name == '3d')
    for axis in (scene.xaxis, scene.yaxis, scene.zaxis):
        label = axis.label.get_window_extent()
        assert figure.bbox.x0 < label.x0 < label.x1 < figure.bbox.x1
        assert figure.bbox.y0 < label.y0 < label.y1 < figure.bbox.y1


@pytest.mark.parametrize(('outliers', 'said'), [
    ([], ''), ([200.0, 300.0], 'last bar: 2 beyond')])
def test_a_histogram_says_what_its_last_bar_holds(
    outliers: list[float], said: str
) -> None:
    values = np.concatenate([np.full(500, 10.0), outliers])
    axes = Figure().add_subplot()
    picture._histogram(axes, values, '#000000', log=True)
    (text,) = (text.get_text() for text in axes.texts)
    assert f'max {values.max():.1f}' in text
    assert said in text and ('beyond' in text) is bool(said)
    assert sum(bar.get_height() for bar in axes.patches) == len(values)
