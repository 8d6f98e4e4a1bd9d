# SPDX-License-Identifier: Apache-2.0
"""Named tensors: what a card promises, what a graph has, and what a run is given.

An axis is a number, or a name that stands for one number within a run: two axes of one name have
one size. The name `K` is the number of denoising steps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array: TypeAlias = NDArray[Any]
Axis: TypeAlias = int | str
STEPS_AXIS = 'K'
DTYPES = ('float32', 'float64', 'float16', 'int32', 'int64', 'bool')
NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_.:/-]{0,127}')


@dataclass(frozen=True)
class Tensor:
    """One input or output.

    Attributes:
        shape: Axes: numbers, or names of axes whose size a run decides.
        dtype: One of `DTYPES`.
    """

    shape: tuple[Axis, ...]
    dtype: str

    @property
    def per_step(self) -> bool:
        """Return whether it has one entry per denoising step."""
        return self.shape[:1] == (STEPS_AXIS,)

    def __str__(self) -> str:
        return f'{self.dtype} {_text(self.shape)}'


@dataclass(frozen=True)
class GraphTensor:
    """What an opened graph says of one input or output; None where an axis has no fixed size.

    Attributes:
        shape: The axes; None as a whole where the graph does not say.
        dtype: As numpy names it.
    """

    shape: tuple[int | None, ...] | None
    dtype: str

    def __str__(self) -> str:
        axes = None if self.shape is None else tuple(
            '?' if axis is None else axis for axis in self.shape)
        return f'{self.dtype} {"[?]" if axes is None else _text(axes)}'


def _text(shape: tuple[Axis, ...]) -> str:
    return '[' + ', '.join(str(axis) for axis in shape) + ']'


def compare(
    kind: str, promised: Mapping[str, Tensor], found: Mapping[str, GraphTensor], where: str,
) -> None:
    """Hold the graph against its card.

    A number in the card fits the same number or an open axis of the graph; a name fits an open
    axis only.

    Args:
        kind: `input` or `output`.
        promised: By the card.
        found: In the graph.
        where: The model's file.

    Raises:
        ConfigurationError: Other names, another number of axes, another size or type.
    """
    if set(promised) != set(found):
        raise ConfigurationError(
            f'the {kind}s of the model are not those of its card', where=where,
            value=sorted(found), allowed=f'expected {sorted(promised)}',
            remedy='export the model and its card together')
    for name, tensor in promised.items():
        graph = found[name]
        if graph.dtype != tensor.dtype or not _fits(tensor.shape, graph.shape):
            raise ConfigurationError(
                f'{kind} {name} of the model has another shape or type than its card says',
                where=where, value=str(graph), allowed=f'expected {tensor}',
                remedy='export the model and its card together')


def _fits(promised: tuple[Axis, ...], found: tuple[int | None, ...] | None) -> bool:
    if found is None:
        return True
    return len(promised) == len(found) and all(
        open_axis is None or open_axis == axis
        for axis, open_axis in zip(promised, found, strict=True))


def bind(
    kind: str, promised: Mapping[str, Tensor], given: Mapping[str, Array], where: str,
    sizes: Mapping[str, int],
) -> dict[str, int]:
    """Check arrays against the card and return the size of each named axis.

    Args:
        kind: `input` or `output`.
        promised: By the card.
        given: The arrays of one run.
        where: The model.
        sizes: Of named axes that are already known.

    Raises:
        ConfigurationError: A missing or unknown name, another type or shape, an empty axis.
    """
    if set(promised) != set(given):
        missing, unknown = sorted(set(promised) - set(given)), sorted(set(given) - set(promised))
        raise ConfigurationError(
            f'wrong {kind}s: missing {missing}, unknown {unknown}', where=where,
            value=sorted(given), allowed=f'expected {sorted(promised)}')
    known = dict(sizes)
    for name, tensor in promised.items():
        array = given[name]
        if not isinstance(array, np.ndarray):
            raise ConfigurationError(
                f'{kind} {name} is not an array', where=where, value=type(array).__name__,
                allowed=f'expected {tensor}')
        fits = array.dtype.name == tensor.dtype and array.ndim == len(tensor.shape)
        for axis, size in zip(tensor.shape, array.shape, strict=False):
            wanted = known.setdefault(axis, size) if isinstance(axis, str) else axis
            fits = fits and size == wanted and size > 0
        if not fits:
            actual = f'{array.dtype.name} {_text(array.shape)}'
            raise ConfigurationError(
                f'{kind} {name} has the wrong shape or type', where=where, value=actual,
                allowed=f'expected {tensor}{_known(tensor, known)}')
    return known


def _known(tensor: Tensor, sizes: Mapping[str, int]) -> str:
    named = [axis for axis in tensor.shape if isinstance(axis, str) and axis in sizes]
    return ' with ' + ', '.join(f'{axis} = {sizes[axis]}' for axis in named) if named else ''
