# SPDX-License-Identifier: Apache-2.0
"""Which first guess is taken where another plan begins, beside the plain formula."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_control.tracking.guess_kernels import first_is_better


@given(seed=st.integers(0, 10_000), most=st.sampled_from([1.0, 6.0, 50.0]))
@settings(max_examples=200, deadline=None)
def test_limits_first_and_then_the_predicted_cost(seed: int, most: float) -> None:
    random = np.random.default_rng(seed)
    first, second = random.normal(0.0, 2.0, (2, 19, 7))
    bound, speeds = np.full(7, 3.0), np.full(7, most)
    velocity, speed_map = random.normal(0.0, 1.0, (20, 7)), 0.3 * random.normal(size=(20, 19))
    root, linear = random.normal(size=(19, 19)), random.normal(size=(19, 7))
    hessian = root @ root.T

    def rank(guess: np.ndarray) -> tuple[bool, float]:
        a = np.clip(guess, -bound, bound)
        fast = (np.abs(velocity + speed_map @ a) > speeds + 1e-6).any()
        return bool(fast), float(0.5 * (a * (hessian @ a)).sum() + (linear * a).sum())

    one, two = rank(first), rank(second)
    if one[0] == two[0] and abs(one[1] - two[1]) < 1e-6:
        return
    assert first_is_better(
        first, second, bound, speeds, velocity, speed_map, hessian, linear) == (one < two)
