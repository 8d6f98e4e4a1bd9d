# SPDX-License-Identifier: Apache-2.0
"""OpenVINO on the CPU, in 32 bits, with a fixed number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffusion_control.errors import ConfigurationError
from diffusion_control.inference import packages
from diffusion_control.inference.checked import CheckedSampler, cannot_open
from diffusion_control.inference.tensor import Array, GraphTensor
from diffusion_control.inference.verify import VerifiedModel

DEVICE = 'CPU'
DTYPES = {'f32': 'float32', 'f64': 'float64', 'f16': 'float16', 'i32': 'int32', 'i64': 'int64',
          'boolean': 'bool'}


class OpenvinoSampler(CheckedSampler):
    """Run the graph with OpenVINO."""

    backend = 'openvino'

    def _open(
        self, verified: VerifiedModel,
    ) -> tuple[dict[str, GraphTensor], dict[str, GraphTensor]]:
        if self.options.require_gpu:
            raise ConfigurationError(
                'the inference backend openvino runs on the CPU only',
                where='planner.backend_require_gpu', value=True, allowed='false',
                remedy='planner.backend: onnx or tensorrt')
        self._runtime = packages.load('openvino', self.backend)
        try:
            core = self._runtime.Core()
            model = core.read_model(verified.model, b'')
            compiled = core.compile_model(model, DEVICE, {
                'INFERENCE_NUM_THREADS': self.options.threads, 'NUM_STREAMS': 1,
                'INFERENCE_PRECISION_HINT': 'f32', 'PERFORMANCE_HINT': 'LATENCY'})
        except Exception as error:  # its exceptions share no root
            raise cannot_open(self.backend, self._where, error) from error
        self._request = compiled.create_infer_request()
        self._outputs = {_name(port): index for index, port in enumerate(compiled.outputs)}
        return _tensors(compiled.inputs), _tensors(compiled.outputs)

    def _evaluate(self, inputs: dict[str, Array]) -> dict[str, Array]:
        self._request.infer(inputs, share_inputs=False, share_outputs=False)
        return {name: np.array(self._request.get_output_tensor(self._outputs[name]).data)
                for name in self.card.outputs}

    def _info(self) -> dict[str, Any]:
        return {'version': str(self._runtime.__version__), 'device': 'cpu'}


def _name(port: Any) -> str:
    return str(port.get_any_name())


def _tensors(ports: Any) -> dict[str, GraphTensor]:
    found = {}
    for port in ports:
        shape = port.get_partial_shape()
        axes = None if shape.rank.is_dynamic else tuple(
            None if axis.is_dynamic else int(axis.get_length()) for axis in shape)
        kind = port.get_element_type().get_type_name()
        found[_name(port)] = GraphTensor(axes, DTYPES.get(kind, kind))
    return found
