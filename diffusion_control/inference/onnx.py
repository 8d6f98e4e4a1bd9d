# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime: on the CPU, or on an NVIDIA GPU with IO binding.

ONNX Runtime falls back to the CPU without a word when a provider does not start; here that is an
error. Threads are fixed and do not spin, so that nothing beside the control loops burns a core,
and equal inputs give equal bits.
"""

from __future__ import annotations

from typing import Any

from diffusion_control.errors import MissingDependencyError
from diffusion_control.inference import packages
from diffusion_control.inference.checked import CheckedSampler, cannot_open
from diffusion_control.inference.tensor import Array, GraphTensor
from diffusion_control.inference.verify import VerifiedModel

CPU, CUDA = 'CPUExecutionProvider', 'CUDAExecutionProvider'
ERRORS_ONLY = 3
DTYPES = {
    'tensor(float)': 'float32', 'tensor(double)': 'float64', 'tensor(float16)': 'float16',
    'tensor(int32)': 'int32', 'tensor(int64)': 'int64', 'tensor(bool)': 'bool'}
CONFIG = {  # not set_denormal_as_zero: with one thread it changes the caller's own arithmetic
    'session.intra_op.allow_spinning': '0', 'session.inter_op.allow_spinning': '0'}


class OnnxSampler(CheckedSampler):
    """Run the graph with ONNX Runtime on the CPU."""

    backend = 'onnx'
    providers: tuple[str, ...] = (CPU,)
    bound_to = ''

    def _open(
        self, verified: VerifiedModel,
    ) -> tuple[dict[str, GraphTensor], dict[str, GraphTensor]]:
        self._runtime = packages.load('onnxruntime', self.backend)
        refuse_absent(self.backend, self.providers, self._runtime.get_available_providers())
        try:
            self._session = self._runtime.InferenceSession(
                verified.model, sess_options=session_options(
                    self._runtime, self.options.threads),
                providers=list(self.providers), provider_options=self._provider_options(verified))
        except Exception as error:  # its exceptions share no root
            raise cannot_open(self.backend, self._where, error) from error
        refuse_degraded(self.backend, self.providers, self._session.get_providers())
        self._session.disable_fallback()
        return (_tensors(self._session.get_inputs()), _tensors(self._session.get_outputs()))

    def _provider_options(self, verified: VerifiedModel) -> list[dict[str, str]]:
        """Return one table of options per provider."""
        return [{} for _ in self.providers]

    def _evaluate(self, inputs: dict[str, Array]) -> dict[str, Array]:
        names = list(self.card.outputs)
        if not self.bound_to:
            return dict(zip(names, self._session.run(names, inputs), strict=True))
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        for name in names:
            binding.bind_output(name, self.bound_to)
        self._session.run_with_iobinding(binding)
        return dict(zip(names, binding.copy_outputs_to_cpu(), strict=True))

    def _info(self) -> dict[str, Any]:
        return {
            'version': self._runtime.__version__, 'device': self.bound_to or 'cpu',
            'providers': self._session.get_providers()}


class OnnxCudaSampler(OnnxSampler):
    """Run the graph on an NVIDIA GPU; the outputs stay there until the run has ended."""

    backend = 'onnx_cuda'
    providers = (CUDA, CPU)  # ONNX Runtime appends the CPU anyway, for shapes and the like
    bound_to = 'cuda'

    def _provider_options(self, verified: VerifiedModel) -> list[dict[str, str]]:
        exact = {'use_tf32': '0', 'cudnn_conv_algo_search': 'HEURISTIC'}
        return [exact, {}]


def session_options(runtime: Any, threads: int) -> Any:
    """Return options with fixed threads, in order, deterministic, without spinning."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = ERRORS_ONLY
    for key, value in CONFIG.items():
        options.add_session_config_entry(key, value)
    return options


def _tensors(nodes: Any) -> dict[str, GraphTensor]:
    return {node.name: GraphTensor(
        tuple(axis if isinstance(axis, int) else None for axis in node.shape)
        if node.shape is not None else None,
        DTYPES.get(node.type, node.type)) for node in nodes}


def refuse_absent(backend: str, wanted: tuple[str, ...], present: list[str]) -> None:
    """Refuse a provider that this build of ONNX Runtime does not have.

    Raises:
        MissingDependencyError: With the packages that bring it.
    """
    missing = [name for name in wanted if name not in present]
    if missing:
        raise MissingDependencyError(
            f'this ONNX Runtime has no {missing[0]}', where=f'planner.backend = {backend}',
            value=present, allowed=f'expected {list(wanted)}',
            remedy=f'{packages.INSTALL["onnxruntime-gpu"]}; or planner.backend: onnx with '
                   'planner.backend_require_gpu: false')


def refuse_degraded(backend: str, wanted: tuple[str, ...], running: list[str]) -> None:
    """Refuse a session that runs on other providers than it was asked to.

    Raises:
        MissingDependencyError: A provider did not start; ONNX Runtime has fallen back quietly.
    """
    if list(wanted) != running:
        raise MissingDependencyError(
            'ONNX Runtime has quietly fallen back to another provider',
            where=f'planner.backend = {backend}', value=running,
            allowed=f'expected {list(wanted)}', remedy=(
                'check nvidia-smi and that CUDA and cuDNN fit this onnxruntime-gpu; or '
                'planner.backend: onnx with planner.backend_require_gpu: false'))


def providers() -> list[str]:
    """Return the providers of the installed ONNX Runtime, best first; this loads it.

    Raises:
        MissingDependencyError: It is not installed, or does not start.
    """
    return list(packages.load('onnxruntime', 'onnx').get_available_providers())
