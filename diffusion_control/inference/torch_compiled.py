# SPDX-License-Identifier: Apache-2.0
"""Torch, compiled: `model.pt2` through torch.compile, once, while the model is loaded.

Every axis that the card names is compiled as unknown, within the bounds of the program, so one
compilation holds for all its sizes, 1 included (a size that torch believes it knows makes it
compile again for 1). A run that would compile all the same is an error: no control loop waits for
a compiler.

Original: J. Ansel et al., PyTorch 2, ASPLOS 2024.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from diffusion_control.errors import ConfigurationError
from diffusion_control.inference.checked import Options
from diffusion_control.inference.engine_cache import default_cache
from diffusion_control.inference.tensor import Tensor
from diffusion_control.inference.torch import TorchSampler
from diffusion_control.inference.torch_compiler import INSTEAD, compiler, own_folder
from diffusion_control.inference.verify import VerifiedModel

FOLDER = 'torch_compiled'
OPTIONS = {
    'compile_threads': 1,  # no processes of its own, which would stay
    'cpp_cache_precompile_headers': False}  # they would lie in /tmp whatever folder is named
LEAST, WARM_UP_SIZE, WARM_UP_RUNS = 1, 3, 2
_ALONE = threading.Lock()  # torch's stance towards compiling is one for all threads

Bounds = dict[str, tuple[int, int | None]]


class TorchCompiledSampler(TorchSampler):
    """Run the program as torch.compile's default compiler makes it."""

    backend = 'torch_compiled'

    def __init__(self, verified: VerifiedModel, options: Options) -> None:
        super().__init__(verified, options)
        self._compile()

    def _choose_device(self) -> str:
        self._compiler = compiler()
        return super()._choose_device()

    def _module_of(self, program: Any) -> Any:
        self._bounds = _bounds(program, self.card.inputs)
        return program.module(check_guards=False)  # `bind` and the bounds below are its guards

    def _compile(self) -> None:
        """Compile for every size of the named axes, and run it warm.

        Raises:
            ConfigurationError: The program does not compile.
        """
        root = Path(self.options.cache_dir) if self.options.cache_dir else default_cache()
        with _ALONE, own_folder(root / FOLDER), self._torch.inference_mode():
            try:
                compiled = self._torch.compile(
                    self._module, fullgraph=True, dynamic=True, options=OPTIONS)
                given = self._marked()
                for _ in range(WARM_UP_RUNS):
                    compiled(*given)
            except Exception as error:  # its exceptions share no root
                raise ConfigurationError(
                    'torch.compile cannot compile the program', where=self._program_path,
                    value=f'{type(error).__name__}: {error}',
                    allowed='a program without choices by the size of a named axis',
                    remedy=f'see the value; {INSTEAD}') from error
        self._module = compiled

    def _marked(self) -> list[Any]:
        """Return zeros in the shapes of the card, with every named axis marked as unknown."""
        mark = self._torch._dynamo.decorators.mark_unbacked
        given = []
        for tensor in self.card.inputs.values():
            shape = [axis if isinstance(axis, int) else _size(self._bounds[axis])
                     for axis in tensor.shape]
            zeros = self._torch.zeros(
                shape, dtype=getattr(self._torch, tensor.dtype), device=self._device)
            for index, axis in enumerate(tensor.shape):
                if isinstance(axis, str):
                    low, high = self._bounds[axis]
                    mark(zeros, index, shape_id=axis, min=low, max=high)
            given.append(zeros)
        return given

    def _results(self, given: list[Any]) -> Any:
        if self._torch.get_num_threads() != self.options.threads:
            self._torch.set_num_threads(self.options.threads)  # what it was compiled for
        with _ALONE, self._torch.compiler.set_stance('fail_on_recompile'):
            return self._module(*given)

    def _info(self) -> dict[str, Any]:
        return {**super()._info(), 'compiler': self._compiler}


def _size(bounds: tuple[int, int | None]) -> int:
    low, high = bounds
    return max(low, WARM_UP_SIZE if high is None else min(high, WARM_UP_SIZE))


def _bounds(program: Any, inputs: Mapping[str, Tensor]) -> Bounds:
    """Return the least and the largest size of every named axis, None for no largest."""
    nodes = {node.name: node for node in program.graph.nodes}
    found: Bounds = {}
    for name, tensor in inputs.items():
        shape = nodes[name].meta['val'].shape if name in nodes else ()
        for axis, size in zip(tensor.shape, shape, strict=False):
            if isinstance(axis, str):
                low, high = found.get(axis, (LEAST, None))
                new_low, new_high = _range(program, size)
                highs = [each for each in (high, new_high) if each is not None]
                found[axis] = max(low, new_low), min(highs, default=None)
    return found


def _range(program: Any, size: Any) -> tuple[int, int | None]:
    """Return the bounds that a program sets to an axis of one argument."""
    if isinstance(size, int):
        return size, size
    limits = program.range_constraints.get(size.node.expr)
    if limits is None:
        return LEAST, None
    high = None
    with suppress(TypeError, OverflowError, ValueError):  # an infinity of sympy
        high = int(limits.upper)
    return max(LEAST, int(limits.lower)), high
