# SPDX-License-Identifier: Apache-2.0
"""From a closed-loop evaluation to the score in a model's card."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.statistics import mean_error, standard_error
from diffusion_control.learning.card import set_score

Array = NDArray[np.float64]
Rows = Sequence[Mapping[str, Any]]
EXPERT, RANDOM, UNTRAINED = 'expert', 'random', 'untrained'
NAMES = {EXPERT: (EXPERT,), RANDOM: (RANDOM, 'random_controls'), UNTRAINED: (UNTRAINED,)}
"""What planners are called in the rows of a robot and of a maze."""
ASKED = re.compile(r'--planner[ =](\S+)')


def put_scores(result: Path, model: Path) -> dict[str, Any]:
    """Write what planner, expert, random and untrained weights score into a card; return it.

    Args:
        result: `result.json` of `evaluate arm` or `evaluate maze2d`.
        model: Folder of the model.

    Raises:
        ConfigurationError: The file is no such result.
    """
    try:
        found = json.loads(result.read_text(encoding='utf-8'))
        score = score_of(found['rows'], found['command'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            'not the result of an evaluation', where=str(result),
            value=f'{type(error).__name__}: {error}',
            allowed='result.json of `evaluate arm` or `evaluate maze2d`') from error
    set_score(model, score)
    return score


def score_of(rows: Rows, command: str) -> dict[str, Any]:
    """Return the score of the judged planner: in mazes the mean over them, else the success.

    The judged planner is the one that the command names, otherwise the trained one.
    """
    asked = ASKED.search(command)
    trained = [asked.group(1)] if asked else []
    judged = _of(rows, (*trained, 'diffuser', 'hybrid'))
    if not judged:
        raise KeyError('the judged planner has no rows')
    maze = all('layout' in row and row.get('score') is not None for row in judged)
    measure, what = (_mean_score, 'maze2d, mean score over the mazes') if maze else (
        _success, 'arm, closed loop')
    value, error = measure(judged)
    others = {key: _of(rows, names) for key, names in NAMES.items()}
    return {
        'task': f'{what}: {command}', 'value': round(value, 4), 'sem': round(error, 4),
        'episodes': len(judged),
        **{key: round(measure(mine)[0], 4) if mine else None for key, mine in others.items()}}


def _of(rows: Rows, names: Sequence[str]) -> Rows:
    """Return the rows of the first of some planners that has any."""
    for name in names:
        found = [row for row in rows if row['planner'] == name]
        if found:
            return found
    return []


def _success(rows: Rows) -> tuple[float, float]:
    """Return the share of successes and its standard error."""
    good = sum(bool(row['success']) for row in rows)
    return good / len(rows), standard_error(good, len(rows))


def _mean_score(rows: Rows) -> tuple[float, float]:
    """Return the mean over the layouts of the mean score, and its standard error."""
    groups: list[Array] = [
        np.array([row['score'] for row in rows if row['layout'] == layout], dtype=float)
        for layout in dict.fromkeys(row['layout'] for row in rows)]
    return float(np.mean([group.mean() for group in groups])), mean_error(groups)
