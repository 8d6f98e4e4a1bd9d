# SPDX-License-Identifier: Apache-2.0
"""How well the simulated robot follows, by tracker, plant and plans (MuJoCo at 1 kHz).

Plans: `smooth` (half the limits), `noisy` (the same, sent anew every 0.1 s with 3 mrad of noise
on its knots), `late` (arrives 0.3 s after its own start) and `infeasible` (asks for twice the
limits). Errors are those of the tool against the smooth plan: `path` is the distance to the
nearest point of its path; `time` compares with the point of the same time after the best constant
lag, which is reported (for plans that can be followed in time). `direct` sends the plan itself;
`pd` is the feedback law with feed-forward on drives that compensate gravity.

`soft` drives are torque-controlled ones: their stiffness is that of an impedance controller
(600 Nm/rad at the shoulder instead of 4 500), so that what they do not know shows at the tool.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control import simulation, tracking
from diffusion_control.errors import MissingDependencyError
from diffusion_control.evaluation.bench_tracking_crocoddyl import (
    NAMES,
    CrocoddylPolicy,
    tracker_around,
)
from diffusion_control.evaluation.bench_tracking_world import (
    START_S,
    TICK_S,
    command_violations,
    executed,
    quintic_plan,
    random_goal,
    resting,
    spliced,
)
from diffusion_control.evaluation.workers import warm_arm
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.obstacles import ObstacleArrays
from diffusion_control.simulation.plant import Plant
from diffusion_control.tracking.parameters import TrackerParameters
from diffusion_control.tracking.protocol import Reference, Tracker
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
PLANTS = ('default', 'payload', 'delay')
SOFT, SOFT_PAYLOAD = 'soft', 'soft payload'
PLANS = ('smooth', 'noisy', 'late', 'infeasible')
DIRECT, WITHOUT = 'direct', ' without observer'
TRACKERS = ('mpc', 'mpc' + WITHOUT, 'mpc_torque', 'pd', DIRECT)
PEERS, ABSENT = tuple(NAMES), 'absent'
SOFT_NM_RAD = (600.0, 600.0, 600.0, 600.0, 250.0, 150.0, 50.0)
SOFT_NMS_RAD = (50.0, 50.0, 50.0, 50.0, 30.0, 25.0, 15.0)
PAYLOAD_KG, DELAY_S, NOISE_RAD = 1.0, 0.02, 3e-3
SHARES = {'smooth': 0.5, 'noisy': 0.5, 'late': 0.5, 'infeasible': 2.0}
LATE_S, RENEW_TICKS, NOTICE_S, PAUSE_S = 0.3, 10, 0.05, 0.4
LAGS_MS = 150
CLEARANCE_M, TRIES = 0.02, 200


def cases(*, quick: bool) -> list[tuple[str, str, str]]:
    """Return (tracker, plant, plans) of all cases.

    Soft drives are run with smooth plans, for the observer's share; crocoddyl without the delay.
    """
    plants = PLANTS[:2] if quick else PLANTS
    found = [(name, plant, plans) for plans in PLANS for plant in plants for name in TRACKERS]
    found += [(name, plant, PLANS[0]) for plant in (SOFT, SOFT_PAYLOAD)
              for name in TRACKERS if name != 'mpc_torque']
    return found + [
        (name, plant, plans) for plans in PLANS for plant in PLANTS[:2] for name in PEERS]


def plant_of(name: str, seed: int, robot: Arm) -> Plant:
    """Return the default plant, with 1 kg at the tool, 20 ms later, or with soft drives."""
    plant = Plant.default(seed, robot.dof)
    if name in (SOFT, SOFT_PAYLOAD):
        plant = replace(
            plant, stiffness_scale=_over(SOFT_NM_RAD, robot.drive.stiffness),
            damping_scale=_over(SOFT_NMS_RAD, robot.drive.damping))
    if name in ('payload', SOFT_PAYLOAD):
        return replace(plant, payload_kg=PAYLOAD_KG)
    return replace(plant, delay_s=plant.delay_s + DELAY_S) if name == 'delay' else plant


def _over(soft: tuple[float, ...], usual: Array) -> tuple[float, ...]:
    """Return the soft drives' constants over the robot's; joints beyond the seventh as it."""
    wanted = np.array([soft[min(k, len(soft) - 1)] for k in range(len(usual))])
    return tuple((wanted / usual).tolist())


def quality_row(
    robot_config: str, tracker: str, plant: str, plans: str, *, ticks: int, seed: int
) -> dict[str, Any]:
    """Return the row of one case.

    Args:
        robot_config: The robot's name or file.
        tracker: One of `TRACKERS` or `PEERS`; `absent` of the row says why a peer is not there.
        plant: One of `PLANTS`, `SOFT` or `SOFT_PAYLOAD`.
        plans: One of `PLANS`.
        ticks: Length.
        seed: Of plant, goals and noise.
    """
    robot = warm_arm(robot_config)
    row: dict[str, Any] = {'tracker': tracker, 'plant': plant, 'plans': plans, 'ticks': ticks}
    with ExitStack() as stack:
        try:
            made = _tracker(robot, tracker, stack)
        except MissingDependencyError as error:
            return {**row, ABSENT: f'{error.what}: {error.value}'}
        return {**row, **follow(robot, plant_of(plant, seed, robot), made, plans, ticks, seed)}


def _tracker(robot: Arm, name: str, stack: ExitStack) -> Tracker | None:
    """Return a tracker; None sends the plans. What it needs is closed with the stack."""
    if name == DIRECT:
        return None
    if name in NAMES:
        return tracker_around(robot, stack.enter_context(
            CrocoddylPolicy(robot, TrackerParameters(), NAMES[name])))
    return tracking.make(
        name.removesuffix(WITHOUT), robot=robot, observer=not name.endswith(WITHOUT))


def follow(
    robot: Arm, plant: Plant, tracker: Tracker | None, plans: str, ticks: int, seed: int
) -> dict[str, Any]:
    """Return errors and limits of one run; see `quality_row`."""
    simulated = simulation.make(robot, plant=plant, seed=seed, record=True)
    sent, wanted = _run(robot, simulated, tracker, plans, ticks, seed)
    assert simulated.recorder is not None
    truth = simulated.recorder.arrays()
    return {**_errors(robot, truth, wanted, timed=plans in ('smooth', 'noisy')),
            **_command(robot, truth, sent)}


def free_goal(robot: Arm, start: Array, rng: np.random.Generator) -> Array:
    """Return a random goal [n] to which the straight way keeps off the floor and the own links."""
    share = np.linspace(0.0, 1.0, 40)[:, None]
    nothing = ObstacleArrays.pack(())
    for _ in range(TRIES):
        goal = random_goal(robot, rng)
        own = robot.collision.path_clearance(
            start + share * (goal - start), share[:, 0], nothing)[1]
        if float(np.min(own)) > CLEARANCE_M:
            return goal
    return np.asarray(robot.home_rad, dtype=float)


def _run(
    robot: Arm, simulated: Any, made: Tracker | None, plans: str, ticks: int, seed: int
) -> tuple[list[Trajectory | None], list[Trajectory]]:
    """Return the motions sent and the smooth plans that were meant."""
    rng = np.random.default_rng(seed)
    state = simulated.reset(time_s=START_S)
    sent: list[Trajectory | None] = []
    wanted: list[Trajectory] = []
    plan: Trajectory | None = None
    committed: Trajectory | None = None
    here, arrival = np.asarray(robot.home_rad), 0
    for k in range(ticks):
        now_s = START_S + TICK_S * k
        if not wanted or now_s > wanted[-1].end_s + PAUSE_S:
            goal = free_goal(robot, here, rng)
            wanted.append(quintic_plan(
                robot, resting(here), now_s + NOTICE_S, goal, SHARES[plans]))
            here, arrival = goal, k + round(LATE_S / TICK_S) * (plans == 'late')
        if k == arrival or (plans == 'noisy' and (k - arrival) % RENEW_TICKS == 0):
            plan = _as_sent(wanted[-1], plans, rng)
        if made is None:
            motion = plan
        else:
            motion = made.step(state, Reference(plan, committed), now_s).motion
            committed = motion = spliced(committed, motion, now_s)
        sent.append(motion)
        state = simulated.step(motion if made is not None or k == arrival or plans == 'noisy'
                               else None, TICK_S)
    return sent, wanted


def _as_sent(plan: Trajectory, plans: str, rng: np.random.Generator) -> Trajectory:
    if plans != 'noisy':
        return plan
    noise = rng.normal(0.0, NOISE_RAD, plan.position.shape)
    noise[0] = noise[-1] = 0.0
    return replace(plan, position=plan.position + noise)


def _wanted_at(wanted: list[Trajectory], times_s: Array) -> Array:
    """Return the positions that were meant at times, shape [k, n]."""
    index = np.searchsorted([plan.start_s for plan in wanted], times_s, side='right') - 1
    result = np.repeat(wanted[0].position[:1], len(times_s), axis=0)
    for k, plan in enumerate(wanted):
        mine = index == k
        result[mine] = plan.sample_many(times_s[mine])[0]
    return result


def _errors(
    robot: Arm, truth: dict[str, Any], wanted: list[Trajectory], *, timed: bool
) -> dict[str, Any]:
    """Return errors of the true motion at 100 Hz: tool by path and in time [m], joints [rad]."""
    times, q = truth['t_s'][::10], truth['q'][::10]
    tool = robot.tool_positions(q)
    dense = np.arange(START_S, times[-1], 0.005)
    path = robot.tool_positions(_wanted_at(wanted, dense))
    apart = np.array([
        np.linalg.norm(path[max(2 * k - 150, 0):2 * k + 40] - place, axis=1).min()
        for k, place in enumerate(tool)])
    moving = np.abs(truth['dq'][::10]).max(axis=1) > 0.02
    row: dict[str, Any] = {
        'path_rms_m': float(np.sqrt(np.mean(apart[moving]**2))),
        'path_p99_m': float(np.percentile(apart[moving], 99)),
        'rest_rms_m': float(np.sqrt(np.mean(apart[~moving]**2))) if (~moving).any() else None}
    if not timed:
        return {**row, **dict.fromkeys(('lag_s', 'time_rms_m', 'time_p99_m', 'joint_rms_rad'))}
    rms = [np.sqrt(np.mean((q - _wanted_at(wanted, times - 1e-3 * lag))**2))
           for lag in range(0, LAGS_MS, 2)]
    lag_s = 2e-3 * int(np.argmin(rms))
    error = np.linalg.norm(
        tool - robot.tool_positions(_wanted_at(wanted, times - lag_s)), axis=1)
    return {**row, 'lag_s': lag_s, 'time_rms_m': float(np.sqrt(np.mean(error**2))),
            'time_p99_m': float(np.percentile(error, 99)), 'joint_rms_rad': float(min(rms))}


def _command(
    robot: Arm, truth: dict[str, Any], sent: list[Trajectory | None]
) -> dict[str, Any]:
    """Return limits of command and truth, and the command's jerk at 100 Hz."""
    rows = executed(sent, lead_s=0.0)
    limits = robot.limits
    return {
        'violations': command_violations(robot, *rows),
        'jerk_rms_rad_s3': float(np.sqrt(np.mean((np.diff(rows[2][::5], axis=0) / TICK_S)**2))),
        'truth_velocity_share': float(
            (np.abs(truth['dq']) / limits.velocity_rad_s).max()),
        'truth_position_over_rad': float(max(
            (truth['q'] - limits.upper_rad).max(), (limits.lower_rad - truth['q']).max(), 0.0)),
        'truth_torque_share': float((np.abs(truth['tau_demand']) / limits.torque_nm).max())}
