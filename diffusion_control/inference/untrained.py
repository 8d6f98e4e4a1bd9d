# SPDX-License-Identifier: Apache-2.0
"""The same network with random weights: what a trained model has to be better than.

Each weight of the graph is drawn anew as torch would begin with it: matrices, kernels and their
offsets uniform in +-1 / sqrt(number of inputs), scales of normalisations 1 and their offsets 0,
learned places 0.02 of a normal one. What a tensor is follows from the node that reads it;
constants that no such node reads stay.
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
CONVOLUTIONS = ('Conv', 'ConvTranspose')
LEARNED = ('place', 'left_out')
LEARNED_DEVIATION = 0.02


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
    network = Network(model.graph, onnx)
    for tensor in network.tensors.values():
        value = onnx.numpy_helper.to_array(tensor)
        if value.dtype == np.float32:
            new = network.drawn(tensor.name, value, generator)
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


class Network:
    """A graph with the bodies of its loops: its constants, who makes and who reads a value.

    Names are unique over a graph and all its bodies (ONNX), so one table serves them all.
    """

    def __init__(self, graph: Any, onnx: Any) -> None:
        self.tensors: dict[str, Any] = {}
        self._made: dict[str, Any] = {}
        self._read: dict[str, list[tuple[Any, int]]] = {}
        self._add(graph, onnx)

    def _add(self, graph: Any, onnx: Any) -> None:
        self.tensors |= {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            self._made |= dict.fromkeys(node.output, node)
            for place, name in enumerate(node.input):
                self._read.setdefault(name, []).append((node, place))
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    self._add(attribute.g, onnx)

    def drawn(self, name: str, value: Array32, generator: np.random.Generator) -> Array32:
        """Return what a constant begins with, of its shape: random if it is a weight."""
        for node, place in self._read.get(name, []):
            start = self._normalising(node, place)
            if start is not None:
                return np.full_like(value, start)
            inputs = self._inputs(node, place)
            if inputs:
                bound = 1.0 / np.sqrt(inputs)
                return generator.uniform(-bound, bound, value.shape).astype(np.float32)
        if set(LEARNED) & set(name.split('.')):
            return (LEARNED_DEVIATION * generator.standard_normal(value.shape)).astype(np.float32)
        return value

    def _inputs(self, node: Any, place: int) -> int:
        """Return how many inputs a weight or an offset has that this node reads; 0: neither."""
        if node.op_type == 'Add':
            beside = self._made.get(node.input[1 - place])
            return 0 if beside is None or beside.op_type != 'MatMul' else self._of_weight(beside)
        if node.op_type in ('Gemm', *CONVOLUTIONS):
            return self._of_weight(node) if place in (1, 2) else 0
        return self._of_weight(node) if node.op_type == 'MatMul' else 0

    def _of_weight(self, node: Any) -> int:
        """Return the number of inputs of the weight that a node reads; 0: it reads none."""
        places = (0, 1) if node.op_type == 'MatMul' else (1,)
        for place in places:
            tensor = self.tensors.get(node.input[place])
            if tensor is None:
                continue
            sizes = [int(size) for size in tensor.dims]
            if node.op_type in CONVOLUTIONS:
                return int(np.prod(sizes[1:]))
            across = any(a.name == 'transB' and a.i for a in node.attribute) or place == 0
            return sizes[-1] if across else sizes[-2]
        return 0

    def _normalising(self, node: Any, place: int) -> float | None:
        """Return 1 for the scale and 0 for the offset of a normalisation, None for others."""
        if node.op_type == 'LayerNormalization':
            return {1: 1.0, 2: 0.0}.get(place)
        if node.op_type == 'Mul' and self._normalised(node.input[1 - place]):
            return 1.0
        if node.op_type == 'Add':
            scaled = self._made.get(node.input[1 - place])
            if scaled is not None and scaled.op_type == 'Mul' and any(
                    self._normalised(name) for name in scaled.input):
                return 0.0
        return None

    def _normalised(self, name: str) -> bool:
        """Return whether a value is an InstanceNormalization's, as groups are exported."""
        node = self._made.get(name)
        if node is not None and node.op_type == 'Reshape':
            node = self._made.get(node.input[0])
        return node is not None and node.op_type == 'InstanceNormalization'
