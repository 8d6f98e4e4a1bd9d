# SPDX-License-Identifier: Apache-2.0
"""Behaviour cloning: a network that is told a question and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed (extra `train`)')

from learning_world import TINY  # noqa: E402

from diffusion_control.learning.network import make_network  # noqa: E402
from diffusion_control.learning.settings import TrainSettings  # noqa: E402

LENGTHS = {'state': 5, 'goal': 3, 'obstacles': 4}


@pytest.mark.parametrize('regression', [True, False])
def test_only_a_regression_says_the_same_whatever_the_noise(regression: bool) -> None:
    network = make_network(TrainSettings(**{**TINY, 'regression': regression}), LENGTHS, 8, 7)
    generator = torch.Generator().manual_seed(0)
    inputs = {
        'state': torch.randn(2, 5, generator=generator),
        'goal': torch.randn(2, 3, generator=generator),
        'obstacles': torch.randn(2, 3, 4, generator=generator), 'obstacle_mask': torch.ones(2, 3)}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        said = [network(torch.randn(4, 8, 7, generator=generator), torch.full((4,), time),
                        inputs, 2).numpy() for time in (100.0, 1000.0)]
    for motions in said:
        assert np.allclose(motions[0], motions[1]) == regression
        assert not np.allclose(motions[0], motions[2]), 'another question'
    assert np.allclose(*said) == regression
