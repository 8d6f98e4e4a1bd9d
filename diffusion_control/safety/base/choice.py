# SPDX-License-Identifier: Apache-2.0
"""Which motion of a base is committed: the first candidate that verifies, else the stored one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.safety.base.arc import twist_at
from diffusion_control.safety.base.candidates import BaseCandidates
from diffusion_control.safety.base.filter import BaseStepFilter
from diffusion_control.safety.base.verify import BaseVerifier
from diffusion_control.safety.candidates import SLOWER
from diffusion_control.safety.choice import AT_WORST_NEAR, BARRIER, RETREAT_S, Choice
from diffusion_control.safety.committed import rest_of
from diffusion_control.safety.decision import BRAKE, FILTERED, FOLLOWED, SLOWED, STAND, TAIL
from diffusion_control.safety.filter import Filtered, unfiltered
from diffusion_control.safety.verify import Surroundings, Verification
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
NEAR = (*AT_WORST_NEAR, 'walls')


class BaseChooser:
    """Choose among candidates by verification; see `choice.Chooser` for what each method means.

    Args:
        candidates: Builds motions.
        verifier: Checks them.
        barriers: Filters the twist; None leaves it to the verification.
    """

    def __init__(
        self, candidates: BaseCandidates, verifier: BaseVerifier, barriers: BaseStepFilter | None
    ) -> None:
        """Take over all three."""
        self._candidates, self._verifier, self._barriers = candidates, verifier, barriers
        self._slower = 0

    def keep(self, committed: Trajectory, now_s: float, around: Surroundings) -> Choice:
        """Return the stored motion; where it no longer verifies, what stays farthest away."""
        kept = rest_of(committed, now_s)
        check = self._verifier.verify(kept, around)
        if check.ok:
            return Choice(kept, check, STAND if check.standing else TAIL)
        best = Choice(kept, check, TAIL, invalidated=True)
        for other in self._escapes(committed, now_s, around):
            found = self._verifier.verify(other, around)
            if found.h_min > best.verification.h_min and found.reason in NEAR:
                best = Choice(other, found, BRAKE, invalidated=True)
        return best

    def _escapes(self, committed: Trajectory, now_s: float, around: Surroundings
                 ) -> Iterator[Trajectory]:
        yield self._candidates.brake(committed, now_s, hardest=True)
        if self._barriers is None:
            return
        retreat = self._barriers.filter(committed, now_s, RETREAT_S, np.zeros(3), around)
        if retreat.velocity is not None:
            yield self._candidates.towards(committed, retreat.velocity, now_s, RETREAT_S)

    def follow(
        self, committed: Trajectory, motion: Trajectory | None, now_s: float, around: Surroundings
    ) -> Choice:
        """Return the tracker's motion or the next slower one that verifies, else C."""
        if motion is None:
            return replace(self.keep(committed, now_s, around), refusal='no_motion')
        refusal = self._candidates.refusal(committed, motion, now_s)
        if refusal:
            return replace(self.keep(committed, now_s, around), refusal=refusal, stepped=False)
        ahead_s = self._candidates.ahead_s(motion, now_s)
        asked = twist_at(motion, now_s + ahead_s, self._candidates.omni)[1]
        filtered = unfiltered(asked)
        if self._barriers is not None:
            filtered = self._barriers.filter(committed, now_s, ahead_s, asked, around)
        if filtered.velocity is None:
            kept = self.keep(committed, now_s, around)
            return replace(kept, refusal=f'filter_{filtered.status}', stepped=False)
        refusal = BARRIER if filtered.changed else ''
        for action, candidate in self._steps(committed, motion, filtered, now_s, ahead_s):
            check = self._verifier.verify(candidate, around, complete=False)
            if check.ok:
                if action != SLOWED:
                    self._slower = 0
                return Choice(
                    candidate, check, action, refusal, stepped=True, slack=filtered.slack)
            refusal = check.reason
        self._slower = (self._slower + 1) % len(SLOWER)
        return replace(self.keep(committed, now_s, around), refusal=refusal, stepped=False,
                       slack=filtered.slack)

    def can_step(
        self, committed: Trajectory, motion: Trajectory | None, now_s: float, around: Surroundings
    ) -> tuple[bool | None, str]:
        """Return whether a slow step of the tracker's motion would verify, and why not."""
        if motion is None:
            return None, 'no_motion'
        refusal = self._candidates.refusal(committed, motion, now_s)
        if refusal:
            return False, refusal
        check: Verification = self._verifier.verify(
            self._candidates.full(committed, motion, now_s), around)
        return check.ok, check.reason

    def stop(
        self, committed: Trajectory, motion: Trajectory | None, now_s: float, around: Surroundings
    ) -> Choice:
        """Return a verified stop that begins now, else the stored motion."""
        stop = self._candidates.brake(committed, now_s)
        check = self._verifier.verify(stop, around, complete=False)
        return Choice(stop, check, BRAKE) if check.ok else self.keep(committed, now_s, around)

    def approach(
        self, committed: Trajectory, target: Array, now_s: float, around: Surroundings
    ) -> Choice:
        """Return standing: a base is always where it was measured."""
        return self.keep(committed, now_s, around)

    def _steps(
        self, committed: Trajectory, motion: Trajectory, filtered: Filtered, now_s: float,
        ahead_s: float,
    ) -> Iterator[tuple[str, Trajectory]]:
        velocity = filtered.velocity
        assert velocity is not None
        if filtered.changed:
            yield FILTERED, self._candidates.towards(committed, velocity, now_s, ahead_s)
        else:
            yield FOLLOWED, self._candidates.full(committed, motion, now_s)
        yield SLOWED, self._candidates.towards(
            committed, SLOWER[self._slower] * velocity, now_s, ahead_s)
