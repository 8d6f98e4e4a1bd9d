# SPDX-License-Identifier: Apache-2.0
"""Which motion is sent: the first candidate that verifies, else the one stored.

Following: the tracker's motion; half and a fifth of its speed; the stored tail. Stopping: a stop
along the path; a stop from C; the stored tail. A stored tail that an obstacle invalidates is
compared with the hardest stop, and the one that stays farther away is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.safety.candidates import SLOWER, Candidates
from diffusion_control.safety.committed import rest_of
from diffusion_control.safety.decision import BRAKE, FOLLOWED, SLOWED, STAND, TAIL
from diffusion_control.safety.verify import Surroundings, Verification, Verifier
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """A motion to commit, and how it came about.

    Attributes:
        motion: The motion, complete to rest.
        verification: Its check.
        action: `followed`, `slowed`, `tail`, `brake` or `hold`.
        refusal: Why the tracker's own motion was not taken; empty if it was or none was asked.
        invalidated: The stored tail failed its check.
        stepped: A new step of the tracker could be verified (None: none was asked for).
    """

    motion: Trajectory
    verification: Verification
    action: str
    refusal: str = ''
    invalidated: bool = False
    stepped: bool | None = None


class Chooser:
    """Choose among candidates by verification.

    Args:
        candidates: Builds motions.
        verifier: Checks them.
    """

    def __init__(self, candidates: Candidates, verifier: Verifier) -> None:
        """Take over both."""
        self._candidates, self._verifier = candidates, verifier

    def keep(self, committed: Trajectory, now_s: float, around: Surroundings) -> Choice:
        """Return the stored motion, or the hardest stop where that stays farther away."""
        kept = rest_of(committed, now_s)
        check = self._verifier.verify(kept, around)
        if check.ok:
            return Choice(kept, check, STAND if check.standing else TAIL)
        stop = self._candidates.brake(committed, now_s, hardest=True)
        stop_check = self._verifier.verify(stop, around)
        if stop_check.h_min > check.h_min and stop_check.reason in (
                '', 'obstacle', 'self_or_floor'):
            return Choice(stop, stop_check, BRAKE, invalidated=True)
        return Choice(kept, check, TAIL, invalidated=True)

    def follow(
        self, committed: Trajectory, motion: Trajectory | None, now_s: float, around: Surroundings
    ) -> Choice:
        """Return the tracker's motion or the next slower one that verifies, else the stored one.

        Args:
            committed: C.
            motion: The tracker's motion; None if there is none.
            now_s: ROS time [s].
            around: What to check against.
        """
        if motion is None:
            return replace(self.keep(committed, now_s, around), refusal='no_motion')
        refusal = ''
        for action, candidate in self._steps(committed, motion, now_s):
            if isinstance(candidate, str):
                refusal = candidate
                break
            check = self._verifier.verify(candidate, around)
            if check.ok:
                return Choice(candidate, check, action, refusal, stepped=True)
            refusal = refusal or check.reason
        return replace(self.keep(committed, now_s, around), refusal=refusal, stepped=False)

    def can_step(
        self, committed: Trajectory, motion: Trajectory | None, now_s: float, around: Surroundings
    ) -> tuple[bool | None, str]:
        """Return whether the tracker's motion would verify, and why not; None if there is none."""
        if motion is None:
            return None, 'no_motion'
        candidate = self._candidates.full(committed, motion, now_s)
        if isinstance(candidate, str):
            return False, candidate
        check = self._verifier.verify(candidate, around)
        return check.ok, check.reason

    def stop(
        self, committed: Trajectory, motion: Trajectory | None, now_s: float, around: Surroundings
    ) -> Choice:
        """Return a verified stop that begins now, else the stored motion."""
        if motion is not None:
            along = self._candidates.brake_along(committed, motion, now_s)
            if not isinstance(along, str):
                check = self._verifier.verify(along, around)
                if check.ok:
                    return Choice(along, check, BRAKE)
        straight = self._candidates.brake(committed, now_s)
        check = self._verifier.verify(straight, around)
        if check.ok:
            return Choice(straight, check, BRAKE)
        return self.keep(committed, now_s, around)

    def approach(
        self, committed: Trajectory, target: Array, now_s: float, around: Surroundings
    ) -> Choice:
        """Return the set-point's way to where the robot is, if it verifies, else standing."""
        motion = self._candidates.approach(committed, target, now_s)
        check = self._verifier.verify(motion, around)
        return Choice(motion, check, BRAKE) if check.ok else self.keep(committed, now_s, around)

    def _steps(self, committed: Trajectory, motion: Trajectory, now_s: float
               ) -> Iterator[tuple[str, Trajectory | str]]:
        yield FOLLOWED, self._candidates.full(committed, motion, now_s)
        for share in SLOWER:
            yield SLOWED, self._candidates.slower(committed, motion, now_s, share)
