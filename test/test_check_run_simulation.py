# SPDX-License-Identifier: Apache-2.0
"""`check_run` agrees with the simulator: its files, its receiver, its physics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_run import COMMAND, START_S, SyntheticRun

from diffusion_control import simulation
from diffusion_control.evaluation.check_run import VIOLATIONS, check_run
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation import Scene
from diffusion_control.trajectory.trajectory import Trajectory

NONE = dict.fromkeys(VIOLATIONS, 0)


def as_trajectory(message: Any) -> Trajectory:
    """Return a message as what the simulation takes."""
    stamp, points = message.header.stamp, message.points
    times = [p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in points]
    velocity = np.array([p.velocities for p in points])
    return Trajectory(
        stamp.sec + stamp.nanosec * 1e-9, np.array(times), np.array([p.positions for p in points]),
        velocity, np.zeros_like(velocity), tuple(message.joint_names))


def simulate(
    run: SyntheticRun, folder: Path, obstacle: Obstacle, freeze: bool = False
) -> dict[str, Any]:
    """Let the simulator receive a run's commands; return what check_run says of its files."""
    folder.mkdir()
    scene = Scene(0, (obstacle,), run.robot.home_rad, ())
    plant = simulation.make(run.robot, scene=scene, seed=3, record=folder)
    plant.reset(time_s=START_S)
    commands = {round(at * 1000): m for topic, m, at, _ in run.messages if topic == COMMAND}
    run.messages = [m for m in run.messages if m[0] != 'obstacles']
    for tick in range(round(run.duration_s * 1000)):
        if tick in commands:
            plant.receive(as_trajectory(commands[tick]))
        if freeze and tick == 500:
            plant.freeze(0.2)
        plant.advance(1)
    plant.close()
    truth = (folder / 'truth.npz').read_bytes()
    run.write(folder)
    (folder / 'truth.npz').write_bytes(truth)
    return check_run(folder)['rows'][0]


def ball(position: Any, radius: float = 0.05) -> Obstacle:
    """Return a standing ball."""
    return Obstacle('sphere', (radius,), np.asarray(position, dtype=float))


def test_a_good_run_of_the_simulator(tmp_path: Path) -> None:
    """Smooth commands through receiver, delay, friction and noise: nothing is counted."""
    row = simulate(SyntheticRun(duration_s=1.0), tmp_path / 'run', ball([0.2, 0.9, 0.3]))
    assert row['violations'] == NONE and row['recording_complete']
    assert 0.0 < row['tracking']['rms_q_rad'] < 0.02
    assert 0.05 < row['clearance_min_m'] < 1.0


def test_contact_in_the_simulator(tmp_path: Path) -> None:
    """An obstacle in the way is a contact while moving, though no message told of it."""
    run = SyntheticRun(duration_s=1.0)
    tool = run.robot.tool_pose(run.curve([0.9])[0][0])[0]
    row = simulate(run, tmp_path / 'run', ball(tool, 0.03))
    assert row['violations']['contact_moving'] >= 1
    assert row['violations']['unverified_command'] == 0
    assert row['contacts'][0]['pair'].endswith('obstacle 0')


@pytest.mark.parametrize('stop', [False, True])
def test_freeze_of_the_simulator(tmp_path: Path, stop: bool) -> None:
    """Going on after a freeze as if nothing had been is a jump; silence after it is none."""
    run = SyntheticRun(duration_s=1.0)
    if stop:
        run.drop(COMMAND, 0.6, 1.0)
    row = simulate(run, tmp_path / 'run', ball([0.2, 0.9, 0.3]), freeze=True)
    assert row['violations'] == {**NONE, 'unverified_command': 0 if stop else 1}
