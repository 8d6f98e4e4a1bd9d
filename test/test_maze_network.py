# SPDX-License-Identifier: Apache-2.0
"""The networks of the planner of mazes: what they see, what they are trained on, and how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from diffusion_control.diffusion.denoisers.map_unet import MapUNet  # noqa: E402
from diffusion_control.diffusion.value_iteration import ValueIteration  # noqa: E402
from diffusion_control.errors import ConfigurationError  # noqa: E402
from diffusion_control.evaluation.maze.layouts import MAZES  # noqa: E402
from diffusion_control.learning import checkpoint, maze_data  # noqa: E402
from diffusion_control.learning import maze_training as training  # noqa: E402
from diffusion_control.learning.export_model import ExportOptions, export  # noqa: E402
from diffusion_control.learning.maze_batches import MazeBatches  # noqa: E402
from diffusion_control.learning.maze_loss import in_walls, unsteady  # noqa: E402
from diffusion_control.learning.maze_settings import MazeSettings  # noqa: E402
from diffusion_control.planners.point_mass import map_view  # noqa: E402
from diffusion_control.planners.point_mass.diffuser import PointDiffuser  # noqa: E402
from diffusion_control.planners.point_mass.value_network import ValueNetwork  # noqa: E402
from diffusion_control.robots.point_mass import PointMass  # noqa: E402


@pytest.fixture(scope='module')
def settings(tmp_path_factory: pytest.TempPathFactory) -> MazeSettings:
    """Return a tiny training."""
    folder = tmp_path_factory.mktemp('maze')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maze_data, 'PART', 24)
        maze_data.write_data(maze_data.generate(40, 3), folder, 40, 3)
    return MazeSettings(
        data=str(folder), drives=40, seed=3, value_steps=3, steps=4, batch=16, width=8, jobs=1,
        checkpoint_every=2)


def drives_of(settings: MazeSettings) -> maze_data.MazeData:
    """Return the drives of the tiny training."""
    return maze_data.read_data(Path(settings.data), settings.drives, settings.seed)


def test_drives_of_another_number_or_seed_are_refused(settings: MazeSettings) -> None:
    for other in ({'drives': 41}, {'seed': 4}):
        with pytest.raises(ConfigurationError, match='drives: 40, seed: 3'):
            drives_of(replace(settings, **other))


def test_cells_to_go_are_those_counted_by_hand() -> None:
    walls = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 0, 1, 0, 1], [1, 1, 1, 1, 1]], bool)
    far = maze_data.cells_to_go(walls, (2, 1))
    assert far[2, 3] == pytest.approx(4.0)
    assert far[1, 1] == pytest.approx(1.0)
    assert np.isinf(far[0, 0])


def test_drives_keep_off_the_walls_and_end_in_their_goal(settings: MazeSettings) -> None:
    data = drives_of(settings)
    for drive, maze in enumerate(data.maze):
        rows = data.knots[data.first[drive]:data.first[drive + 1]]
        assert np.abs(rows[-1, :2] - data.goal[drive]).max() < 1e-3
        cells = np.floor(rows[:, :2]).astype(int)
        assert not data.walls[maze][cells[:, 0], cells[:, 1]].any()


def test_no_drive_is_in_a_maze_that_is_held_out() -> None:
    generator = np.random.default_rng(1)
    sizes = {maze_data.drawn_maze(generator).walls.shape for _ in range(300)}
    assert not sizes & set(maze_data.HELD_OUT)
    assert max(max(size) for size in sizes) <= maze_data.LARGEST


def test_numpy_runs_the_value_network_as_torch_does() -> None:
    torch.manual_seed(1)
    network = ValueIteration().double()
    walls = MAZES['medium'].map.occupied.T.astype(float)
    goal = np.zeros_like(walls)
    goal[6, 6] = 1.0
    with torch.no_grad():
        wanted = network(torch.as_tensor(walls)[None], torch.as_tensor(goal)[None], 400)[0]
    found = ValueNetwork.of(network.weights()).value(walls, goal)
    assert np.abs(found - wanted.numpy()).max() < 0.5 * 1e-3 * walls.size
    assert found.min() < -1.0


def test_a_value_network_is_taken_over_from_its_weights() -> None:
    torch.manual_seed(1)
    network, other = ValueIteration(), ValueIteration()
    other.load_weights(network.weights())
    walls = torch.zeros(1, 6, 6)
    goal = torch.zeros(1, 6, 6)
    goal[0, 2, 2] = 1.0
    with torch.no_grad():
        assert torch.allclose(network(walls, goal, 12), other(walls, goal, 12), atol=1e-4)


def test_turning_back_is_the_inverse() -> None:
    kinds = np.arange(8)
    code = np.random.default_rng(0).standard_normal((8, 5, 4), dtype=np.float32)
    there = map_view.turned_motions(code, kinds)
    assert (map_view.turned_motions(there, kinds, back=True) == code).all()
    assert len({tuple(row[0, :2]) for row in there * 0 + map_view.turned_motions(
        np.broadcast_to(code[:1], code.shape), kinds)}) == 8


def near(maze: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Say that every cell is at hand."""
    return np.zeros((len(cell), maze_data.SIDE, maze_data.SIDE), np.float32)


def test_a_cell_behind_a_corner_is_hidden_and_one_round_the_corner_shown() -> None:
    walk = np.full((1, 3, 3), 6.0)
    walk[0, 0] = [0.0, 1.0, 2.0]
    shown = map_view.shown(walk, np.array([[0.5, 0.5]]), 1.24)
    assert shown[0, 0].all()
    assert not shown[0, 1, 1]
    walk[0, 2, 2] = 4.9
    assert map_view.shown(walk, np.array([[0.5, 0.5]]), 1.24)[0, 2, 2]
    assert not map_view.shown(np.full((1, 1, 20), 9.0), np.array([[0.5, 0.5]]), 1.24).any()


def test_a_window_is_told_apart_in_each_of_its_eight_mirror_images(settings: MazeSettings) -> None:
    data = drives_of(settings)
    values = np.zeros((len(data.maze), maze_data.SIDE, maze_data.SIDE), np.float32)
    batch, _ = MazeBatches(data, values, settings, near).draw(0, 256)
    walls = torch.as_tensor(batch.walls)
    code = torch.as_tensor(batch.code)
    assert float(in_walls(code, walls, settings.knot_s).max()) < 1e-3
    assert float(in_walls(-code, walls, settings.knot_s).mean()) > 1e-3
    assert float(unsteady(code, settings.knot_s).mean()) < 0.05


def test_known_knots_are_the_start_and_a_goal_at_rest(settings: MazeSettings) -> None:
    data = drives_of(settings)
    values = np.zeros((len(data.maze), maze_data.SIDE, maze_data.SIDE), np.float32)
    batch, _ = MazeBatches(data, values, settings, near).draw(1, 256)
    ends = batch.mask[:, -1, 0] == 1.0
    assert 0 < ends.sum() < 256
    assert (batch.mask[:, 0] == 1.0).all()
    assert not batch.mask[:, 1:-1].any()
    assert np.abs(batch.code[ends, -1, 2:]).max() == 0.0
    assert (batch.condition[ends, -2] == 1.0).all()


def test_the_denoiser_sees_a_wall_where_a_knot_is() -> None:
    torch.manual_seed(0)
    network = MapUNet(8, 4, 3 * 25 + 2, (3, 5), 1.0, 8).eval()
    x, condition = torch.zeros(1, 8, 4), torch.zeros(1, 77)
    x[0, 3, 0] = 2.0
    near = condition.clone()
    near[0, 4 * 5 + 2] = 1.0  # the cell that is two cells off the middle along x
    with torch.no_grad():
        change = [(network(x * k, torch.zeros(1), near)
                   - network(x * k, torch.zeros(1), condition)).abs().max() for k in (1.0, 0.0)]
    assert float(change[0]) > 1e-4
    assert float(change[0]) != float(change[1])


def test_a_resumed_training_is_the_uninterrupted_one(
    settings: MazeSettings, tmp_path: Path
) -> None:
    whole = training.train_maze(settings, tmp_path / 'whole', resume=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, 'learning_rate', lambda _, step: training_rate(settings, step))
        training.train_maze(replace(settings, steps=2), tmp_path / 'parts', resume=False)
    parts = training.train_maze(settings, tmp_path / 'parts', resume=True)
    first, second = checkpoint.load(whole), checkpoint.load(parts)
    assert first.progress.step == second.progress.step == 4
    assert all(torch.equal(value, second.tensors[name]) for name, value in first.tensors.items())


def training_rate(settings: MazeSettings, step: int) -> float:
    """Return the rate of the whole training, whatever is asked for."""
    from diffusion_control.learning.training import learning_rate
    return learning_rate(settings, step)


def test_an_exported_network_plans(settings: MazeSettings, tmp_path: Path) -> None:
    last = training.train_maze(replace(settings, steps=1), tmp_path / 'run', resume=False)
    folder = export(ExportOptions(last, tmp_path / 'model'))
    planner = PointDiffuser(PointMass(), model=folder)
    assert planner.network.horizon == settings.horizon
    assert planner.info()['inference']
