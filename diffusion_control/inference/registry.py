# SPDX-License-Identifier: Apache-2.0
"""Backends by name: which can run here, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from diffusion_control.errors import DiffusionControlError, require_known
from diffusion_control.inference import gpu, onnx, packages, torch_compiler
from diffusion_control.inference.checked import CheckedSampler, Options
from diffusion_control.inference.protocol import Sampler
from diffusion_control.inference.tensorrt import TENSORRT
from diffusion_control.inference.torch_cuda_graphs import refuse_without_cuda
from diffusion_control.inference.verify import verify

_HERE = 'diffusion_control.inference'
BACKENDS: dict[str, str] = {
    'onnx': f'{_HERE}.onnx:OnnxSampler',
    'onnx_cuda': f'{_HERE}.onnx:OnnxCudaSampler',
    'tensorrt': f'{_HERE}.tensorrt:TensorrtSampler',
    'torch': f'{_HERE}.torch:TorchSampler',
    'torch_compiled': f'{_HERE}.torch_compiled:TorchCompiledSampler',
    'torch_cuda_graphs': f'{_HERE}.torch_cuda_graphs:TorchCudaGraphsSampler',
}
DEFAULT = 'onnx'


def available_backends() -> dict[str, tuple[bool, str]]:
    """Return name -> (usable, reason) of every backend, whether it can run here or not.

    The reason of a usable one is its version; of another, what is missing and what brings it.
    This loads ONNX Runtime, if it is installed, to ask for its providers, and nothing else.
    """
    return {name: _state(check) for name, check in (
        ('onnx', _onnx), ('onnx_cuda', _onnx_cuda), ('tensorrt', _tensorrt),
        ('torch', _torch), ('torch_compiled', _torch_compiled),
        ('torch_cuda_graphs', _torch_cuda_graphs))}


def load(
    model_dir: str | Path, backend: str = DEFAULT, *, require_gpu: bool = False, threads: int = 1,
    cache_dir: str | None = None,
) -> Sampler:
    """Verify a model and open it; what comes back is ready to run.

    Args:
        model_dir: Folder with `model.onnx` and `card.json`.
        backend: One of `available_backends()`.
        require_gpu: Refuse a CPU; `onnx` then is `onnx_cuda`.
        threads: That compute one evaluation.
        cache_dir: Where engines are kept; None is `~/.cache/diffusion_control`.

    Raises:
        ConfigurationError: Unknown backend; the folder is not what its card says; the graph has
            other inputs or outputs than the card.
        MissingDependencyError: The backend, or the device it was asked to run on, is missing.
    """
    require_known('unknown inference backend', 'planner.backend', backend, BACKENDS)
    name = 'onnx_cuda' if backend == 'onnx' and require_gpu else backend
    options = Options(require_gpu=require_gpu, threads=threads, cache_dir=cache_dir)
    verified = verify(model_dir)
    module, _, attribute = BACKENDS[name].partition(':')
    kind: type[CheckedSampler] = getattr(import_module(module), attribute)
    return kind(verified, options)


def _state(check: Callable[[], str]) -> tuple[bool, str]:
    try:
        return True, check()
    except DiffusionControlError as error:
        detail = f' ({error.value})' if error.value is not None else ''
        return False, f'{error.what}{detail}: {error.remedy}'


def _found(name: str) -> str:
    """Return name and version of a package, which is not loaded unless it is absent."""
    if not packages.installed(name):
        packages.load(name, name)
    return f'{name} {packages.version(name)}'.strip()


def _onnx() -> str:
    found = onnx.providers()
    onnx.refuse_absent('onnx', (onnx.CPU,), found)
    runtime = packages.load('onnxruntime', 'onnx')
    return f'onnxruntime {runtime.__version__}, {", ".join(found)}'


def _onnx_cuda() -> str:
    onnx.refuse_absent('onnx_cuda', onnx.OnnxCudaSampler.providers, onnx.providers())
    return f'{onnx.CUDA} on {gpu.gpu_name()}'


def _tensorrt() -> str:
    found = _found('tensorrt')
    onnx.refuse_absent('tensorrt', (TENSORRT, onnx.CUDA, onnx.CPU), onnx.providers())
    return f'{found} on {gpu.gpu_name()}'


def _torch() -> str:
    return f'{_found("torch")}, for models whose card lists model.pt2'


def _torch_compiled() -> str:
    found = _found('torch')
    return f'{found} and {torch_compiler.compiler()}, for models whose card lists model.pt2'


def _torch_cuda_graphs() -> str:
    found = _found('torch')
    refuse_without_cuda(found)
    return f'{found} on {gpu.gpu_name()}, for models whose card lists model.pt2'
