# SPDX-License-Identifier: Apache-2.0
"""Validation in closed loop: when it is done, what it counts, which checkpoint is kept."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('torch', reason='torch is not installed (extra `train`)')
pytest.importorskip('onnx', reason='onnx is not installed (extra `train`)')
pytest.importorskip('safetensors', reason='safetensors is not installed (extra `train`)')

from learning_world import TINY, panda, write_data  # noqa: E402

from diffusion_control.learning import checkpoint, training, validation  # noqa: E402
from diffusion_control.learning.settings import TrainSettings  # noqa: E402
from diffusion_control.learning.validation import Score  # noqa: E402


def test_success_counts_first_and_time_among_equals() -> None:
    assert Score(0.5, 3.0).value > Score(0.5, 4.0).value > Score(0.5, float('inf')).value
    assert Score(0.51, float('inf')).value > Score(0.5, 0.1).value


def test_scenes_are_of_both_tiers_and_of_seeds_that_nothing_else_uses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drawn: list[tuple[int, str]] = []
    ends = [(True, 2.0), (False, None), (True, 4.0), (False, None)]

    def scene(robot: Any, seed: int, tier: str) -> str:
        drawn.append((seed, tier))
        return tier

    def episode(robot: Any, place: str, planner: str, options: Any) -> Any:
        assert planner == 'diffuser' and options.model.endswith('model')
        success, time_s = ends[len(drawn) - 1]
        return SimpleNamespace(success=success, time_s=time_s)

    monkeypatch.setattr(validation, 'generate_scene', scene)
    monkeypatch.setattr(validation, 'run_episode', episode)
    monkeypatch.setattr(validation, 'export', lambda options: options.out)
    assert validation.validate(panda(), tmp_path / 'a', 4) == Score(0.5, 3.0)
    assert [tier for _, tier in drawn] == ['easy', 'hard', 'easy', 'hard']
    seeds = [seed for seed, _ in drawn]
    assert len(set(seeds)) == 4 and min(seeds) > 100_000 and max(seeds) < 1_000_000


def test_only_a_better_checkpoint_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    last, best = tmp_path / 'last', tmp_path / 'best'
    score: float | None = None
    for found, kept in ((0.5, b'0'), (0.4, b'0'), (0.6, b'2'), (0.6, b'2')):
        monkeypatch.setattr(
            validation, 'validate', lambda *_, found=found: SimpleNamespace(value=found))
        last.write_bytes(str(0 if found == 0.5 else 1 if found == 0.4 else 2).encode())
        score = validation.keep_best(panda(), last, best, 2, score)
        assert best.read_bytes() == kept
    assert score == 0.6


def test_a_training_validates_now_and_then_and_at_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data, seen = write_data(tmp_path / 'data'), []

    def keep(robot: Any, last: Path, best: Path, scenes: int, score: float | None) -> float:
        seen.append((checkpoint.load(last).progress.step, best.name, scenes, score))
        return 0.1 * len(seen)

    monkeypatch.setattr(training, 'keep_best', keep)
    settings = TrainSettings(data=str(data), **{
        **TINY, 'steps': 5, 'validate_every': 2, 'validation_scenes': 4})
    last = training.train(settings, tmp_path / 'out', resume=False)
    assert [step for step, *_ in seen] == [2, 4, 5]
    assert seen[0][1:] == ('best.safetensors', 4, None) and seen[2][3] == pytest.approx(0.2)
    assert checkpoint.load(last).progress.score == pytest.approx(0.3)
    more = TrainSettings(data=str(data), **{
        **TINY, 'steps': 6, 'validate_every': 0})
    assert checkpoint.load(training.train(
        more, tmp_path / 'out', resume=True)).progress.score == pytest.approx(0.3)
    assert len(seen) == 3, '0 = never'


def test_a_validation_that_is_interrupted_is_made_up_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[int] = []

    def keep(robot: Any, last: Path, best: Path, scenes: int, score: float | None) -> float:
        seen.append(checkpoint.load(last).progress.step)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return 0.5

    monkeypatch.setattr(training, 'keep_best', keep)
    settings = TrainSettings(data=str(write_data(tmp_path / 'data')), **{
        **TINY, 'steps': 4, 'validate_every': 2, 'validation_scenes': 4})
    with pytest.raises(KeyboardInterrupt):
        training.train(settings, tmp_path / 'out', resume=False)
    last = training.train(settings, tmp_path / 'out', resume=True)
    assert seen == [2, 4, 4] and checkpoint.load(last).progress.score == pytest.approx(0.5)
    assert {path.suffix for path in last.parent.iterdir() if 'under' in path.name} == set()
