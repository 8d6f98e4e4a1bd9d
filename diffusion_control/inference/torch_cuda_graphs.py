# SPDX-License-Identifier: Apache-2.0
"""Torch by CUDA graphs: the kernels of `model.pt2` recorded once per set of shapes, replayed.

A replay launches all kernels at once, on the same memory as when they were recorded: inputs are
copied into buffers that stay, results are read from others.

Original: M. Lin et al., Accelerating PyTorch with CUDA Graphs, pytorch.org, 2021.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from diffusion_control.errors import MissingDependencyError
from diffusion_control.inference import packages
from diffusion_control.inference.checked import Options
from diffusion_control.inference.torch import TorchSampler
from diffusion_control.inference.verify import VerifiedModel

WARM_UP_RUNS = 3
MOST_GRAPHS = 16
NO_CUDA_BUILD = '+cpu'


@dataclass(frozen=True)
class _Recorded:
    """A graph with its buffers, in the order of the card."""

    graph: Any
    inputs: tuple[Any, ...]
    results: tuple[Any, ...]


class TorchCudaGraphsSampler(TorchSampler):
    """Record the program at the first run of each set of shapes, replay it at the others.

    The graphs of the last `MOST_GRAPHS` sets of shapes are kept.
    """

    backend = 'torch_cuda_graphs'

    def __init__(self, verified: VerifiedModel, options: Options) -> None:
        self._graphs: OrderedDict[tuple[tuple[int, ...], ...], _Recorded] = OrderedDict()
        super().__init__(verified, options)

    def _choose_device(self) -> str:
        refuse_without_cuda(str(self._torch.__version__))
        if not self._torch.cuda.is_available():
            raise _missing('torch finds no GPU', None)
        return 'cuda'

    def _results(self, given: list[Any]) -> Any:
        shapes = tuple(tuple(tensor.shape) for tensor in given)
        if shapes not in self._graphs:
            self._graphs[shapes] = self._record(given)
            if len(self._graphs) > MOST_GRAPHS:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(shapes)
        recorded = self._graphs[shapes]
        for buffer, tensor in zip(recorded.inputs, given, strict=True):
            buffer.copy_(tensor)
        recorded.graph.replay()
        return recorded.results

    def _record(self, given: list[Any]) -> _Recorded:
        """Warm up on a side stream, as capture demands, and capture; the buffers are new."""
        cuda, inputs = self._torch.cuda, tuple(tensor.clone() for tensor in given)
        side = cuda.Stream()
        side.wait_stream(cuda.current_stream())
        with cuda.stream(side):
            for _ in range(WARM_UP_RUNS):
                self._module(*inputs)
        cuda.current_stream().wait_stream(side)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            results = self._module(*inputs)
        alone = isinstance(results, self._torch.Tensor)
        return _Recorded(graph, inputs, (results,) if alone else tuple(results))

    def _info(self) -> dict[str, Any]:
        return {**super()._info(), 'graphs': len(self._graphs)}


def refuse_without_cuda(version: str) -> None:
    """Refuse a torch that was built without CUDA, by its version.

    Raises:
        MissingDependencyError: With what brings it.
    """
    if version.endswith(NO_CUDA_BUILD):
        raise _missing('this torch was built without CUDA', version)


def _missing(what: str, value: str | None) -> MissingDependencyError:
    return MissingDependencyError(
        f'{what}, which CUDA graphs need', where='planner.backend = torch_cuda_graphs',
        value=value, allowed='an NVIDIA GPU and a torch built with CUDA',
        remedy=f"check nvidia-smi and the GPU's driver, {packages.INSTALL['torch']} from PyPI; "
               'or planner.backend: torch on the CPU, or onnx')
