# SPDX-License-Identifier: Apache-2.0
"""Which motion is sent: the first candidate that verifies, else the one stored.

Following: the tracker's motion as the barriers leave it (`filter`); half or a fifth of that
speed (the one that passed last, and where it does not pass, the other one in the next tick, so
that no tick takes more than three checks); the stored tail. Stopping: a stop along the path; a
stop from C; the stored tail. A stored tail that an obstacle invalidates is compared with the
hardest stop and with a retreat, and what stays farthest away is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.safety.candidates import SLOWER
from diffusion_control.safety.committed import rest_of
from diffusion_control.safety.decision import BRAKE, FILTERED, FOLLOWED, SLOWED, STAND, TAIL
from diffusion_control.safety.filter import Filtered, unfiltered
from diffusion_control.safety.verify import Surroundings, Verification
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]

BARRIER = 'barrier'
RETREAT_S = 0.06
AT_WORST_NEAR = ('', 'obstacle', 'self_or_floor', 'walls', 'workspace', 'tool_speed')


@dataclass(frozen=True)
class Choice:
    """A motion to commit, and how it came about.

    Attributes:
        motion: The motion, complete to rest.
        verification: Its check.
        action: `followed`, `filtered`, `slowed`, `tail`, `brake` or `hold`.
        refusal: Why the tracker's own motion was not taken; empty if it was or none was asked.
        invalidated: The stored tail failed its check.
        stepped: A new step of the tracker could be verified (None: none was asked for).
        slack: Largest softening of a barrier by the filter [m/s].
    """

    motion: Trajectory
    verification: Verification
    action: str
    refusal: str = ''
    invalidated: bool = False
    stepped: bool | None = None
    slack: float = 0.0


class AnyCandidates(Protocol):
    """What builds the motions of one kind of robot; see `candidates.Candidates`."""

    def refusal(self, committed: Trajectory, motion: Trajectory, now_s: float) -> str:
        """Return why a motion cannot follow C."""
        ...

    def ahead_s(self, motion: Trajectory, now_s: float) -> float:
        """Return the duration of a step [s]."""
        ...

    def asked(
        self, committed: Trajectory, motion: Trajectory, now_s: float, ahead_s: float
    ) -> Array:
        """Return the velocity that `full` has at now + ahead, as the filter takes it [n]."""
        ...

    def full(self, committed: Trajectory, motion: Trajectory, now_s: float) -> Trajectory:
        """Return a step of the motion, and a stop."""
        ...

    def towards(
        self, committed: Trajectory, velocity: Array, now_s: float, ahead_s: float, *,
        gently: bool = False,
    ) -> Trajectory:
        """Return a change to a velocity [n], and a stop."""
        ...

    def brake(self, committed: Trajectory, now_s: float, *, hardest: bool = False) -> Trajectory:
        """Return a stop that begins now."""
        ...

    def stops(
        self, committed: Trajectory, motion: Trajectory | None, now_s: float
    ) -> Iterable[Trajectory]:
        """Return stops that begin now, the one to be preferred first."""
        ...

    def approach(self, committed: Trajectory, target: Array, now_s: float) -> Trajectory:
        """Return the motion of the set-point to a position."""
        ...


class AnyVerifier(Protocol):
    """What checks motions; see `verify.Verifier`."""

    def verify(
        self, motion: Trajectory, around: Surroundings, *, complete: bool = True
    ) -> Verification:
        """Return whether a motion may be sent."""
        ...


class AnyFilter(Protocol):
    """What filters a velocity; see `step_filter.StepFilter`."""

    def filter(
        self, committed: Trajectory, now_s: float, ahead_s: float, asked: Array,
        around: Surroundings,
    ) -> Filtered:
        """Return the velocity that the barriers admit."""
        ...


class Chooser:
    """Choose among candidates by verification.

    Args:
        candidates: Builds motions: `Candidates`, or those of a base.
        verifier: Checks them.
        barriers: Filters the step; None leaves it to the verification.
    """

    def __init__(
        self, candidates: AnyCandidates, verifier: AnyVerifier, barriers: AnyFilter | None
    ) -> None:
        """Take over all three."""
        self._candidates, self._verifier, self._barriers = candidates, verifier, barriers
        self._slower = 0

    def keep(self, committed: Trajectory, now_s: float, around: Surroundings) -> Choice:
        """Return the stored motion; where it no longer verifies, what stays farthest away.

        That is the stored motion itself, the hardest stop, or a retreat: the slowest motion that
        the barriers admit, and then a stop.
        """
        kept = rest_of(committed, now_s)
        check = self._verifier.verify(kept, around)
        if check.ok:
            return Choice(kept, check, STAND if check.standing else TAIL)
        best = Choice(kept, check, TAIL, invalidated=True)
        for other in self._escapes(committed, now_s, around):
            found = self._verifier.verify(other, around)
            if found.h_min > best.verification.h_min and found.reason in AT_WORST_NEAR:
                best = Choice(other, found, BRAKE, invalidated=True)
        return best

    def _escapes(self, committed: Trajectory, now_s: float, around: Surroundings
                 ) -> Iterator[Trajectory]:
        yield self._candidates.brake(committed, now_s, hardest=True)
        if self._barriers is None:
            return
        rest = np.zeros(len(committed.names))
        retreat = self._barriers.filter(committed, now_s, RETREAT_S, rest, around)
        if retreat.velocity is not None:
            yield self._candidates.towards(committed, retreat.velocity, now_s, RETREAT_S)

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
        refusal = self._candidates.refusal(committed, motion, now_s)
        if refusal:
            return replace(self.keep(committed, now_s, around), refusal=refusal, stepped=False)
        ahead_s = self._candidates.ahead_s(motion, now_s)
        asked = self._candidates.asked(committed, motion, now_s, ahead_s)
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
        """Return whether the tracker's motion would verify, and why not; None if there is none."""
        if motion is None:
            return None, 'no_motion'
        refusal = self._candidates.refusal(committed, motion, now_s)
        if refusal:
            return False, refusal
        candidate = self._candidates.full(committed, motion, now_s)
        check = self._verifier.verify(candidate, around)
        return check.ok, check.reason

    def stop(
        self, committed: Trajectory, motion: Trajectory | None, now_s: float, around: Surroundings
    ) -> Choice:
        """Return the first verified stop that begins now, else the stored motion."""
        for stop in self._candidates.stops(committed, motion, now_s):
            check = self._verifier.verify(stop, around, complete=False)
            if check.ok:
                return Choice(stop, check, BRAKE)
        return self.keep(committed, now_s, around)

    def approach(
        self, committed: Trajectory, target: Array, now_s: float, around: Surroundings
    ) -> Choice:
        """Return the set-point's way to where the robot is, if it verifies, else standing."""
        motion = self._candidates.approach(committed, target, now_s)
        check = self._verifier.verify(motion, around)
        return Choice(motion, check, BRAKE) if check.ok else self.keep(committed, now_s, around)

    def _steps(
        self, committed: Trajectory, motion: Trajectory, filtered: Filtered, now_s: float,
        ahead_s: float,
    ) -> Iterator[tuple[str, Trajectory]]:
        velocity = filtered.velocity
        assert velocity is not None
        if filtered.changed:
            yield FILTERED, self._candidates.towards(
                committed, velocity, now_s, ahead_s, gently=True)
        else:
            yield FOLLOWED, self._candidates.full(committed, motion, now_s)
        slower = SLOWER[self._slower] * velocity
        yield SLOWED, self._candidates.towards(committed, slower, now_s, ahead_s)
