# SPDX-License-Identifier: Apache-2.0
"""What the safety filter would do along a plan that is followed exactly.

At instants of the plan the filter's programme is set up as the monitor does it, the plan being
what is committed and what is asked, and the obstacles where their velocities take them. A row
g' v >= b is active at the asked velocity v if g' v - b < 1e-3, a bound if v comes as near to it;
bounds that leave a velocity no choice (a diff drive's sideways one) are none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.explain.question import Question
from diffusion_control.safety import SafetyParameters, parameters_of
from diffusion_control.safety.barrier_set import MOVING, SELF, SEPARATION, STANDING, WORKSPACE
from diffusion_control.safety.barriers.step import Bounds, Rows
from diffusion_control.safety.base.arc import twist_at
from diffusion_control.safety.base.filter import BaseStepFilter
from diffusion_control.safety.committed import at
from diffusion_control.safety.step_filter import StepFilter
from diffusion_control.safety.verify import Surroundings
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
INSTANTS = 60
ACTIVE = 1e-3
CLASSES = {SELF: 'own_links', STANDING: 'standing', WORKSPACE: 'workspace', MOVING: 'moving',
           SEPARATION: 'separation', -1: 'drive_or_torque'}
BOUNDS = 'velocity_bounds'


@dataclass(frozen=True)
class Active:
    """Constraints along a plan.

    Attributes:
        times_s: Instants [L] [s].
        slack: Least g' v - b of each class, shape [L]; NaN where it has no row.
        h_min_m: Least barrier value of distances, shape [L] [m].
        change: Largest difference of the filtered velocity from the asked one, shape [L].
    """

    times_s: Array
    slack: dict[str, Array]
    h_min_m: Array
    change: Array

    def as_dict(self) -> dict[str, Any]:
        """Return when each class is active, and how much the filter would change."""
        return {
            'instants': len(self.times_s), 'filter_changes_share': float(
                (self.change > ACTIVE).mean()),
            'change_max': float(self.change.max()),
            'h_min_m': float(self.h_min_m.min()) if np.isfinite(self.h_min_m).any() else None,
            'active': {name: {
                'share': float((row < ACTIVE).mean()),
                'times_s': [round(float(t), 3) for t in self.times_s[row < ACTIVE]]}
                for name, row in self.slack.items() if (row < ACTIVE).any()}}


def active_constraints(question: Question, plan: Trajectory) -> Active:
    """Return the filter's constraints at `INSTANTS` instants of a plan."""
    parameters = parameters_of(question.robot, SafetyParameters.rate_hz, {})
    base = question.robot.kind == 'base'
    steps: Any = (BaseStepFilter if base else StepFilter)(question.robot, parameters)
    ahead_s = parameters.lead_s
    times = np.linspace(plan.start_s, max(plan.end_s - ahead_s, plan.start_s), INSTANTS)
    slack = {name: np.full(INSTANTS, np.nan) for name in (*CLASSES.values(), BOUNDS)}
    h_min, change = np.full(INSTANTS, np.inf), np.zeros(INSTANTS)
    for k, time_s in enumerate(times.tolist()):
        around = Surroundings(_packed(question, time_s - plan.start_s), 0.0)
        asked = _asked(question, plan, time_s + ahead_s)
        step = steps.step(plan, time_s, ahead_s, around)
        barriers = steps.programme.barriers
        rows = barriers.rows(step, asked)
        for name, value in _slack(rows, barriers.bounds(step), asked).items():
            slack[name][k] = value
        soft = rows.softness >= 0
        h_min[k] = rows.h[soft].min(initial=np.inf)
        found = steps.programme.filter(step, asked)
        change[k] = 0.0 if found.velocity is None else np.abs(found.velocity - asked).max()
    return Active(times - plan.start_s, slack, h_min, change)


def _packed(question: Question, later_s: float) -> Any:
    """Return what surrounds the robot, movers moved on."""
    obstacles = tuple(
        replace(o, position_m=o.position_m + later_s * o.velocity_m_s)
        for o in question.problem.obstacles)
    return question.robot.pack(obstacles, map=question.problem.map)


def _asked(question: Question, plan: Trajectory, time_s: float) -> Array:
    """Return the velocity (of a base the twist) of the plan."""
    if question.robot.kind == 'base':
        twist: Array = twist_at(plan, time_s, question.robot.drive.kind == 'omni')[1]
        return twist
    return np.asarray(at(plan, time_s)[1])


def _slack(rows: Rows, bounds: Bounds, asked: Array) -> dict[str, float]:
    """Return the least g' v - b of each class that has a row, and of the bounds."""
    left = rows.slope @ asked - rows.floor
    found = {
        name: float(left[rows.softness == code].min())
        for code, name in CLASSES.items() if (rows.softness == code).any()}
    choice = bounds.upper - bounds.lower > ACTIVE
    room = np.minimum(asked - bounds.lower, bounds.upper - asked)[choice]
    found[BOUNDS] = float(room.min(initial=np.inf))
    return found
