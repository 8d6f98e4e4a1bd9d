# SPDX-License-Identifier: Apache-2.0
"""What every backend shares: its graph is held against the card, each run against both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffusion_control.errors import ConfigurationError, DiffusionControlError
from diffusion_control.inference.tensor import STEPS_AXIS, Array, GraphTensor, bind, compare
from diffusion_control.inference.verify import VerifiedModel


@dataclass(frozen=True)
class Options:
    """How a backend is to run.

    Attributes:
        require_gpu: Refuse to run on anything but a GPU.
        threads: That compute one evaluation; 1 leaves the other cores to the control loops.
        cache_dir: Where built engines are kept; None is `~/.cache/diffusion_control`.
    """

    require_gpu: bool = False
    threads: int = 1
    cache_dir: str | None = None

    def __post_init__(self) -> None:
        if type(self.threads) is not int or self.threads < 1:
            raise ConfigurationError(
                'bad number of threads', where='inference.load: threads', value=self.threads,
                allowed='a whole number >= 1')


class CheckedSampler(ABC):
    """A sampler around one opened graph; a backend adds opening it and one evaluation."""

    backend = ''

    def __init__(self, verified: VerifiedModel, options: Options) -> None:
        self.card = verified.card
        self.options = options
        self._where = verified.model_path
        inputs, outputs = self._open(verified)
        compare('input', self.card.inputs, inputs, self._where)
        compare('output', self.card.outputs, outputs, self._where)

    def run(self, inputs: Mapping[str, Array], num_inference_steps: int) -> dict[str, Array]:
        """Return the outputs by name, as `Sampler.run` promises."""
        if type(num_inference_steps) is not int or num_inference_steps < 1:
            raise ConfigurationError(
                'bad number of denoising steps', where=self._where, value=num_inference_steps,
                allowed='a whole number >= 1')
        sizes = bind('input', self.card.inputs, inputs, self._where, {
            STEPS_AXIS: num_inference_steps})
        given = {name: np.ascontiguousarray(inputs[name]) for name in self.card.inputs}
        try:
            outputs = self._evaluate(given)
        except Exception as error:
            raise DiffusionControlError(
                f'the inference backend {self.backend} failed during a run', where=self._where,
                value=f'{type(error).__name__}: {error}',
                remedy='see the value; diffusion_control doctor prints the backends') from error
        bind('output', self.card.outputs, outputs, self._where, sizes)
        return outputs

    def info(self) -> dict[str, Any]:
        """Return backend, version, device, threads, model and hash."""
        return {
            'backend': self.backend, **self._info(), 'threads': self.options.threads,
            'model': self._where, 'sha256': self.card.sha256}

    @abstractmethod
    def _open(
        self, verified: VerifiedModel,
    ) -> tuple[dict[str, GraphTensor], dict[str, GraphTensor]]:
        """Open the verified bytes; return the inputs and outputs that the graph really has."""

    @abstractmethod
    def _evaluate(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Return new arrays; the inputs are checked and contiguous, and stay as they are."""

    @abstractmethod
    def _info(self) -> dict[str, Any]:
        """Return `version` and `device`, and what else is worth knowing."""


def cannot_open(backend: str, where: str, error: Exception) -> ConfigurationError:
    """Return the error for a verified file that the backend will not open."""
    return ConfigurationError(
        f'the inference backend {backend} cannot open the model', where=where,
        value=f'{type(error).__name__}: {error}', allowed='a valid ONNX model of its version',
        remedy='export the model again, or choose another planner.backend')
