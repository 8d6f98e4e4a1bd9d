# SPDX-License-Identifier: Apache-2.0
"""What a tick adds to the monitor's totals."""

from __future__ import annotations

from dataclasses import replace

from diffusion_control.safety.choice import Choice
from diffusion_control.safety.decision import FILTERED, SLOWED, TAIL, Counters
from diffusion_control.safety.inputs import Inputs


def counted(before: Counters, inputs: Inputs, choice: Choice | None, *, differs: bool) -> Counters:
    """Return the totals after a tick.

    Args:
        before: Totals before it.
        inputs: What was read.
        choice: What was chosen; None before the robot was armed.
        differs: The command is not the tracker's.
    """
    c = replace(
        before, ticks=before.ticks + 1, malformed=before.malformed + len(inputs.malformed))
    if choice is None:
        return c
    refused = c.refused
    if choice.refusal and inputs.motion is not None:
        refused = {**refused, choice.refusal: refused.get(choice.refusal, 0) + 1}
    return replace(
        c, interventions=c.interventions + differs,
        filtered=c.filtered + (choice.action == FILTERED),
        slowed=c.slowed + (choice.action == SLOWED),
        fallback_ticks=c.fallback_ticks + (choice.action == TAIL and choice.stepped is False),
        tail_invalidated=c.tail_invalidated + choice.invalidated,
        stood_in_contact=c.stood_in_contact + (
            choice.verification.reason == 'stands_in_contact'), refused=refused)
