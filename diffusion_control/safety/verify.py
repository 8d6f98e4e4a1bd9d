# SPDX-License-Identifier: Apache-2.0
"""Whether a complete motion, its stop included, may be sent.

A motion q(t), t in [0, T], is verified if it ends at rest, if for every joint and all t

    lower <= q <= upper,   |q'| <= v_max,   |q''| <= a_max

(the robot's unscaled limits, positions 8 mrad inside; q is piecewise cubic, so q'' is linear and
q' quadratic between knots and their extremes are known), and if on a 10 ms grid, and until
`settle_s` after the motion's end, because a drive creeps to its last set-point (after two fifths
of it at millimetres a second, so movers are taken to go on as they were seen by then),

    d(q(t_k), O(t_k + age + delay)) - arc_k / 2 >= margin + deviation

for the distance d to everything O that a mover within its published bounds can reach (the bound
between knots is `robots.reach`), for links among each other and for the floor. `age` is that of
the obstacles, `delay` the time until the robot moves by a command, measured (`delay`; a mover is
met at the longest, and grown by how far it goes within the spread), `deviation` how far its links
were measured beside the commanded path. Where the start already violates the margin, the demand
is `not worse than now`: the arm may leave, never approach. Standing still is always allowed:
there is nothing better. The tool's speed and box, where they are set, are checked too
(`tool_check`).

Original: worst-case reachable sets for mobile obstacles, S. Bouraine, T. Fraichard, H. Salhi,
"Provably safe navigation for mobile robots with limited field-of-views in dynamic environments",
Autonomous Robots 32 (2012): passive motion safety.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import DROOP_RAD
from diffusion_control.robots.obstacles import ObstacleArrays
from diffusion_control.robots.protocol import Robot
from diffusion_control.safety import cubic
from diffusion_control.safety.committed import REST_RAD_S
from diffusion_control.safety.delay import DelayRange
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.tool_check import ToolCheck
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]

GRID_S = 0.01
SETTLE_PARTS = 4
TURN_SHARE = 0.4
"""Of `settle_s`: how long after the motion's end a mover may still turn."""
RELATIVE_TOLERANCE = 1e-6
NOT_WORSE_M = 1e-4
LIMIT_CODES = ('', 'position_limit', 'velocity_limit', 'acceleration_limit')


@dataclass(frozen=True)
class Surroundings:
    """What a motion is checked against in one tick.

    Attributes:
        obstacles: The last good obstacles.
        age_s: Their age [s].
        deviation_m: Largest distance of a link from its place on the commanded path [m].
        delay: Measured delays of the robot; None takes the parameter.
    """

    obstacles: ObstacleArrays
    age_s: float
    deviation_m: float = 0.0
    delay: DelayRange | None = None

    def late(self, command_delay_s: float) -> tuple[float, float]:
        """Return how long after its observation an obstacle is met, at most, and the spread [s].

        Args:
            command_delay_s: The parameter; the longest delay is never taken to be shorter.
        """
        least = most = command_delay_s
        if self.delay is not None:
            least, most = min(least, self.delay.least_s), max(most, self.delay.most_s)
        return self.age_s + most, most - least


@dataclass(frozen=True)
class Verification:
    """The outcome of a check.

    Attributes:
        ok: Whether the motion may be sent.
        reason: Code of what is wrong; empty if nothing is.
        h_min: Least distance minus margin and deviation over the motion [m].
        worst_knot: Grid index (10 ms, then four of settling) of that distance, or of the broken
            limit.
        clearance_m: Least distance at the start [m].
        moving_s: Time after the stamp from which the motion stands [s]; 0 if it never moves.
    """

    ok: bool
    reason: str
    h_min: float
    worst_knot: int
    clearance_m: float
    moving_s: float

    @property
    def standing(self) -> bool:
        """Whether the motion stands from its start."""
        return self.moving_s == 0.0


class Verifier:
    """Check motions of one robot.

    Args:
        robot: Limits and collision shape.
        parameters: Margin, delay and bounds of the movers.
    """

    def __init__(self, robot: Robot, parameters: SafetyParameters) -> None:
        """Take over limits and bounds."""
        limits = robot.limits
        self._collision = robot.collision
        self._parameters = parameters
        self._tool = ToolCheck(robot, parameters)
        inner = limits.inset(DROOP_RAD)
        self._lower, self._upper = inner.lower_rad, inner.upper_rad
        self._velocity = limits.velocity_rad_s * (1.0 + RELATIVE_TOLERANCE)
        self._acceleration = limits.acceleration_rad_s2 * (1.0 + RELATIVE_TOLERANCE)

    def verify(
        self, motion: Trajectory, around: Surroundings, *, complete: bool = True
    ) -> Verification:
        """Return whether a motion that begins now may be sent, against everything.

        Args:
            motion: The motion.
            around: What to check against.
            complete: Find the least distance also where the motion is refused; else the first
                distance that is too small is enough.
        """
        moving_s = moving_until(motion)
        grid, dense, count = cubic.settling_grid(
            motion.times_s, motion.position, motion.velocity, moving_s, GRID_S,
            self._parameters.settle_s, SETTLE_PARTS)
        obstacle, own = self._distances(grid, dense, around, moving_s, complete)
        clearance = float(min(obstacle[0], own[0]))
        obstacle -= self._parameters.margin_m + around.deviation_m
        own -= self._parameters.own_margin_m + around.deviation_m
        if moving_s == 0.0:
            reason = 'stands_in_contact' if clearance < 0.0 else ''
            return Verification(True, reason, float(min(obstacle[0], own[0])), 0, clearance, 0.0)
        nearest = np.minimum(obstacle, own)
        worst = int(np.argmin(nearest))
        h_min = float(nearest[worst])
        reason, knot = self.limits(motion, dense[:count])
        if not reason:
            reason, knot = self._tool.refusal(
                grid[:count], dense[:count], self._parameters.margin_m + around.deviation_m)
        if not reason:
            reason, knot = _too_near(obstacle, own)
        return Verification(
            not reason, reason, h_min, knot if reason else worst, clearance, moving_s)

    def limits(self, motion: Trajectory, dense: Array) -> tuple[str, int]:
        """Return the code and the index of a broken limit, or ('', 0).

        Args:
            motion: Motion from its own first knot.
            dense: Positions on the 10 ms grid, shape [L, n].
        """
        if np.abs(motion.velocity[-1]).max() > REST_RAD_S:
            return 'not_at_rest', len(motion.times_s) - 1
        broken, index = cubic.broken_limit(
            motion.times_s, motion.position, motion.velocity, dense, self._lower, self._upper,
            self._velocity, self._acceleration)
        return LIMIT_CODES[broken], index

    def _distances(
        self, grid: Array, position: Array, around: Surroundings, moving_s: float, complete: bool
    ) -> tuple[Array, Array]:
        bounds = self._parameters
        give_up_m = (-math.inf, -math.inf, 0.0) if complete else (
            bounds.margin_m + around.deviation_m, bounds.own_margin_m + around.deviation_m,
            NOT_WORSE_M)
        late_s, spread_s = around.late(bounds.command_delay_s)
        settle_s = TURN_SHARE * bounds.settle_s if moving_s > 0.0 else 0.0
        return self._collision.reach_clearance(
            position, grid + late_s, around.obstacles, turning_s=moving_s + settle_s + late_s,
            speed_m_s=bounds.obstacles_max_speed_m_s,
            acceleration_m_s2=bounds.obstacles_max_acceleration_m_s2,
            velocity_error_m_s=bounds.obstacles_velocity_error_m_s, spread_s=spread_s,
            give_up_m=give_up_m)


def moving_until(motion: Trajectory) -> float:
    """Return the time after the stamp from which the motion stands [s]; 0 if it never moves."""
    return float(cubic.moving_end(motion.times_s, motion.position, motion.velocity))


def on_grid(motion: Trajectory, until_s: float) -> tuple[Array, Array]:
    """Return times [L] from 0 to `until_s` every 10 ms, and the positions [L, n] there."""
    grid, position, _ = cubic.settling_grid(
        motion.times_s, motion.position, motion.velocity, until_s, GRID_S, 0.0, 0)
    return grid, position


def segment_extremes(motion: Trajectory) -> tuple[Array, Array, Array]:
    """Return accelerations at both ends of, and the largest speed in, each cubic segment.

    Each of shape [T - 1, n]; see `cubic.extremes`.
    """
    start, end, top = cubic.extremes(motion.times_s, motion.position, motion.velocity)
    return start, end, top


def _too_near(obstacle: Array, own: Array) -> tuple[str, int]:
    """Return the code and the index of what comes too near, from distances less the margins."""
    for code, excess in (('obstacle', obstacle), ('self_or_floor', own)):
        if not (excess >= min(0.0, float(excess[0]) - NOT_WORSE_M)).all():
            return code, int(np.argmin(np.nan_to_num(excess, nan=-np.inf)))
    return '', 0
