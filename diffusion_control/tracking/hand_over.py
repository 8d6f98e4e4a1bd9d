# SPDX-License-Identifier: Apache-2.0
"""Who is followed: two sources of plans, and plans that start later.

A new plan starts at its own `start_s`, where planner and tracker agreed the robot would be; until
then the old one goes on. The change itself needs no blending: the next optimisation starts, as
every one does, at the committed motion and goes over to the new reference inside all limits.
"""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.errors import require_known
from diffusion_control.trajectory.trajectory import Trajectory

SOURCES: tuple[str, ...] = ('planner', 'fallback')
MODES: tuple[str, ...] = ('planner', 'fallback', 'stop')


class WaitingSlot:
    """Hold the current plan until the next one starts."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget both plans."""
        self._current: Trajectory | None = None
        self._next: Trajectory | None = None

    @property
    def waiting(self) -> bool:
        """Return whether a plan waits for its start."""
        return self._next is not None

    def current(self, plan: Trajectory | None, tau_s: float) -> Trajectory | None:
        """Return the plan to follow at `tau_s`, given the newest one.

        The newest plan replaces one that still waits; a plan whose start has passed is current
        at once. None empties both places.
        """
        if plan is None:
            self.reset()
            return None
        if plan is not self._current and plan is not self._next:
            self._next = plan
        elif plan is self._current:
            self._next = None
        if self._next is not None and self._next.start_s <= tau_s:
            self._current, self._next = self._next, None
        return self._current


@dataclass(frozen=True)
class Selection:
    """What to follow.

    Attributes:
        plan: None = hold.
        time_scale: 0 stops on the plan's path.
        source: `planner`, `fallback` or empty.
    """

    plan: Trajectory | None
    time_scale: float
    source: str = ''


class PlanSlots:
    """The newest admitted plan of each source, and the choice between them by safety's mode.

    * `planner`, `fallback`: the plan of that source. A fallback plan counts only if it was
      offered after the mode became `fallback` (older ones start elsewhere); until it comes, the
      robot stops along the plan it followed last.
    * `stop`: the plan followed last, at rate 0.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all plans; the mode becomes `planner`."""
        self._plans: dict[str, Trajectory | None] = dict.fromkeys(SOURCES)
        self._mode = 'planner'
        self._last: tuple[Trajectory | None, str] = (None, '')

    def offer(self, source: str, plan: Trajectory) -> None:
        """Take an admitted plan of a source.

        Raises:
            ConfigurationError: If the source is not one of `SOURCES`.
        """
        require_known('unknown source of plans', 'source', source, SOURCES)
        self._plans[source] = plan

    def set_mode(self, mode: str) -> None:
        """Take safety's mode; entering `fallback` or `planner` waits for a plan made for it.

        Raises:
            ConfigurationError: If the mode is not one of `MODES`.
        """
        require_known('unknown mode', 'safety/mode', mode, MODES)
        if mode == 'fallback' and self._mode != 'fallback':
            self._plans['fallback'] = None
        if mode == 'planner' and self._mode == 'fallback':
            self._plans['fallback'] = None
        self._mode = mode

    def select(self, time_scale: float = 1.0) -> Selection:
        """Return the plan and the rate for this tick.

        Args:
            time_scale: Of the state (1, or `degraded_time_scale` in DEGRADED).
        """
        if self._mode != 'stop':
            plan = self._plans[self._mode]
            if plan is not None:
                self._last = (plan, self._mode)
                return Selection(plan, time_scale, self._mode)
        return Selection(self._last[0], 0.0, self._last[1])
