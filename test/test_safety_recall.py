# SPDX-License-Identifier: Apache-2.0
"""A decision that could only be sent late is taken back where the set-point would jump."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from safety_world import GOOD, drive, spinning

from diffusion_control.safety.committed import at


def test_a_late_brake_is_taken_back_once_and_decided_anew() -> None:
    w = spinning()
    before = w.monitor.committed
    assert before is not None
    [brake] = drive(w, 0.01, health=replace(GOOD, emergency_stop=True))
    assert brake.action == 'brake' and brake.command is not None
    late_s = brake.command.stamp_s + 0.016
    jump = np.abs(at(brake.command, late_s)[0] - at(before, late_s)[0]).max()
    assert jump > 5e-4

    assert w.monitor.recall(late_s)
    kept = w.monitor.committed
    assert kept is not None
    assert np.abs(at(kept, late_s)[0] - at(before, late_s)[0]).max() < 1e-9
    assert w.monitor.machine.state == 'EMERGENCY'

    [again] = drive(w, 0.01)
    assert again.action == 'brake' and again.verified and again.command is not None
    assert not w.monitor.recall(again.command.stamp_s + 0.016), 'not twice in a row'
    assert w.monitor.committed is again.command


def test_what_follows_the_stored_motion_may_be_sent_late() -> None:
    w = spinning()
    [decision] = drive(w, 0.01)
    assert decision.command is not None
    assert not w.monitor.recall(decision.command.stamp_s + 0.002)
    assert w.monitor.committed is decision.command


def test_nothing_is_taken_back_before_the_first_decision() -> None:
    w = spinning()
    w.monitor.disarm()
    assert not w.monitor.recall(w.now_s)
