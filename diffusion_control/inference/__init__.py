# SPDX-License-Identifier: Apache-2.0
"""Running exported samplers: verified models, backends behind one protocol, one file each.

Importing this loads no backend: neither ONNX Runtime nor torch.
"""

from diffusion_control.inference.card import ModelCard
from diffusion_control.inference.protocol import Sampler
from diffusion_control.inference.registry import available_backends, load
from diffusion_control.inference.stepwise import Stepwise, run_stepwise
from diffusion_control.inference.tensor import Tensor
from diffusion_control.inference.verify import VerifiedModel, verify

__all__ = [
    'ModelCard', 'Sampler', 'Stepwise', 'Tensor', 'VerifiedModel', 'available_backends', 'load',
    'run_stepwise', 'verify']
