# SPDX-License-Identifier: Apache-2.0
"""Bad input from users and from strangers on the graph: clear refusals, and nothing moves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from demo_world import environment, harm, run_demo

FLOOD = """
import sys, time
import rclpy
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
rclpy.init()
node = rclpy.create_node('stranger')
publisher = node.create_publisher(JointTrajectory, 'planner/plan', 10)
names = [f'panda_joint{k}' for k in range(1, 8)]
def plan(names, value, stamp, points):
    message = JointTrajectory(joint_names=names)
    message.header.stamp.sec = stamp
    for k in range(points):
        point = JointTrajectoryPoint(positions=[value] * len(names), velocities=[0.0] * len(names))
        point.time_from_start.nanosec = 1000 * (k + 1)
        message.points.append(point)
    return message
messages = [plan(names, float('nan'), 0, 3), plan(['a', 'b'], 0.0, 0, 3), plan(names, 0.1, 1, 3),
            plan(names, 0.1, 0, 100_000)]
end = time.monotonic() + float(sys.argv[1])
count = 0
while time.monotonic() < end:
    publisher.publish(messages[3 if count % 400 == 399 else count % 3])
    count += 1
    time.sleep(0.01)
"""
TUNER = """
import sys, time
import rclpy
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
rclpy.init()
node = rclpy.create_node('tuner')
client = node.create_client(SetParameters, '/safety/set_parameters')
if not client.wait_for_service(60.0):
    sys.exit('no service')
time.sleep(6.0)
for name, value in (('margin_m', 0.02), ('margin_m', 0.005), ('speed_scale', 0.5),
                    ('speed_scale', 0.9), ('state.stale_s', 0.2)):
    request = SetParameters.Request()
    request.parameters = [Parameter(name, value=value).to_parameter_msg()]
    future = client.call_async(request)
    rclpy.spin_until_future_complete(node, future, timeout_sec=10.0)
    result = future.result().results[0]
    print(name, value, result.successful, result.reason.splitlines()[0:1], flush=True)
"""
SCENE = {'seed': 0, 'obstacles': [], 'start_rad': [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785],
         'goals': [{'position_m': [0.5, 0.0, 0.4], 'quaternion': [1.0, 0.0, 0.0, 0.0]}]}


@pytest.mark.process
def test_a_flood_of_broken_plans_changes_nothing_but_counters(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, '-c', FLOOD, '40'], env=environment(121))
    try:
        run = run_demo(tmp_path, 121, '--duration-s', '12')
    finally:
        stranger.kill()
        stranger.wait()
    assert run.summary is not None, run.text
    assert harm(run.summary) == {}
    assert run.summary['goals']['reached'] >= 1
    latched = [event['cause'] for event in run.events if event['to'] == 'EMERGENCY']
    assert all('lost for' in cause for cause in latched), 'a slow machine may be late, no more'
    assert sum(run.summary['plan']['rejected'].values()) > 50


@pytest.mark.process
def test_limits_of_a_moving_robot_are_tightened_and_never_loosened(tmp_path: Path) -> None:
    tuner = subprocess.Popen(
        [sys.executable, '-c', TUNER], env=environment(123), stdout=subprocess.PIPE, text=True)
    try:
        run = run_demo(tmp_path, 123, '--duration-s', '14')
        printed, _ = tuner.communicate(timeout=20)
    finally:
        tuner.kill()
        tuner.wait()
    assert run.summary is not None, run.text
    assert harm(run.summary) == {}
    lines = printed.splitlines()
    assert [line.split()[2] for line in lines] == ['True', 'False', 'True', 'False', 'False']
    assert 'loosened' in lines[1] and 'loosened' in lines[3]


@pytest.mark.parametrize(('change', 'words'), [
    ({'goals': [{'position_m': [3.0, 0.0, 0.4]}]}, 'reach'),
    ({'goals': [{'position_m': [float('nan'), 0.0, 0.4]}]}, 'goal'),
    ({'obstacles': [{'shape': 'sphere', 'size_m': [0.2], 'position_m': [0.5, 0.0, 0.4],
                     'quaternion': [0.0, 0.0, 0.0, 1.0], 'velocity_m_s': [0.0, 0.0, 0.0]}]},
     'collision'),
    ({'start_rad': [9.0] * 7}, 'limits'),
    ({'goals': None}, 'goals'),
    ({'goals': []}, 'no goal'),
])
def test_bad_scenes_are_refused_before_anything_moves(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    file = tmp_path / 'scene.yaml'
    file.write_text(yaml.safe_dump({**SCENE, **change}))
    run = run_demo(tmp_path / 'runs', 122, '--scene', str(file))
    assert run.exit_code == 2, run.text
    assert words in run.stderr and 'Traceback' not in run.text
    assert run.summary is None


@pytest.mark.parametrize(('text', 'words'), [
    ('tracker: {ros__parameters: {rate_hz: .nan}}', 'rate_hz'),
    ('tracker: {ros__parameters: {rate_hz: fast}}', 'rate_hz'),
    ('tracker: {ros__parameters: {no_such: 1}}', 'no_such'),
    ('tracker: [', 'YAML'),
    ('tracker: {ros__parameters: {joint_names: [a, b]}}', 'joint_names'),
    ('tracker: {ros__parameters: {robot: nobody}}', 'nobody'),
])
def test_bad_parameter_files_refuse_the_node(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / 'params.yaml'
    file.write_text(text)
    done = subprocess.run(
        [sys.executable, '-m', 'diffusion_control.nodes.tracker', '--ros-args', '--params-file',
         str(file)], env=environment(123), capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stdout + done.stderr
    assert 'Traceback' not in done.stdout + done.stderr
