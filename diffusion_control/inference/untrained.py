# SPDX-License-Identifier: Apache-2.0
"""The same network with random weights: what a trained model has to be better than.

Every matrix [a, b] and vector of the graph is drawn anew as torch would begin with it: uniform in
+-1 / sqrt(number of inputs); the scale of a layer normalisation is 1, its offset 0. Constants that
are not weights stay.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.inference import packages
from diffusion_control.inference.card import CARD_FILE, MODEL_FILE, SCORE_KEYS
from diffusion_control.inference.card_seal import sealed
from diffusion_control.inference.verify import verify
from diffusion_control.whole_file import written_whole

Array32 = NDArray[np.float32]
LEAST_WEIGHTS = 16
VECTOR_FAN_IN = 256


def write_untrained(model_dir: str | Path, out: Path, *, seed: int = 0) -> Path:
    """Write a model with random weights beside the same card, and return its folder.

    Args:
        model_dir: The trained model.
        out: Folder that is made.
        seed: Of the weights.

    Raises:
        ConfigurationError: The trained model is not what its card says.
        MissingDependencyError: The package `onnx` is missing.
    """
    verified = verify(model_dir)
    onnx = packages.load('onnx', 'onnx')
    model = onnx.load_from_string(verified.model)
    generator = np.random.default_rng(seed)
    graphs = _graphs(model.graph, onnx)
    kept = _normalisations(graphs)
    for graph in graphs:
        for tensor in graph.initializer:
            value = onnx.numpy_helper.to_array(tensor)
            if value.dtype == np.float32 and value.size >= LEAST_WEIGHTS:
                new = (np.full_like(value, kept[tensor.name]) if tensor.name in kept
                       else _drawn(value, generator))
                tensor.CopyFrom(onnx.numpy_helper.from_array(new, tensor.name))
    data = model.SerializeToString(deterministic=True)
    out.mkdir(parents=True, exist_ok=True)
    with written_whole(out / MODEL_FILE) as waiting:
        waiting.write_bytes(data)
    card = json.loads((verified.folder / CARD_FILE).read_text(encoding='utf-8'))
    card |= {'sha256': hashlib.sha256(data).hexdigest(), 'files': {}, 'untrained': True,
             'score': dict.fromkeys(SCORE_KEYS)}
    with written_whole(out / CARD_FILE) as waiting:
        waiting.write_text(json.dumps(sealed(card)), encoding='utf-8')
    return out


def _graphs(graph: Any, onnx: Any) -> list[Any]:
    """Return a graph and the bodies of its loops."""
    found = [graph]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                found += _graphs(attribute.g, onnx)
    return found


def _normalisations(graphs: list[Any]) -> dict[str, float]:
    """Return the scales and offsets of the layer normalisations, with what each begins with."""
    return {
        name: start for graph in graphs for node in graph.node
        if node.op_type == 'LayerNormalization'
        for name, start in zip(node.input[1:], (1.0, 0.0), strict=False)}


def _drawn(value: Array32, generator: np.random.Generator) -> Array32:
    """Return random weights of the same shape; a vector that is a series of waves stays."""
    if value.ndim == 1 and value.max() == 1.0 and (np.diff(value) < 0).all():
        return value
    inputs = max(value.shape) if value.ndim > 1 else VECTOR_FAN_IN
    drawn = generator.uniform(-1.0, 1.0, value.shape) / np.sqrt(inputs)
    result: Array32 = drawn.astype(np.float32)
    return result
