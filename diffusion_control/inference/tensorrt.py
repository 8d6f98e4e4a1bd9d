# SPDX-License-Identifier: Apache-2.0
"""TensorRT, through its provider in ONNX Runtime, with a cache of engines of our own.

The provider builds an engine per graph and keeps it in the folder it is given; which folder, and
what may lie in it, is decided by `engine_cache`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusion_control.errors import MissingDependencyError
from diffusion_control.inference import gpu, packages
from diffusion_control.inference.engine_cache import EngineCache, EngineKey, default_cache
from diffusion_control.inference.onnx import CPU, CUDA, OnnxSampler
from diffusion_control.inference.tensor import Array, GraphTensor
from diffusion_control.inference.verify import VerifiedModel

TENSORRT = 'TensorrtExecutionProvider'


def engine_key(model_sha256: str) -> EngineKey:
    """Return the key of a model's engines on this machine.

    Raises:
        MissingDependencyError: No TensorRT, or no GPU.
    """
    module = packages.load('tensorrt', 'tensorrt')
    version = str(getattr(module, '__version__', ''))
    if not version:
        raise MissingDependencyError(
            'the installed tensorrt does not say its version', where='planner.backend = tensorrt',
            remedy=packages.INSTALL['tensorrt'])
    return EngineKey(model_sha256, version, gpu.gpu_name())


class TensorrtSampler(OnnxSampler):
    """Run the graph with TensorRT in 32 bits; what TensorRT lacks runs with CUDA."""

    backend = 'tensorrt'
    providers = (TENSORRT, CUDA, CPU)
    bound_to = 'cuda'

    def _open(
        self, verified: VerifiedModel,
    ) -> tuple[dict[str, GraphTensor], dict[str, GraphTensor]]:
        root = Path(self.options.cache_dir) if self.options.cache_dir else default_cache()
        self._cache = EngineCache(root, engine_key(verified.card.sha256))
        self._cache.clear_foreign()
        self._shapes: set[tuple[tuple[int, ...], ...]] = set()
        found = super()._open(verified)
        self._cache.seal()
        return found

    def _provider_options(self, verified: VerifiedModel) -> list[dict[str, str]]:
        folder = str(self._cache.folder)
        return [{
            'trt_engine_cache_enable': 'True', 'trt_engine_cache_path': folder,
            'trt_timing_cache_enable': 'False', 'trt_fp16_enable': 'False',
        }, {'use_tf32': '0'}, {}]

    def _evaluate(self, inputs: dict[str, Array]) -> dict[str, Array]:
        outputs = super()._evaluate(inputs)
        shapes = tuple(array.shape for array in inputs.values())
        if shapes not in self._shapes:  # a new shape may have built another engine
            self._shapes.add(shapes)
            self._cache.seal()
        return outputs

    def _info(self) -> dict[str, Any]:
        return {
            **super()._info(), 'tensorrt': self._cache.key.tensorrt, 'gpu': self._cache.key.gpu}
