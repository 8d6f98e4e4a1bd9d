# SPDX-License-Identifier: Apache-2.0
"""`evaluate maze2d` with files of one's own, what it refuses, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diffusion_control import cli
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.maze.options import MazeOptions
from diffusion_control.evaluation.maze.tasks import draw_task


def test_goals_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / 'goals.txt'
    file.write_text('1 1\n3 3\n', encoding='utf-8')
    options = MazeOptions(goals=file)
    places = [draw_task(options, 'umaze', k).goal for k in range(3)]
    assert places[0] == pytest.approx([1, 1], abs=0.1)
    assert places[1] == pytest.approx([3, 3], abs=0.1)
    assert places[2] == pytest.approx(places[0], abs=0.2)


@pytest.mark.parametrize(('text', 'line', 'what'), [
    ('1 1\n\n0 0\n', 3, 'no free cell of umaze'), ('1 1\n1 x\n', 2, 'no cell'),
    ('1 1 1\n', 1, 'no cell'), ('3 3\n1 9\n', 2, 'no free cell'), ('1\n', 1, 'no cell')])
def test_a_bad_goal_is_told_with_its_line_before_anything_runs(
    text: str, line: int, what: str, tmp_path: Path
) -> None:
    """Also where the first episode would never come to that line."""
    file = tmp_path / 'goals.txt'
    file.write_text(text, encoding='utf-8')
    with pytest.raises(ConfigurationError, match=what) as caught:
        draw_task(MazeOptions(goals=file), 'umaze', 0)
    assert f'{file}: line {line}' in caught.value.where


def test_rows_of_another_content_of_a_file_are_not_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout, out = tmp_path / 'mine.txt', tmp_path / 'out'
    layout.write_text('#####\n#OOO#\n#####\n', encoding='utf-8')

    def evaluated(*more: str) -> int:
        return cli.run(['evaluate', 'maze2d', '--planner', 'astar', '--peer', 'none', '--episodes',
                        '1', '--layout', str(layout), '--out', str(out), '--resume', *more])

    assert evaluated() == evaluated() == 0
    capsys.readouterr()
    layout.write_text('######\n#OOOO#\n######\n', encoding='utf-8')
    assert evaluated() == 2
    told = capsys.readouterr().err
    assert 'other settings' in told and 'contents' in told and str(layout) in told
    goals = tmp_path / 'ends.txt'
    goals.write_text('1 1\n', encoding='utf-8')
    assert evaluated('--goals', str(goals)) == 0, 'goals of a file have a folder of their own'
    assert len(list(out.iterdir())) == 2
    assert 'goals of ends.txt' in capsys.readouterr().out


def test_a_change_after_the_end_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(['evaluate', 'maze2d', '--layout', 'umaze', '--planner', 'astar', '--peer',
                    'none', '--episodes', '1', '--move-goal-at', '300', '--out',
                    str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert '--move-goal-at' in told and '< 300 steps' in told and not list(tmp_path.iterdir())


def test_the_table_shows_the_least_h_of_every_planner(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(['evaluate', 'maze2d', '--layout', 'large', '--planner', 'astar', '--peer',
                    'straight_line', '--episodes', '1', '--specification', 'half_plane', '--out',
                    str(tmp_path)]) in (0, 1)
    told = capsys.readouterr().out
    assert 'specification half_plane' in told and 'h ball' in told
    (folder,) = tmp_path.iterdir()
    assert f'written: {folder}' in told
    for row in json.loads((folder / 'result.json').read_text())['rows']:
        if row['planner'] == 'astar':
            assert f'{row["h_min_plan"]:.3f} ({int(row["h_min_plan"] < 0)})' in told
