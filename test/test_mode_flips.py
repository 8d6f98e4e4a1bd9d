# SPDX-License-Identifier: Apache-2.0
"""Flips of the mode: which consecutive plans take another way, whatever their timing."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.plan_checks import mode_flips

SET_S = np.array([-1.0])


def plan(bulge_rad: float, sent_s: float, lasting_s: float = 2.0, joint: int = 1) -> Command:
    """Return a motion of joint 0 from 0 to 3 rad in which another joint bulges half-way."""
    share = np.linspace(0.0, 1.0, 21)
    position = np.zeros((len(share), 3))
    position[:, 0] = 3.0 * share
    position[:, joint] = bulge_rad * np.sin(np.pi * share)
    return Command(sent_s, sent_s, lasting_s * share, position)


@pytest.mark.parametrize(('bulges', 'flips'), [
    ((0.4, 0.4, 0.4), 0), ((0.4, -0.4, 0.4), 2), ((0.0, 0.3, 0.6), 0), ((0.0, 0.0, 0.6), 1),
    ((0.4,), 0), ((), 0)])
def test_a_flip_is_half_a_radian_beside_the_path_before(
    bulges: tuple[float, ...], flips: int
) -> None:
    plans = [plan(bulge, float(k)) for k, bulge in enumerate(bulges)]
    assert mode_flips(plans, SET_S) == flips


def test_time_is_no_flip_and_neither_is_what_is_left_of_a_path() -> None:
    whole, slow = plan(0.6, 0.0), plan(0.6, 0.5, lasting_s=5.0)
    rest = Command(1.0, 1.0, whole.times_s[8:] - whole.times_s[8], whole.position[8:])
    assert mode_flips([whole, slow, rest], SET_S) == 0


def test_another_goal_may_be_reached_another_way() -> None:
    plans = [plan(0.6, 0.0), plan(-0.6, 1.0), plan(0.6, 2.0)]
    assert mode_flips(plans, np.array([-1.0])) == 2
    assert mode_flips(plans, np.array([-1.0, 0.5])) == 1
    assert mode_flips(plans, np.array([-1.0, 0.5, 1.5])) == 0


def test_only_some_joints_count_if_asked() -> None:
    """Of a base the heading, which is no place, is left out."""
    plans = [plan(0.6, 0.0, joint=2), plan(-0.6, 1.0, joint=2)]
    assert mode_flips(plans, SET_S) == 1
    assert mode_flips(plans, SET_S, slice(0, 2)) == 0
