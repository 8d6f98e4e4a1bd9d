# SPDX-License-Identifier: Apache-2.0
"""Row by row: the same as a whole run, and in time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_world import card, example, graph, in_numpy, write

from diffusion_control.errors import ConfigurationError
from diffusion_control.inference import load, run_stepwise
from diffusion_control.inference.card import ModelCard, parse
from diffusion_control.inference.tensor import Array

ROWS = 8


class Clock:
    """Time that passes only when an evaluation takes it."""

    def __init__(self, start_s: float = 100.0) -> None:
        self.now_s = start_s

    def __call__(self) -> float:
        return self.now_s


class Slow:
    """The sampler in numpy; its k-th evaluation takes durations[k] of the clock."""

    def __init__(self, clock: Clock, durations: list[float], **changes: Any) -> None:
        self.card: ModelCard = parse(json.dumps(card(b'', **changes)).encode())
        self.clock, self.durations = clock, list(durations)

    def run(self, inputs: Mapping[str, Array], num_inference_steps: int) -> dict[str, Array]:
        assert num_inference_steps == 1 and len(inputs['table']) == len(inputs['noise']) == 1
        self.clock.now_s += self.durations.pop(0)
        return {name: array.astype(np.float32) for name, array in in_numpy(dict(inputs)).items()}

    def info(self) -> dict[str, Any]:
        return {}


def test_all_rows_are_the_whole_run(tmp_path: Path) -> None:
    pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    sampler, inputs = load(write(tmp_path / 'm', graph()), 'onnx'), example(ROWS)
    before = {name: array.copy() for name, array in inputs.items()}
    result, whole = run_stepwise(sampler, inputs), sampler.run(inputs, ROWS)
    assert result.finished and result.evaluations == result.rows == ROWS
    assert result.longest_s > 0
    for name, array in whole.items():
        assert np.abs(result.outputs[name] - array).max() < 1e-6
    assert all(np.array_equal(inputs[name], before[name]) for name in inputs)


@pytest.mark.parametrize(('durations', 'until_s', 'known_s', 'evaluations'), [
    ([0.01] * ROWS, math.inf, 0.0, ROWS),
    ([0.01] * ROWS, 100.0395, 0.0, 3),  # a fourth would end at 100.04
    ([0.01] * ROWS, 99.0, 0.0, 1),  # too late already: still one
    ([0.01, 0.02, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01], 100.065, 0.0, 4),  # the longest counts
    ([0.01] * ROWS, 100.0505, 0.03, 3),  # what is known from earlier runs counts
    ([0.01] * ROWS, 200.0, 0.0, ROWS)])
def test_no_evaluation_begins_that_would_be_late(
    durations: list[float], until_s: float, known_s: float, evaluations: int,
) -> None:
    clock = Clock()
    result = run_stepwise(
        Slow(clock, durations), example(ROWS), until_s=until_s, clock=clock, longest_s=known_s)
    assert result.evaluations == evaluations
    assert result.finished == (evaluations == ROWS)
    assert result.longest_s == pytest.approx(max([known_s, *durations[:evaluations]]))
    assert evaluations == 1 or clock() <= until_s


def test_it_returns_the_estimate_of_the_last_row() -> None:
    clock, inputs = Clock(), example(ROWS)
    result = run_stepwise(
        Slow(clock, [0.01] * ROWS), inputs, until_s=100.0395, clock=clock)
    first = {name: array[:3] if name in ('table', 'noise') else array
             for name, array in inputs.items()}
    for name, array in in_numpy(first).items():
        assert np.abs(result.outputs[name] - array).max() < 1e-6


def test_a_model_without_state_is_refused() -> None:
    clock = Clock()
    with pytest.raises(ConfigurationError, match='cannot run step by step'):
        run_stepwise(Slow(clock, [], state={}), example(ROWS), clock=clock)


@pytest.mark.parametrize('change', [
    {'table': np.zeros((3, 3), np.float32)}, {'table': np.float32(1)},
    {'table': np.zeros((0, 3), np.float32), 'noise': np.zeros((0, 2, 4, 3), np.float32)}])
def test_rows_without_a_common_length_are_refused(change: dict[str, Any]) -> None:
    clock = Clock()
    with pytest.raises(ConfigurationError, match='no common number of rows'):
        run_stepwise(Slow(clock, []), {**example(ROWS), **change}, clock=clock)
