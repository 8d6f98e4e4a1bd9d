# SPDX-License-Identifier: Apache-2.0
"""What each injected fault must lead to: the table that the demo and the tests judge by."""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.evaluation.monitor_states import AT_REST

OBSTACLE_PERIOD_S = 0.04
LAST_PLAN_S = 0.03
"""A plan that is under way when the planner dies still arrives, and the next tick notices."""


@dataclass(frozen=True)
class FaultSpecification:
    """The required outcome of one fault.

    Attributes:
        lasts_s: Duration [s]; None for good.
        path: States that must follow in this order (others may lie between).
        one_of: If not empty, at least one of these must be passed before the end.
        never: States that must not be entered.
        end: State at the end of the run.
        first_brake_s: Bound from the fault to the first braking command [s]; None = not asked.
        late_s: Later than that is still in time, because something was under way [s].
        brake_if_any: True where braking is allowed but not required; one after the bound is then
            no answer to the fault (what was sent until then is judged by check-run).
        rests: True where the end state stands still.
        goals: True where goals must still be reached after the fault.
        restores: True where the fault ends by itself and the run goes on.
    """

    lasts_s: float | None
    path: tuple[str, ...]
    end: str
    one_of: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    first_brake_s: float | None = None
    late_s: float = 0.0
    brake_if_any: bool = False
    rests: bool = False
    goals: bool = False


def specifications(
    *, planner_rate_hz: float, state_stale_s: float, obstacles_stale_s: float,
    fallback_holds: bool,
) -> dict[str, FaultSpecification]:
    """Return the specification of every fault for the given parameters.

    Args:
        planner_rate_hz: `planner.rate_hz` [Hz].
        state_stale_s: `safety.state.stale_s` [s].
        obstacles_stale_s: `safety.obstacles.stale_s` [s].
        fallback_holds: Whether `fallback.type` is `hold`.
    """
    slower = 2.0 / planner_rate_hz + 0.05
    lost = 'HOLD' if fallback_holds else 'FALLBACK'
    planner = FaultSpecification(
        None, ('DEGRADED', lost), lost, first_brake_s=slower, late_s=LAST_PLAN_S,
        rests=fallback_holds, goals=not fallback_holds)
    tracker = FaultSpecification(
        None, ('STOPPING', 'EMERGENCY'), 'EMERGENCY', first_brake_s=0.06, rests=True)
    safety = FaultSpecification(None, (), AT_REST, rests=True)
    frozen = ('STOPPING', 'HOLD')
    return {
        'planner_kill': planner,
        'planner_hang': planner,
        'fallback_kill': FaultSpecification(None, (), 'NOMINAL', never=('EMERGENCY',)),
        'plan_nan': FaultSpecification(None, (), 'NOMINAL', never=('FALLBACK', 'EMERGENCY')),
        'plan_nan_3': FaultSpecification(None, (lost, 'NOMINAL'), 'NOMINAL'),
        'tracker_kill': tracker,
        'tracker_hang': tracker,
        'safety_kill': safety,
        'safety_hang': safety,
        'emergency_stop': FaultSpecification(
            None, ('EMERGENCY',), 'EMERGENCY', first_brake_s=0.06, rests=True),
        'joint_states_stop': FaultSpecification(
            5.0, ('STOPPING', 'EMERGENCY'), 'EMERGENCY', first_brake_s=state_stale_s + 0.03,
            rests=True),
        'obstacles_stop': FaultSpecification(
            2.0, ('STOPPING', 'HOLD', 'NOMINAL'), 'NOMINAL',
            first_brake_s=obstacles_stale_s + 0.03),
        'obstacle_jump': FaultSpecification(
            3.0, (), 'NOMINAL', never=('EMERGENCY',), first_brake_s=OBSTACLE_PERIOD_S + 0.03,
            brake_if_any=True),
        'robot_frozen': FaultSpecification(
            2.0, ('NOMINAL',), 'NOMINAL', one_of=frozen, never=('EMERGENCY',),
            first_brake_s=0.25),
        'clock_pause': FaultSpecification(
            2.0, ('NOMINAL',), 'NOMINAL', one_of=frozen, never=('EMERGENCY',),
            first_brake_s=state_stale_s + 0.03),
        'cpu_hog': FaultSpecification(5.0, (), 'NOMINAL', never=('EMERGENCY',)),
    }


def contains_in_order(states: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Tell whether `wanted` is a subsequence of `states`."""
    rest = iter(states)
    return all(state in rest for state in wanted)


def judge_path(specification: FaultSpecification, states: tuple[str, ...]) -> str:
    """Return why the states passed are not as specified, or an empty text.

    Args:
        specification: Of the fault.
        states: State at the fault, then every state entered, in order.
    """
    if not contains_in_order(states[1:], specification.path):
        return f'states {" ".join(states)} do not contain {" ".join(specification.path)} in order'
    if specification.one_of and not set(specification.one_of) & set(states[1:]):
        return f'none of {" ".join(specification.one_of)} was entered'
    entered = sorted(set(specification.never) & set(states[1:]))
    if entered:
        return f'{" ".join(entered)} was entered'
    if specification.end not in (AT_REST, states[-1]):
        return f'ended in {states[-1]} instead of {specification.end}'
    return ''
