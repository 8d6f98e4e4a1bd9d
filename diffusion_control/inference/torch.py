# SPDX-License-Identifier: Apache-2.0
"""Torch: the exported program `model.pt2` beside the ONNX graph, run eagerly.

It is there to compare with and to debug; nothing that drives a robot needs it. Weights and
programs are never unpickled. `torch_compiled` and `torch_cuda_graphs` run the same program.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from diffusion_control.errors import ConfigurationError, MissingDependencyError
from diffusion_control.inference import packages
from diffusion_control.inference.checked import CheckedSampler, cannot_open
from diffusion_control.inference.pt2_file import PT2_FILE, sample_inputs
from diffusion_control.inference.tensor import Array, GraphTensor
from diffusion_control.inference.verify import VerifiedModel


class TorchSampler(CheckedSampler):
    """Run an exported program; its arguments and results are in the order of the card.

    The number of threads is torch's own and holds for the whole process.
    """

    backend = 'torch'

    def _open(
        self, verified: VerifiedModel,
    ) -> tuple[dict[str, GraphTensor], dict[str, GraphTensor]]:
        data = verified.contents.get(PT2_FILE)
        if data is None:
            raise ConfigurationError(
                f'the inference backend {self.backend} needs {PT2_FILE}, which this model has not',
                where=f'{verified.folder}/card.json: files', value=list(verified.card.files),
                allowed=PT2_FILE,
                remedy='planner.backend: onnx, or diffusion_control export --torch-program')
        self._program_path = f'{verified.folder}/{PT2_FILE}'
        samples = sample_inputs(data, self._program_path)
        self._torch = packages.load('torch', self.backend)
        self._device = self._choose_device()
        try:
            self._torch.load(io.BytesIO(samples), weights_only=True)
            program = self._torch.export.load(io.BytesIO(data))
            self._module = self._module_of(program).to(self._device)
        except Exception as error:  # its exceptions share no root
            raise cannot_open(self.backend, self._program_path, error) from error
        self._torch.set_num_threads(self.options.threads)
        return self._program_tensors(program)

    def _module_of(self, program: Any) -> Any:
        """Return what runs the program."""
        return program.module()

    def _choose_device(self) -> str:
        if not self.options.require_gpu:
            return 'cpu'
        if not self._torch.cuda.is_available():
            raise MissingDependencyError(
                'torch finds no GPU', where='planner.backend_require_gpu', value=True,
                allowed='false on this machine',
                remedy='check nvidia-smi and the CUDA build of torch; or set it to false')
        return 'cuda'

    def _program_tensors(
        self, program: Any,
    ) -> tuple[dict[str, GraphTensor], dict[str, GraphTensor]]:
        """Return what the program's own graph says of its arguments and results."""
        nodes = {node.name: node for node in program.graph.nodes}
        inputs = program.graph_signature.user_inputs
        outputs = program.graph_signature.user_outputs
        promised = self.card.outputs
        if len(outputs) != len(promised):
            raise ConfigurationError(
                'the program has another number of outputs than its card', where=self._where,
                value=len(outputs), allowed=f'expected {len(promised)}: {", ".join(promised)}')
        if list(inputs) != list(self.card.inputs):
            raise ConfigurationError(
                'the arguments of the program are not the inputs of its card, in its order',
                where=self._where, value=list(inputs),
                allowed=f'expected {list(self.card.inputs)}')
        return ({name: _tensor(nodes[name]) for name in inputs},
                {name: _tensor(nodes[node]) for name, node in zip(promised, outputs, strict=True)})

    def _evaluate(self, inputs: dict[str, Array]) -> dict[str, Array]:
        with self._torch.inference_mode():
            given = [self._torch.tensor(array, device=self._device) for array in inputs.values()]
            results = self._results(given)
        if isinstance(results, self._torch.Tensor):
            results = (results,)
        return {name: np.array(result.cpu().numpy())
                for name, result in zip(self.card.outputs, results, strict=True)}

    def _results(self, given: list[Any]) -> Any:
        """Return the program's results, a tensor or several, for tensors on the device."""
        return self._module(*given)

    def _info(self) -> dict[str, Any]:
        return {'version': str(self._torch.__version__), 'device': self._device}


def _tensor(node: Any) -> GraphTensor:
    value = node.meta['val']
    return GraphTensor(
        tuple(axis if isinstance(axis, int) else None for axis in value.shape),
        str(value.dtype).removeprefix('torch.'))
