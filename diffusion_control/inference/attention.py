# SPDX-License-Identifier: Apache-2.0
"""The attention maps of an exported network, taken out of the body of its loop.

Every attention is softmax(Q K' / sqrt(d)) V (A. Vaswani et al., NeurIPS 2017), so in the graph a
Softmax whose output is [B, heads, T, T]. It is made an output of the loop, one map per evaluation.
The model that is run on the robot stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.inference import packages
from diffusion_control.inference.tensor import Array
from diffusion_control.inference.verify import verify

Array32 = NDArray[np.float32]
PREFIX = 'attention_'
MAP_AXES = 5


class AttentionReader:
    """Runs a model for its attention maps.

    Args:
        model_dir: Folder of the model.

    Raises:
        ConfigurationError: The model is not what its card says.
        MissingDependencyError: onnx or ONNX Runtime is missing.
    """

    def __init__(self, model_dir: str | Path) -> None:
        onnx = packages.load('onnx', 'onnx')
        model = onnx.load_from_string(verify(model_dir).model)
        self.layers = _opened(model, onnx)
        self._session: Any = None
        if self.layers:
            runtime = packages.load('onnxruntime', 'onnx')
            self._session = runtime.InferenceSession(
                model.SerializeToString(), providers=['CPUExecutionProvider'])

    def maps(self, inputs: Mapping[str, Array]) -> list[Array32]:
        """Return the maps of each layer, [K, B, heads, T, T] each; none without attention.

        Args:
            inputs: As for `Sampler.run`, a table of K rows.
        """
        if self._session is None:
            return []
        names = {value.name for value in self._session.get_inputs()}
        found = self._session.run(
            [f'{PREFIX}{k}' for k in range(self.layers)],
            {name: value for name, value in inputs.items() if name in names})
        return [each for each in found if each.ndim == MAP_AXES]


def _opened(model: Any, onnx: Any) -> int:
    """Make every softmax in the loop's body an output of the model; return how many."""
    loops = [node for node in model.graph.node if node.op_type == 'Scan']
    count = 0
    for loop in loops:
        body = next(a.g for a in loop.attribute if a.name == 'body')
        for node in [n for n in body.node if n.op_type == 'Softmax']:
            name = f'{PREFIX}{count}'
            inside = onnx.ValueInfoProto(name=node.output[0])
            inside.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            outside = onnx.ValueInfoProto(name=name)
            outside.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            body.output.append(inside)
            loop.output.append(name)
            model.graph.output.append(outside)
            count += 1
    return count
