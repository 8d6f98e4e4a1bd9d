# SPDX-License-Identifier: Apache-2.0
"""The safety monitor: one decision per tick, and never an unverified command.

Each tick: check the inputs, judge them with the state machine, then send the first candidate that
verifies together with its stop; otherwise what was verified before and is still running. Nothing
raised in here leaves `step`: it becomes EMERGENCY and the stored tail.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.protocol import Robot
from diffusion_control.safety.choice import Choice, Chooser
from diffusion_control.safety.committed import at, rest_of, stand
from diffusion_control.safety.counting import counted
from diffusion_control.safety.decision import (
    FOLLOWED,
    STAND,
    TAIL,
    Counters,
    SafetyDecision,
)
from diffusion_control.safety.follow import STAND_RAD_S, Following
from diffusion_control.safety.health import Health
from diffusion_control.safety.inputs import InputFilter, Inputs
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.parts import Parts
from diffusion_control.safety.rules import UNVERIFIED
from diffusion_control.safety.state_machine import (
    EMERGENCY,
    HOLD,
    Machine,
    advance,
    emergency,
    time_scale,
)
from diffusion_control.safety.tighten import tightened
from diffusion_control.safety.verify import Surroundings, Verifier, moving_until
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]

INTERVENTION_RAD_S = 1e-3
JUMP_RAD = 5e-4
SETTLED_S = 0.3
STANDING_ERROR_RAD = 0.02


def returning(around: Surroundings) -> Surroundings:
    """Return what a set-point on its way back to a robot that stands is checked against.

    The robot does not move along, so the movers are taken where they are, and the deviation,
    which this way undoes, does not count.
    """
    obstacles = around.obstacles
    still = replace(
        obstacles, velocity_m_s=np.zeros_like(obstacles.velocity_m_s),
        may_move=np.zeros_like(obstacles.may_move))
    return replace(around, obstacles=still, deviation_m=0.0)


@dataclass(frozen=True)
class _Before:
    """What a tick changes and `recall` restores."""

    committed: Trajectory
    moves_until_s: float
    braking: bool


class SafetyMonitor:
    """Own the committed trajectory and decide what is sent.

    Args:
        robot: What is driven.
        parameters: See `SafetyParameters`.
        verifier: Another judge of motions, for experiments; None for the real one.

    Raises:
        ConfigurationError: If the receiver is refused.
    """

    def __init__(
        self, robot: Robot, parameters: SafetyParameters, verifier: Verifier | None = None
    ) -> None:
        """Prepare everything; nothing is allocated or compiled later."""
        self._robot, self._parameters = robot, parameters
        self._limits = parameters.thresholds
        self._parts, self._verifier = Parts(robot), verifier
        self._output = self._parts.output(parameters)
        self._chooser = self._make_chooser(parameters)
        self._tighter: tuple[SafetyParameters, Chooser] | None = None
        self._machine = Machine()
        self._counters = Counters()
        self.disarm()

    @property
    def machine(self) -> Machine:
        """The state machine after the last tick."""
        return self._machine

    @property
    def committed(self) -> Trajectory | None:
        """What was last committed; None before the robot was seen at rest."""
        return self._committed

    def tighten(self, changes: Mapping[str, Any]) -> None:
        """Take over tighter limits with the next tick; from any thread.

        Args:
            changes: New values by name as in the parameter table; see `tighten.TIGHTENABLE`.

        Raises:
            ConfigurationError: A limit would become looser, or cannot be changed live.
        """
        latest = self._tighter[0] if self._tighter is not None else self._parameters
        parameters = tightened(latest, changes)
        self._tighter = parameters, self._make_chooser(parameters)

    def _make_chooser(self, parameters: SafetyParameters) -> Chooser:
        return self._parts.chooser(parameters, self._verifier)

    def disarm(self) -> None:
        """Forget what was committed: the next command is the position measured then.

        For a deactivation, after which others may move the robot. EMERGENCY stays latched.
        """
        self._inputs = InputFilter(self._robot)
        self._follower = self._parts.follower(self._parameters.command_delay_s)
        self._trust = self._parts.trust()
        self._committed: Trajectory | None = None
        self._moves_until_s = -math.inf
        self._last_s = self._sent_at_s = -math.inf
        self._rest_s = 0.0
        self._unverified_s = 0.0
        self._braking = False
        self._before: _Before | None = None
        self._recalled = False
        if self._machine.state != EMERGENCY:
            self._machine = Machine()

    def step(
        self, state: object, motion: object, obstacles: object, now_s: float, *,
        map: object = None, scan: object = None, health: Health | None = None,
    ) -> SafetyDecision:
        """Return the decision of one tick.

        Args:
            state: The newest RobotState, or None.
            motion: The tracker's newest motion (Trajectory), or None.
            obstacles: The newest set (tuple of Obstacle), or None if it is missing.
            now_s: ROS time [s].
            map: The newest OccupancyMap of a base, in `odom`; not used by an arm.
            scan: The newest Scan of a base; not used by an arm.
            health: What the receiver of the messages knows; None derives ages from stamps.
        """
        try:
            return self._step((state, motion, obstacles, float(now_s), health, map, scan))
        except Exception as error:  # whatever it is, the robot has to come to rest
            return self._unexpected(error, now_s)

    def recall(self, now_s: float) -> bool:
        """Take the last decision back if sending it only now would make the set-point jump.

        A command leaves the committed motion at the time of its tick. Where the process was not
        run between tick and sending, a receiver of trajectories would meet it at q(now), which is
        up to a t^2 / 2 away from C(now). What is not sent changes nothing: C goes on, it is
        verified to rest, and the next tick decides anew. Never twice in a row: on a machine that
        is always late a small jump is better than no command.

        Args:
            now_s: ROS time at which the command would be sent [s].

        Returns:
            Whether the decision was taken back; its command must not be sent then.
        """
        before, self._before = self._before, None
        if before is None or self._committed is None or self._recalled:
            self._recalled = False
            return False
        jump = at(self._committed, now_s)[0] - at(before.committed, now_s)[0]
        self._recalled = bool(np.abs(jump).max() > JUMP_RAD)
        if self._recalled:
            self._committed, self._moves_until_s = before.committed, before.moves_until_s
            self._braking = before.braking
        return self._recalled

    def _step(self, given: tuple[Any, ...]) -> SafetyDecision:
        now_s: float = given[3]
        if not math.isfinite(now_s):
            raise ValueError(f'now_s is {now_s}')
        if self._tighter is not None:
            self._parameters, self._chooser = self._tighter
        jumped = self._catch_up(now_s)
        inputs = self._inputs.read(*given)
        self._arm(inputs, now_s)
        following = Following()
        if inputs.state is not None and self._committed is not None:
            self._follower.remember(self._committed, now_s)
            following = self._follower.measure(inputs.state)
            self._committed = self._follower.anchored(self._committed)
        judged = self._judge(inputs, following, now_s, jumped)
        self._machine = advance(self._machine, judged, inputs.dt_s, self._limits)
        if self._committed is None:
            self._counters = counted(self._counters, inputs, None, differs=False)
            return self._decision(None, judged, inputs, following, now_s, False)
        self._before = _Before(self._committed, self._moves_until_s, self._braking)
        choice = self._choose(self._committed, inputs, judged, following, now_s)
        differs = self._differs(choice, inputs.motion, now_s)
        self._commit(choice, inputs.dt_s, now_s)
        self._counters = counted(self._counters, inputs, choice, differs=differs)
        return self._decision(choice, judged, inputs, following, now_s, differs)

    def _catch_up(self, now_s: float) -> bool:
        """Move C to where the receiver has it now; return whether the clock went back."""
        committed, last_s = self._committed, self._last_s
        if committed is None:
            return now_s < last_s
        if now_s < last_s:
            moved = replace(committed, stamp_s=committed.stamp_s + now_s - last_s)
            self._follower.forget()
        else:
            moved = self._output.after_silence(committed, last_s, now_s)
        if moved is not committed:
            self._committed = moved
            self._moves_until_s = moved.stamp_s + moving_until(moved)
        return now_s < last_s

    def _arm(self, inputs: Inputs, now_s: float) -> None:
        """Begin with standing where the robot was measured, once it stands there."""
        state = inputs.state
        fresh = inputs.health.state_age_s <= self._limits.state_stale_s
        if self._committed is not None or state is None or not fresh:
            return
        if np.abs(state.velocity).max() < STAND_RAD_S:
            self._committed = stand(
                state.position, now_s, tuple(self._robot.joint_names), self._robot.base_frame)
            self._last_s = now_s

    def _judge(self, inputs: Inputs, following: Following, now_s: float, jumped: bool) -> Health:
        """Return the health with the monitor's own findings."""
        health = inputs.health
        resting = now_s >= self._moves_until_s
        self._rest_s = self._rest_s + inputs.dt_s if resting else 0.0
        settled = self._rest_s >= SETTLED_S and following.stands
        allowed = STANDING_ERROR_RAD if settled else self._limits.follow_error_rad
        if following.error_rad > allowed and not self._trust.lost:
            self._trust.lose()
        unknown = not health.state_age_s <= self._limits.state_stale_s
        stands = resting and self._rest_s >= self._parameters.command_delay_s
        return replace(
            health, armed=self._committed is not None, clock_jumped=jumped,
            at_rest=stands and (unknown or following.stands), answers=not self._trust.lost,
            follow_error_rad=following.error_rad, unverified_s=self._unverified_s)

    def _choose(
        self, committed: Trajectory, inputs: Inputs, judged: Health, following: Following,
        now_s: float,
    ) -> Choice:
        """Return what to commit in this state."""
        age_s = judged.obstacles_age_s
        machine = self._machine
        around = Surroundings(
            inputs.obstacles, age_s if age_s is not None and math.isfinite(age_s) else 0.0,
            following.deviation_m, following.delay)
        if self._trust.lost and machine.state == HOLD:
            around = returning(around)
        if judged.clock_paused or now_s == self._sent_at_s:  # C has not moved: it goes on later
            self._braking |= judged.clock_paused
            return self._chooser.keep(committed, now_s, around)
        if not machine.stopping:
            self._braking = False
            return self._chooser.follow(committed, inputs.motion, now_s, around)
        if machine.silent:
            return self._chooser.keep(committed, now_s, around)
        if now_s >= self._moves_until_s:
            return self._stand(committed, inputs, following, now_s, around)
        if self._braking:
            return self._chooser.keep(committed, now_s, around)
        self._braking = True
        return self._chooser.stop(committed, inputs.motion, now_s, around)

    def _stand(
        self, committed: Trajectory, inputs: Inputs, following: Following, now_s: float,
        around: Surroundings,
    ) -> Choice:
        """Return standing; or what asks a robot that did not follow whether it answers again."""
        machine = self._machine
        if self._trust.lost and machine.state == HOLD and inputs.state is not None and (
                following.stands):
            target = self._trust.target(committed.position[-1], inputs.state)
            if target is not None:
                self._braking = True
                choice = self._chooser.approach(committed, target, now_s, around)
                if choice.action == STAND:
                    self._trust.regain()
                return choice
        kept = self._chooser.keep(committed, now_s, around)
        if machine.state == HOLD and machine.reason_code == UNVERIFIED:
            stepped, refusal = self._chooser.can_step(committed, inputs.motion, now_s, around)
            return replace(kept, refusal=refusal, stepped=stepped)
        return kept

    def _commit(self, choice: Choice, dt_s: float, now_s: float) -> None:
        self._committed = choice.motion
        self._moves_until_s = choice.motion.stamp_s + choice.verification.moving_s
        self._last_s = self._sent_at_s = now_s
        self._unverified_s = self._unverified_s + dt_s if choice.stepped is False else 0.0

    def _differs(self, choice: Choice, motion: Trajectory | None, now_s: float) -> bool:
        """Return whether the command's velocity is another than the tracker's, soon or later."""
        if choice.action == FOLLOWED or motion is None:
            return False
        start_s = max(now_s, motion.start_s)
        return any(
            np.abs(at(choice.motion, time_s)[1] - at(motion, time_s)[1]).max() > INTERVENTION_RAD_S
            for time_s in (start_s, start_s + self._parameters.lead_s))

    def _decision(
        self, choice: Choice | None, judged: Health, inputs: Inputs, following: Following,
        now_s: float, differs: bool,
    ) -> SafetyDecision:
        machine = self._machine
        command = choice.motion if choice is not None else None
        check = choice.verification if choice is not None else None
        behind = np.zeros(len(self._robot.joint_names))
        if inputs.state is not None and following.expected is not None:
            behind = following.expected - inputs.state.position
        return SafetyDecision(
            state=machine.state, cause=machine.cause, command=command,
            verified=check is not None and check.ok,
            h_min=check.h_min if check is not None else 0.0,
            slack=choice.slack if choice is not None else 0.0,
            reason_code=machine.reason_code, response=machine.action,
            action=choice.action if choice is not None else STAND,
            clearance_m=check.clearance_m if check is not None else math.nan,
            tail_s=self._output.tail_s(check.moving_s) if check is not None else 0.0,
            mode=machine.mode, time_scale=time_scale(machine, judged, self._limits),
            intervention=differs,
            send=self._sends(command),
            sample=self._output.sample(command, now_s, behind) if command is not None else None,
            refusal=choice.refusal if choice is not None else '',
            reset_refusal=machine.reset_refusal,
            input_age_s={'joint_states': judged.state_age_s, 'motion': judged.motion_age_s,
                         'obstacles': judged.obstacles_age_s},
            counters=self._counters)

    def _unexpected(self, error: Exception, now_s: object) -> SafetyDecision:
        """Return the stored tail and EMERGENCY; a useless clock is taken to stand."""
        text = f'{type(error).__name__}: {error}'
        self._machine = emergency(self._machine, 'internal_error', text[:200])
        self._counters = replace(
            self._counters, ticks=self._counters.ticks + 1, errors=self._counters.errors + 1)
        stored, sample, tail_s = self._committed, None, 0.0
        if stored is not None:
            valid = isinstance(now_s, float) and math.isfinite(now_s) and now_s > self._last_s
            self._last_s = float(now_s) if isinstance(now_s, float) and valid else self._last_s
            self._committed = stored = rest_of(stored, self._last_s)
            sample = self._output.sample(
                stored, self._last_s, np.zeros(len(self._robot.joint_names)))
            tail_s = self._output.tail_s(moving_until(stored))
        return SafetyDecision(
            state=EMERGENCY, cause=self._machine.cause, command=stored, verified=False,
            h_min=0.0, slack=0.0, reason_code=self._machine.reason_code,
            response=self._machine.action, action=TAIL, clearance_m=math.nan, tail_s=tail_s,
            mode='stop', time_scale=1.0, intervention=True, send=self._sends(stored),
            sample=sample, refusal='internal_error', reset_refusal='', input_age_s={},
            counters=self._counters)

    def _sends(self, command: Trajectory | None) -> bool:
        return command is not None and not self._machine.silent and not self._parameters.shadow
