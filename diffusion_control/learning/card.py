# SPDX-License-Identifier: Apache-2.0
"""Write a model's folder: the graph, and the card that vouches for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from diffusion_control.errors import ConfigurationError
from diffusion_control.inference.card import CARD_FILE, MODEL_FILE, SCHEMA_VERSION, SCORE_KEYS
from diffusion_control.inference.card_seal import check_seal, sealed
from diffusion_control.whole_file import written_whole

AXES = {'batch': 'B', 'rows': 'K', 'obstacles': 'N'}
DTYPES = {TensorProto.FLOAT: 'float32', TensorProto.INT64: 'int64'}
STATE = {'x': 'x_out', 'base': 'base_out', 'clean': 'clean_out'}
UNMEASURED: dict[str, Any] = dict.fromkeys(SCORE_KEYS)


def write_model(
    folder: Path, model: onnx.ModelProto, about: Mapping[str, Any],
    score: Mapping[str, Any] | None = None,
) -> Path:
    """Write `model.onnx` and `card.json` into a folder, and return it.

    Args:
        folder: Made if it is not there.
        model: The graph.
        about: `joint_names normaliser rate_hz train_command data_seed commit` and more.
        score: As the card's; None = not measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = model.SerializeToString(deterministic=True)
    (folder / MODEL_FILE).write_bytes(data)
    write_card(folder, {
        'schema_version': SCHEMA_VERSION, 'sha256': hashlib.sha256(data).hexdigest(),
        'inputs': tensors(model.graph.input), 'outputs': tensors(model.graph.output),
        'state': STATE, **about, 'score': {**UNMEASURED, **(score or {})}})
    return folder


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write a card with its seal, whole or not at all."""
    with written_whole(folder / CARD_FILE) as waiting:
        waiting.write_text(json.dumps(sealed(card), indent=1) + '\n', encoding='utf-8')


def set_score(folder: Path, score: Mapping[str, Any]) -> None:
    """Put a measured score into the card of a model.

    Raises:
        ConfigurationError: There is no model in the folder, or its card was edited.
    """
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            'no model to write a score of', where=str(folder / CARD_FILE), value=str(error),
            allowed='a folder that `diffusion_control export` wrote') from error
    check_seal(card, str(folder / CARD_FILE))
    write_card(folder, {**card, 'score': {**UNMEASURED, **score}})


def tensors(values: Any) -> dict[str, dict[str, Any]]:
    """Return names, shapes and types of a graph's inputs or outputs, as the card holds them."""
    found = {}
    for value in values:
        kind = value.type.tensor_type
        axes = [AXES.get(size.dim_param, size.dim_param) or size.dim_value
                for size in kind.shape.dim]
        found[value.name] = {'shape': axes, 'dtype': DTYPES[kind.elem_type]}
    return found
