# SPDX-License-Identifier: Apache-2.0
"""Safety monitors with one part taken away, to see that somebody notices.

Original: R. A. DeMillo, R. J. Lipton, F. G. Sayward, "Hints on Test Data Selection: Help for the
Practicing Programmer", Computer 11(4), 1978 (mutation analysis).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from diffusion_control.safety.filter import unfiltered
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.step_filter import StepFilter
from diffusion_control.safety.verify import Surroundings, Verifier

NEVER_S = 1e9


@dataclass(frozen=True)
class Mutant:
    """One part that is taken away.

    Attributes:
        name: Of the mutant.
        text: What no longer happens.
        detector: Name of the experiment that must notice.
        target: Class that is changed.
        attribute: Of the class.
        instead: What stands in its place.
    """

    name: str
    text: str
    detector: str
    target: type
    attribute: str
    instead: Any

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Take the part away as long as the context lasts."""
        with patch.object(self.target, self.attribute, self.instead):
            yield


def _all_pass(verify: Callable[..., Any]) -> Callable[..., Any]:
    def always(self: Verifier, motion: Any, around: Any, **options: Any) -> Any:
        return replace(verify(self, motion, around, **options), ok=True, reason='')
    return always


def _patient(thresholds: Any) -> property:
    def never(self: SafetyParameters) -> Any:
        return replace(thresholds.fget(self), state_stale_s=NEVER_S, motion_stale_s=NEVER_S,
                       obstacles_stale_s=NEVER_S)
    return property(never)


MUTANTS: dict[str, Mutant] = {mutant.name: mutant for mutant in (
    Mutant('no_filter', 'barriers do not change the velocity', 'approach_speed', StepFilter,
           'filter', lambda self, committed, now_s, ahead_s, asked, around: unfiltered(asked)),
    Mutant('no_tail_check', 'every motion counts as verified', 'illegal_motion', Verifier,
           'verify', _all_pass(Verifier.verify)),
    Mutant('no_delay', 'the robot is taken to move at once', 'late_robot', Surroundings, 'late',
           lambda self, command_delay_s: (self.age_s, 0.0)),
    Mutant('no_stale_check', 'inputs never grow old', 'stale_state', SafetyParameters,
           'thresholds', _patient(SafetyParameters.__dict__['thresholds'])),
)}
