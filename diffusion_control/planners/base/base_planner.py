# SPDX-License-Identifier: Apache-2.0
"""What the base's planners share: start, goal, the kept way, plans out of ways, the answer.

A way is a few corners from the start to the goal. A plan is the head of the roll-out that pursues
it (`pursuit`), at most 40 knots, and ends at rest wherever these end; the next plan goes on.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.base.lanes import LANE_WEIGHT, Lanes
from diffusion_control.planners.base.mover_memory import MoverMemory
from diffusion_control.planners.base.mover_room import MoverRoom
from diffusion_control.planners.base.pursuit import dense, pursue, pursue_all
from diffusion_control.planners.base.world import BaseWorld
from diffusion_control.planners.deadline import Clock
from diffusion_control.planners.parameters import parameter, read_parameters, refuse_model
from diffusion_control.planners.problem import PlanningError, PlanningProblem, PlanSet
from diffusion_control.planners.selection import Candidate, plan_set
from diffusion_control.planners.trace import USUAL, CostWeights, Observer
from diffusion_control.planners.world import required
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.planar import yaw_of
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
HEAD_S = np.array([0.1] * 20 + [0.2] * 19)
WHOLE_S = np.full(100, 0.2)
SPACING_M, LONGEST = 0.05, 4000
NEAR_M, ARRIVING_M_S = 0.08, 0.1
OFF_M = 0.5
BLOCKED_S, WAITING_S, SLOW = 20.0, 1e9, 0.45
GOAL_INSIDE_M = -0.05


@dataclass(frozen=True)
class BaseParameters:
    """What all planners of a base can be told."""

    num_candidates: int = parameter(6, 1, 64, 'candidates that are checked and returned')
    margin_m: float = parameter(0.04, 0.0, 0.5, 'least clearance to obstacles and walls [m]')
    speed_scale: float = parameter(0.9, 0.05, 0.95, 'share of the limits to plan with')
    mover_speed_m_s: float = parameter(
        0.5, 0.0, 5.0, 'bound on the speed of movers, as safety.obstacles.max_speed_m_s [m/s]')
    keep_ratio: float = parameter(
        0.95, 0.1, 1.0, 'a new plan must be shorter than this share of the kept one')


@dataclass(frozen=True)
class Way:
    """Corners of a way [C, 2] and how good the whole of it is (lower is better) [s]."""

    corners: Array
    time_s: float
    handicap: float = 1.0
    blocked: bool = False


class BaseRequest:
    """One question, made ready: world, goal, start, and roll-outs from it."""

    def __init__(
        self, robot: Any, problem: PlanningProblem, values: BaseParameters,
        weights: CostWeights = USUAL, memory: MoverMemory | None = None,
    ) -> None:
        self.robot, self.problem, self.values, self.weights = robot, problem, values, weights
        begin = problem.start
        x, y, yaw = begin.position
        speed = begin.velocity[0] * np.cos(yaw) + begin.velocity[1] * np.sin(yaw)
        self.start = np.array([x, y, yaw, speed, begin.velocity[2]])
        self.place, wanted = target_of(problem.goal)
        self.yaw = np.nan if wanted is None else wanted
        self.world = BaseWorld(robot, problem, values.margin_m)
        self.limits = drive_limits(robot.drive, values.speed_scale)
        seen = (memory or MoverMemory()).views(self.world.seen_moving)
        self.room = MoverRoom.of(robot, self.world.moving, values.mover_speed_m_s, seen.turns)
        self.lanes = Lanes(self.world, seen.lanes)
        self.evaluations = 0

    @property
    def radius_m(self) -> float:
        """Radius of the footprint about the body's origin."""
        discs = self.robot.collision.discs
        return float((np.linalg.norm(discs[:, :2], axis=1) + discs[:, 2]).max())

    @property
    def line(self) -> Array:
        """The straight way, shape [2, 2]; this point where the base comes to rest at the place."""
        near = np.linalg.norm(self.place - self.start[:2]) < NEAR_M
        if near and abs(self.start[3]) < ARRIVING_M_S:
            return self.start[None, :2].copy()
        return np.stack([self.start[:2], self.place])

    def roll(
        self, corners: Array, widths: Array, limits: Array, *, forgets: bool
    ) -> tuple[Array, float]:
        """Return the states of a roll-out along a way [K, 5], and the way that is left [m]."""
        way, states = np.empty((LONGEST, 2)), np.empty((len(widths) + 1, 5))
        count, spacing = dense(np.ascontiguousarray(corners), SPACING_M, way)
        used, left = pursue(
            self.start, way[:count], spacing, self.yaw, widths, limits,
            self.room.arrays(forgets=forgets), states)
        self.evaluations += 1
        return states[:used + 1], float(left)

    def roll_all(self, corners: Array) -> tuple[Array, Array, Array]:
        """Return poses [N, 101, 3], times [N] [s] and ways left [N] [m] along N ways [N, C, 2]."""
        count = len(corners)
        poses, used = np.empty((count, len(WHOLE_S) + 1, 3)), np.empty(count, dtype=np.int64)
        left = np.empty(count)
        pursue_all(self.start, np.ascontiguousarray(corners), self.yaw, WHOLE_S, self.limits,
                   self.room.arrays(forgets=True), poses, used, left)
        self.evaluations += count
        return poses, WHOLE_S[0] * used, left

    def rated(self, corners: Array, handicap: float = 1.0) -> Way:
        """Return a way with its time, far longer where what stands blocks it.

        Blocked is what the judge would refuse: a gap that is narrower than the margin asks for
        is none, or a base stands before it as long as it is the shortest way.
        """
        states, left = self.roll(corners, WHOLE_S, self.limits, forgets=True)
        near = self.world.clearance(states[:, :3])
        times = WHOLE_S[0] * np.arange(len(states))
        slower = LANE_WEIGHT * float(self.lanes.share(states[:, :3]).sum())
        lasting = self.weights.duration * (
            WHOLE_S[0] * (len(states) - 1 + slower) + left / (0.5 * self.limits[0]))
        blocked = bool((near < required(near, times, self.values.margin_m)).any())
        if blocked:
            far_m = float(np.linalg.norm(states[-1, :2] - self.place))
            lasting += self.weights.collision * (BLOCKED_S + 5.0 * far_m)
        return Way(corners, lasting, handicap, blocked)

    def motion(self, corners: Array, speed: float = 1.0) -> Trajectory:
        """Return the head of the roll-out along a way, at a share of the speed.

        It ends before what movers stand in that nobody knows to turn: the tracker admits a plan
        by such movers. The next plan goes on.
        """
        limits = self.limits.copy()
        limits[:2] *= speed
        states, _ = self.roll(corners, HEAD_S, limits, forgets=False)
        whole = motion_of(states, HEAD_S, self.problem, self.robot)
        knots = int(np.searchsorted(whole.times_s, self.world.late_s(whole)))
        if knots == len(whole.times_s):
            return whole
        states, _ = self.roll(corners, HEAD_S[:knots - 1], limits, forgets=False)
        return motion_of(states, HEAD_S, self.problem, self.robot)

    def candidate(self, way: Way, speed: float = 1.0) -> Candidate:
        """Return the judged head of a way; the handicap makes up for what is not in its time."""
        motion = self.motion(way.corners, speed)
        judged = self.world.judge(motion)
        lasting = float(motion.times_s[-1])
        return Candidate(
            motion, judged, way.handicap * (way.time_s / speed + 0.01) / max(lasting, 1e-3))

    def waiting(self) -> Candidate:
        """Return the stop, which is worse than anything that goes on."""
        motion = self.motion(self.start[None, :2].copy())
        return Candidate(motion, self.world.judge(motion), WAITING_S / float(motion.times_s[-1]))

    def check_goal(self) -> None:
        """Refuse a goal inside what stands; what only the scan sees may go away."""
        robot, problem = self.robot, self.problem
        still = tuple(o for o in problem.obstacles
                      if not o.may_move and np.abs(o.velocity_m_s).max() < 1e-3)
        around = robot.pack(still, map=problem.map)
        pose = np.array([*self.place, 0.0 if np.isnan(self.yaw) else self.yaw])
        if min(robot.collision.clearance(pose, around)) < GOAL_INSIDE_M:
            raise PlanningError(
                'goal_in_collision', 'the goal is inside an obstacle or a wall', where='goal',
                value=self.place.tolist(), remedy='move the goal')


class BasePlanner:
    """Base of the planners whose plans pursue ways.

    `goes_on`: a plan may end before its goal, and the next one goes on from there.
    `observer` and `weights` serve explanations, see `planners.trace`; a plan whose cost lacks a
    term is what that cost chose, not a slower one or a stop in its place.

    Args:
        robot: The base.
        model: Not used: these planners have no trained model.
        seed: Seed of the random numbers.
        clock: Monotonic clock [s].
        **params: Fields of `parameters_type`.
    """

    name = ''
    source = ''
    goes_on = True
    observer: Observer | None = None
    weights: CostWeights = USUAL
    parameters_type: type[BaseParameters] = BaseParameters

    def __init__(
        self, robot: Any, *, model: Any = None, seed: int = 0, clock: Clock = time.perf_counter,
        **params: Any,
    ) -> None:
        refuse_model(self.name, model)
        self.robot, self.clock = robot, clock
        self.values: Any = read_parameters(self.parameters_type, self.name, params)
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Forget the way and restart the random numbers."""
        self.seed = seed
        self.generator = np.random.default_rng(seed)
        self._kept: tuple[Array, Array] | None = None
        self._memory = MoverMemory()

    def info(self) -> dict[str, Any]:
        """Return name and parameters."""
        return {'name': self.name, 'seed': self.seed, **dataclasses.asdict(self.values)}

    def plan(self, problem: PlanningProblem, deadline_s: float | None = None) -> PlanSet:
        """Return candidate motions, the best first; see `Planner.plan`."""
        begin = self.clock()
        until = float('inf') if deadline_s is None else begin + deadline_s
        request = BaseRequest(self.robot, problem, self.values, self.weights, self._memory)
        request.check_goal()
        kept = self.kept_way(request)
        ways = [] if kept is None else [request.rated(kept, self.values.keep_ratio)]
        ways += [request.rated(corners) for corners in (
            self.propose(request, kept, until) if len(request.line) > 1 else [request.line])]
        ways.sort(key=lambda way: way.time_s * way.handicap)
        ways = ways[:self.values.num_candidates]
        found = [request.candidate(way) for way in ways]
        behind: list[Way | None] = [*ways]
        if self.weights.usual and not any(c.judgement.free for c in found):
            found += [request.candidate(way, SLOW) for way in ways[:2]]
            found.append(request.waiting())
            behind += [*ways[:2], None if ways[0].blocked else ways[0]]
        best = behind[max(range(len(found)), key=lambda k: found[k].score)]
        self._keep(request, best)
        return plan_set(
            found, evaluations=request.evaluations, latency_s=self.clock() - begin,
            source=self.began(best), seed=self.seed)

    def began(self, way: Way | None) -> str:
        """Return the source of a plan with this way behind it; of a stop there is none."""
        del way
        return self.source or self.name

    def propose(self, request: BaseRequest, kept: Array | None, until: float) -> list[Array]:
        """Return ways to choose from, each of shape [C, 2]; overridden by each planner.

        Args:
            request: Start, goal, world.
            kept: What is left of the way that is followed, from the start on, or None.
            until: Time on the clock by which the answer should be out [s].
        """
        raise NotImplementedError(f'{type(self).__name__}.propose')

    def kept_way(self, request: BaseRequest) -> Array | None:
        """Return what is left of the last way, from the start on; None where it does not serve."""
        if self._kept is None or request.problem.previous is None or len(request.line) < 2:
            return None
        goal, way = self._kept
        if np.linalg.norm(goal - request.place) > OFF_M:
            return None
        away = np.linalg.norm(way - request.start[:2], axis=1)
        nearest = int(np.argmin(away))
        if away[nearest] > OFF_M:
            return None
        ahead = way[min(nearest + 2, len(way) - 1):-1]
        return np.concatenate([request.start[None, :2], ahead, request.place[None]])

    def _keep(self, request: BaseRequest, way: Way | None) -> None:
        """Remember the way behind the best plan, every 10 cm.

        Of a stop that is the way to go on with, none if what stands blocks it: begin anew then.
        """
        if way is None:
            self._kept = None
            return
        buffer = np.empty((LONGEST, 2))
        count, _ = dense(np.ascontiguousarray(way.corners), 0.1, buffer)
        self._kept = request.place.copy(), buffer[:count].copy()


def drive_limits(drive: Any, scale: float) -> Array:
    """Return the limits that `pursuit` reads, scaled."""
    return scale * np.array([
        drive.speed_max_m_s, drive.yaw_rate_max_rad_s, drive.acceleration_max_m_s2,
        drive.braking_max_m_s2, drive.yaw_acceleration_max_rad_s2, drive.wheel_travel_max_m_s,
        drive.wheel_separation_m / 2 / scale])


def motion_of(
    states: Array, widths: Array, problem: PlanningProblem, robot: Any
) -> Trajectory:
    """Return the trajectory of states [K, 5] at knots with these widths, at rest at its end."""
    if len(states) == 1:
        states = np.repeat(states, 2, axis=0)
    begin, (yaw, v, w) = problem.start, states[:, 2:].T
    times = np.concatenate([[0.0], np.cumsum(widths)])[:len(states)]
    velocity = np.stack([v * np.cos(yaw), v * np.sin(yaw), w], axis=1)
    velocity[0], velocity[-1] = begin.velocity, 0.0
    push = np.append(np.diff(v) / np.diff(times), 0.0)
    turn = np.append(np.diff(w) / np.diff(times), 0.0)
    acceleration = np.stack([
        push * np.cos(yaw) - v * w * np.sin(yaw), push * np.sin(yaw) + v * w * np.cos(yaw), turn],
        axis=1)
    return Trajectory(
        begin.stamp_s, times, states[:, :3].copy(), velocity, acceleration, robot.joint_names,
        robot.base_frame)


def stopped(problem: PlanningProblem) -> PlanningProblem:
    """Return the question with the goal where the base is, whatever its heading."""
    here = problem.start.position
    return dataclasses.replace(problem, goal=Goal(position_m=np.array([here[0], here[1], 0.0])))


def target_of(goal: Goal) -> tuple[Array, float | None]:
    """Return the place [2] [m] and the yaw [rad] of a base's goal; None leaves it free."""
    if goal.joints_rad is not None:
        return goal.joints_rad[:2], float(goal.joints_rad[2])
    assert goal.position_m is not None
    return goal.position_m[:2], None if goal.quaternion is None else yaw_of(goal.quaternion)
