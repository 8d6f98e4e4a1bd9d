# SPDX-License-Identifier: Apache-2.0
"""From a closed-loop evaluation to the score in a model's card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.statistics import standard_error
from diffusion_control.learning.card import set_score

EXPERT, RANDOM, UNTRAINED = 'expert', 'random', 'untrained'


def put_scores(result: Path, model: Path) -> dict[str, Any]:
    """Write success of planner, expert, random and untrained weights into a card; return it.

    Args:
        result: `result.json` of `evaluate arm`.
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
            value=f'{type(error).__name__}: {error}', allowed='result.json of `evaluate arm`') \
            from error
    set_score(model, score)
    return score


def score_of(rows: Sequence[Mapping[str, Any]], command: str) -> dict[str, Any]:
    """Return the score of the one planner that is neither expert, random nor a peer."""
    by_name: dict[str, list[bool]] = {}
    for row in rows:
        by_name.setdefault(row['planner'], []).append(bool(row['success']))
    judged = by_name['diffuser'] if 'diffuser' in by_name else by_name['hybrid']

    def share(name: str) -> float | None:
        found = by_name.get(name)
        return None if found is None else round(sum(found) / len(found), 4)

    return {
        'task': f'arm, closed loop: {command}', 'value': round(sum(judged) / len(judged), 4),
        'sem': round(standard_error(sum(judged), len(judged)), 4), 'episodes': len(judged),
        EXPERT: share(EXPERT), RANDOM: share(RANDOM), UNTRAINED: share(UNTRAINED)}
