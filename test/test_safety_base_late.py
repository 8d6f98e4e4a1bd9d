# SPDX-License-Identifier: Apache-2.0
"""A tracker whose motions come one tick late: two chains of motions, and one base."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='needs MuJoCo (extra sim)')

from base_motions import motion_of
from hypothesis import given, settings
from hypothesis import strategies as st
from safety_base_world import BASE, LIKE, Loop

from diffusion_control.safety.base.arc import twist_at
from diffusion_control.safety.base.candidates import BaseCandidates
from diffusion_control.safety.parameters import SafetyParameters

LOST = 250, 251
"""Two motions in a row get lost, while the base drives."""


def changes(loop: Loop) -> np.ndarray:
    """Return how much the commanded (u, omega) change from tick to tick, in each tick [T, 2]."""
    sent = [d.sample.velocity[[0, 2]] for d in loop.decisions[40:] if d.sample is not None]
    return np.diff(np.array(sent), axis=0)


@pytest.mark.parametrize('late', [False, True])
def test_a_late_motion_does_not_shake_the_base(late: bool) -> None:
    loop = Loop(late=late, lost=LOST)
    loop.go(3.0)
    loop.run(9.0)
    twice = np.abs(np.diff(changes(loop), axis=0)).sum(axis=0)
    assert (twice < [0.1, 0.1]).all(), 'the sum of what would be 14 m/s and 43 rad/s'
    assert np.hypot(*(loop.sim.true_state().position[:2] - [5.0, 4.0])) < 0.1
    assert {d.action for d in loop.decisions[260:]} == {'followed'}


@settings(max_examples=50, deadline=None)
@given(twist=st.tuples(st.floats(0.0, 0.4), st.floats(-1.0, 1.0)),
       apart=st.tuples(st.floats(-0.02, 0.02), st.floats(-0.05, 0.05)),
       rate=st.tuples(st.floats(-0.5, 0.5), st.floats(-2.0, 2.0)),
       begins_s=st.floats(0.0, 0.03))
def test_of_a_motion_that_began_elsewhere_only_the_changes_count(
    twist: tuple[float, float], apart: tuple[float, float], rate: tuple[float, float],
    begins_s: float,
) -> None:
    candidates = BaseCandidates(BASE, SafetyParameters())
    times = np.linspace(0.0, 0.3, 7)
    here, slope = np.array([twist[0], 0.0, twist[1]]), np.array([rate[0], 0.0, rate[1]])
    off = np.array([apart[0], 0.0, apart[1]])
    committed = motion_of(times, np.tile(here, (7, 1)), np.zeros(3), LIKE, 0.0)
    motion = motion_of(times, here + off + np.outer(times, slope), np.zeros(3), LIKE, begins_s)
    ahead_s = candidates.ahead_s(motion, 0.0)
    full = candidates.full(committed, motion, 0.0)
    wanted = here + (ahead_s - begins_s) * slope
    np.testing.assert_allclose(twist_at(full, ahead_s, False)[1], wanted, atol=1e-3)
    np.testing.assert_allclose(
        candidates.asked(committed, motion, 0.0, ahead_s), wanted, atol=1e-3)
