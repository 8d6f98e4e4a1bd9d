# SPDX-License-Identifier: Apache-2.0
"""Small experiments that notice when a part of the safety monitor does not do its work.

Each runs a monitor with a simulated robot for a second or two and returns what it found wrong, or
an empty text. `mutants` takes the parts away one by one; a detector that stays silent then is
worth nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from diffusion_control import safety
from diffusion_control.evaluation.arm_side import ArmSide
from diffusion_control.evaluation.monitor_loop import MonitorLoop
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.safety.verify import segment_extremes
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.scene import Scene
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
Detector = Callable[[Arm, int], str]
RATE_HZ = 100.0
ARMING_TICKS = 40
STOPPED = ('STOPPING', 'HOLD', 'EMERGENCY')


def _loop(
    robot: Arm, seed: int, *, obstacles: tuple[Obstacle, ...] = (), delay_s: float = 0.01,
    **params: object,
) -> MonitorLoop:
    """Return an armed monitor with a robot that stands at home."""
    scene = Scene(seed=seed, obstacles=obstacles, start_rad=robot.home_rad, goals=())
    side = ArmSide(robot, scene, Plant(delay_s=delay_s, noise_rad=1e-4))
    loop = MonitorLoop(
        robot, side, safety.make(robot, rate_hz=RATE_HZ, fallback_type='hold', **params),
        RATE_HZ)
    for _ in range(ARMING_TICKS):
        loop.observe()
        loop.tick(np.zeros(robot.dof))
    return loop


def _turn(robot: Arm, joint: int, share: float) -> Array:
    """Return the velocity that turns one joint at a share of its limit."""
    velocity = np.zeros(robot.dof)
    velocity[joint] = share * robot.limits.velocity_rad_s[joint]
    return velocity


def approach_speed(robot: Arm, seed: int) -> str:
    """Say where the arm comes nearer to a standing obstacle faster than `class_k_gain` h.

    The first joint swings the tool towards a ball. The least distance d of the commanded arm may
    shrink at gamma (d - margin) at most, and 0.1 m/s for what the linearisation leaves open.
    """
    gain, margin_m = 4.0, 0.01
    tool = robot.tool_pose(_swung(robot, 0.9))[0]
    ball = Obstacle('sphere', (0.08,), tool, key='ball')
    loop = _loop(robot, seed, obstacles=(ball,), class_k_gain=gain, margin_m=margin_m)
    packed = ObstacleArrays.pack((ball,))
    before, worst = robot.collision.clearance(loop.reference(), packed)[0], ''
    for _ in range(150):
        loop.observe()
        loop.tick(_turn(robot, 0, 0.8))
        distance = robot.collision.clearance(loop.reference(), packed)[0]
        speed = (before - distance) * RATE_HZ
        if speed > gain * max(distance - margin_m, 0.0) + 0.1:
            worst = worst or f'{speed:.2f} m/s at {distance:.3f} m'
        before = distance
    return worst


def _swung(robot: Arm, angle_rad: float) -> Array:
    position = np.array(robot.home_rad, dtype=float)
    position[0] += angle_rad
    return position


def illegal_motion(robot: Arm, seed: int) -> str:
    """Say if a motion is sent whose acceleration is three times what a joint can do."""
    loop = _loop(robot, seed)
    top = robot.limits.acceleration_rad_s2
    step_s = 0.02
    bump = 3.0 * top * step_s**2 / 6.0
    for _ in range(10):
        loop.observe()
        start = loop.reference()
        still = np.zeros((4, robot.dof))
        motion = Trajectory(
            loop.now_s + step_s, np.array([0.0, step_s, 2 * step_s, 0.2]),
            np.stack([start, start + bump, start, start]), still, still.copy(),
            tuple(robot.joint_names), robot.base_frame)
        decision = loop.tick(np.zeros(robot.dof), motion=motion)
        assert decision is not None and decision.command is not None
        first, last, _ = segment_extremes(decision.command)
        most = float((np.maximum(np.abs(first), np.abs(last)) / top).max())
        if most > 1.01:
            return f'an acceleration of {most:.1f} times the limit was sent'
    return ''


def late_robot(robot: Arm, seed: int) -> str:
    """Say if a robot that moves 40 ms later does not reckon with an obstacle 40 ms earlier.

    The first joint turns slowly while a ball comes at 0.4 m/s, known exactly.
    The least distance of the verified motion passes 2 cm sooner where the robot is later.
    """
    passed = [_passed_tick(robot, seed, delay_s) for delay_s in (0.0, 0.04)]
    sooner_s = (passed[0] - passed[1]) / RATE_HZ
    return '' if sooner_s >= 0.025 else f'only {1e3 * sooner_s:.0f} ms sooner for 40 ms of delay'


def _passed_tick(robot: Arm, seed: int, delay_s: float) -> int:
    """Return the tick at which an approaching ball leaves 2 cm of a verified motion's distance."""
    place = robot.tool_pose(np.asarray(robot.home_rad))[0] + np.array([0.5, 0.0, 0.0])
    ball = Obstacle(
        'sphere', (0.05,), place, velocity_m_s=np.array([-0.4, 0.0, 0.0]), key='ball',
        may_move=True)
    loop = _loop(
        robot, seed, obstacles=(ball,), delay_s=delay_s, command_delay_s=0.0, filter=False,
        **{'obstacles.max_acceleration_m_s2': 0.0, 'obstacles.velocity_error_m_s': 0.0,
           'obstacles.max_speed_m_s': 0.4})
    loop.simulation.activate_obstacles()
    for tick in range(150):
        loop.observe()
        decision = loop.tick(_turn(robot, 0, 0.2))
        if decision is not None and decision.h_min < 0.02:
            return tick
    return 150


def stale_state(robot: Arm, seed: int) -> str:
    """Say if the arm goes on without joint states for 0.12 s."""
    loop = _loop(robot, seed)
    for tick in range(50 + 12):
        loop.observe()
        loop.tick(_turn(robot, 0, 0.5), measured=tick < 50)
    assert loop.decision is not None
    return '' if loop.decision.state in STOPPED else f'{loop.decision.state} without joint states'


DETECTORS: dict[str, Detector] = {
    'approach_speed': approach_speed, 'illegal_motion': illegal_motion,
    'late_robot': late_robot, 'stale_state': stale_state}
