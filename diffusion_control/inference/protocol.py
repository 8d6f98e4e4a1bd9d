# SPDX-License-Identifier: Apache-2.0
"""What a loaded sampler can do, whichever backend runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from diffusion_control.inference.card import ModelCard
from diffusion_control.inference.tensor import Array


class Sampler(Protocol):
    """Run one exported sampler: the whole denoising loop is one graph.

    Attributes:
        card: The verified model card: names, shapes and types of inputs and outputs.
    """

    card: ModelCard

    def run(self, inputs: Mapping[str, Array], num_inference_steps: int) -> dict[str, Array]:
        """Return the outputs by name, as new arrays; the inputs are never changed.

        Equal inputs give equal bits on the same backend, version and number of threads.

        Args:
            inputs: All inputs of the card, in its shapes and types.
            num_inference_steps: K, the length of every input whose first axis is `K`.

        Raises:
            ConfigurationError: A missing or unknown input, a wrong shape or type, another number
                of steps; the message names the input with expected and actual shape.
            DiffusionControlError: The backend failed during the run.
        """
        ...

    def info(self) -> dict[str, Any]:
        """Return backend, its version, device, threads, and the model with its hash."""
        ...
