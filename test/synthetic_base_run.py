# SPDX-License-Identifier: Apache-2.0
"""Runs of a base with known faults: truth.npz and run.mcap, odometry away from the world."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_control import robots
from diffusion_control.evaluation.base.kept_run import KeptBaseRun
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.planar import compose, inverse, turned
from diffusion_control.robots.state import RobotState
from diffusion_control.safety.outputs import CommandSample
from diffusion_control.simulation.truth import ONSET_TYPE
from diffusion_control.trajectory.trajectory import Trajectory

START_S = 1_790_000_000.0
ODOM = np.array([1.0, -0.5, 0.4])
SPEED, RATE, RAMP = 0.4, 0.3, 0.8
ROWS = ('##########', '#........#', '#........#', '#........#', '#........#', '##########')


@cache
def base() -> Any:
    """Return the robot, loaded once."""
    return robots.load('base')


def twists_at(t: Any) -> Any:
    """Return v, 0, yaw rate [k, 3]: a ramp, then constant."""
    share = np.clip(np.asarray(t, dtype=float) * RAMP / SPEED, 0.0, 1.0)
    return np.stack([SPEED * share, 0.0 * share, RATE * share], axis=1)


@dataclass
class SyntheticBaseRun:
    """A base on an arc through a room of 10 x 6 m, free of faults until a test puts some in.

    Attributes:
        start: x, y, yaw in the world.
        duration_s: Length [s].
        obstacles: In the world.
    """

    start: tuple[float, float, float] = (2.0, 1.5, 0.0)
    duration_s: float = 2.0
    obstacles: tuple[Obstacle, ...] = (
        Obstacle('cylinder', (0.2, 1.0), np.array([8.0, 4.5, 0.5]), key='scene/0'),)
    twists: dict[int, Any] = field(default_factory=dict)
    with_map: bool = True

    def __post_init__(self) -> None:
        """Compute the truth of a run free of faults."""
        t = np.arange(0.0, self.duration_s, 1e-3)
        twist = twists_at(t)
        yaw = self.start[2] + np.cumsum(twist[:, 2]) * 1e-3
        speed = np.stack([twist[:, 0] * np.cos(yaw), twist[:, 0] * np.sin(yaw)], axis=1)
        place = np.array(self.start[:2]) + np.cumsum(speed, axis=0) * 1e-3
        count = len(t)
        self.truth: dict[str, Any] = {
            't_s': START_S + t, 'q': np.column_stack([place, yaw]),
            'dq': np.column_stack([speed, twist[:, 2]]), 'ddq': np.zeros((count, 3)),
            'tau_demand': np.zeros((count, 2)), 'cmd': twist[:, [0, 2]],
            'contacts': np.zeros((count, 2), dtype=np.int64),
            'contact_pairs': np.array([], dtype=ONSET_TYPE),
            'point_speed_max_m_s': np.hypot(*speed.T), 'distance_min_m': np.full(count, 1.0),
            'obstacles': np.tile(
                [[*o.position_m, o.bounding_radius_m] for o in self.obstacles],
                (count, 1, 1)).reshape(count, -1, 4),
            'joint_names': np.array(base().joint_names)}

    def odom(self, at: float) -> RobotState:
        """Return the state in `odom`."""
        row = min(round(at * 1000), len(self.truth['t_s']) - 1)
        seen = inverse(ODOM)
        return RobotState(
            compose(seen, self.truth['q'][row]), turned(seen, self.truth['dq'][row]),
            START_S + at)

    def motion(self, at: float) -> Trajectory:
        """Return the next 0.4 s of the run in `odom`, which then ends at rest."""
        states = [self.odom(min(at + d, self.duration_s - 1e-3)) for d in (0.0, 0.1, 0.2, 0.4)]
        velocity = np.array([s.velocity for s in states])
        velocity[-1] = 0.0
        return Trajectory(
            START_S + at, np.array([0.0, 0.1, 0.2, 0.6]), np.array([s.position for s in states]),
            velocity, np.zeros((4, 3)), base().joint_names, 'odom')

    def write(self, folder: Path, *, goal: tuple[float, float] | None = None) -> Path:
        """Write the run's folder without a summary; return it."""
        kept = KeptBaseRun(folder, base())
        kept.odom_in_map(ODOM, START_S)
        if self.with_map:
            kept.place(OccupancyMap.from_layout(ROWS), START_S)
        if goal is not None:
            kept.goal(Goal(position_m=np.array([*goal, 0.0])), START_S)
        times = np.arange(0.0, self.duration_s - 0.005, 0.01)
        sent = twists_at(times)
        for k, twist in self.twists.items():
            sent[k] = twist
        for k, at in enumerate(times):
            now = START_S + float(at)
            if k % 2 == 0:
                kept.obstacles(self.obstacles, now)
            kept.joints(self.odom(float(at)), now)
            kept.command(
                self.motion(float(at)), CommandSample(np.zeros(3), sent[k]), now)
            if k % 20 == 0:
                kept.motion('planner/plan', self.motion(float(at)), now)
                kept.report('planner/report', {
                    'plan_stamp': now, 'latency_s': 0.05, 'evaluations': 10,
                    'source': 'classical', 'confidence': 1.0}, now)
                kept.report('safety/status', {
                    'state': 'NOMINAL', 'h_min': 0.1, 'slack': 0.0}, now)
        kept.finish(self.truth)
        return kept.folder.path
