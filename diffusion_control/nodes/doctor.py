# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control doctor`: the offline checks, then a look at the running ROS graph."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator

from diffusion_control.doctor import Finding, check_host, check_robot, check_software
from diffusion_control.errors import DiffusionControlError

PLANS = ('planner/plan', 'fallback/plan', 'tracker/motion')
WATCHED = ('joint_states', 'odom', 'scan', 'map', 'map_to_odom', 'obstacles', 'goal_pose',
           'goal_joints', 'emergency_stop', *PLANS, 'planner/confidence', 'planner/report',
           'safety/state', 'safety/mode', 'safety/status')
SLOW_HZ, SLOW_ODOM_HZ = 50.0, 25.0


def examine(robot_config: str, listen_s: float) -> list[Finding]:
    """Return all findings; without rclpy the graph is left out.

    Args:
        robot_config: A name from `config/robots`, or a path.
        listen_s: Time to look at the ROS graph [s]; 0 leaves it out.
    """
    findings = [*check_host(), *check_software(), *check_robot(robot_config)]
    broken = any(f.level == 'error' and f.check in ('ROS 2', 'security', 'domain')
                 for f in findings)
    if listen_s > 0 and not broken:
        findings += _graph(robot_config, listen_s)
    return findings


def _graph(robot_config: str, listen_s: float) -> list[Finding]:
    """Join the graph under a name of its own, listen, and look around."""
    import rclpy
    from nav_msgs.msg import Odometry
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.utilities import get_rmw_implementation_identifier
    from sensor_msgs.msg import JointState

    from diffusion_control.nodes.graph import StateListener

    context = Context()
    rclpy.init(args=[], context=context)
    node = rclpy.create_node('diffusion_control_doctor', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    base = _kind(robot_config) == 'base'
    listener = StateListener(
        node, Odometry if base else JointState, 'odom' if base else 'joint_states')
    try:
        end = time.monotonic() + listen_s
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.05)
        findings = [Finding('middleware', 'ok', get_rmw_implementation_identifier())]
        findings += _nodes(node)
        findings += _topics(node, _command_topic(robot_config))
        findings += (_odometry if base else _states)(listener, robot_config, listen_s)
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
    return findings


def _command_topic(robot_config: str) -> str:
    from diffusion_control import robots

    try:
        return str(robots.load(robot_config).controller.command_topic)
    except DiffusionControlError:
        return ''


def _kind(robot_config: str) -> str:
    from diffusion_control import robots

    try:
        return robots.kind_of(robot_config)
    except DiffusionControlError:
        return ''


def _nodes(node: object) -> Iterator[Finding]:
    """Say which of our nodes run, and whether a name is taken twice."""
    from diffusion_control.nodes.graph import OURS, named

    ours = named(node, OURS)
    if not ours:
        yield Finding('nodes', 'absent', 'none of this package is running')
        return
    twice = [name for name, count in Counter(ours).items() if count > 1]
    if twice:
        yield Finding(
            'nodes', 'error', f'running twice: {", ".join(twice)}',
            'stop one of them, or give it another namespace or ROS_DOMAIN_ID')
    else:
        yield Finding('nodes', 'ok', ', '.join(ours))


def _topics(node: object, command: str) -> Iterator[Finding]:
    """Look for extra publishers, clashing types and clashing quality of service."""
    from diffusion_control.nodes.graph import mismatches, topic_types, used_by_others, writers

    types = topic_types(node)
    watched = [topic for topic in types
               if any(topic.endswith(f'/{name}') for name in (*WATCHED, command) if name)
               and used_by_others(node, topic)]
    for topic in watched:
        if len(types[topic]) > 1:
            yield Finding(
                'types', 'error', f'{topic} has {" and ".join(types[topic])}',
                'let both sides use one type; they do not hear each other')
        for problem in mismatches(node, topic):
            yield Finding(
                'QoS', 'error', f'{topic}: {problem}',
                'request no more than is offered (reliability, durability, deadline, liveliness)')
        who = writers(node, topic)
        if len(who) > 1 and command and topic.endswith(f'/{command}'):
            yield Finding(
                'command', 'error', f'{topic} is written by {", ".join(who)}',
                'only safety may write the command: stop the others')
        elif len(who) > 1 and any(topic.endswith(f'/{plan}') for plan in PLANS):
            yield Finding(
                'plans', 'warn', f'{topic} is written by {", ".join(who)}',
                'one planner for each robot: stop the others, or use namespaces')
    if watched:
        yield Finding('topics', 'ok', f'{len(watched)} of ours looked at')


def _states(listener: object, robot_config: str, listen_s: float) -> Iterator[Finding]:
    """Compare the joint states that arrive with the robot file."""
    from diffusion_control import robots
    from diffusion_control.nodes.graph import StateListener

    assert isinstance(listener, StateListener)
    if listener.last is None:
        yield Finding('joint states', 'absent', f'none in {listen_s:g} s: no robot is running')
        return
    try:
        wanted = tuple(robots.load_arm(robot_config).joint_names)
    except DiffusionControlError:
        return
    missing = [name for name in wanted if name not in listener.last.name]
    rate = listener.count / listen_s
    detail = f'{rate:.0f} Hz of {", ".join(listener.last.name)}'
    if missing:
        yield Finding(
            'joint states', 'error', f'{detail}; without {", ".join(missing)}',
            'choose the robot file of this robot, or set joint_names', code=2)
    elif not all(math.isfinite(value) for value in listener.last.position):
        yield Finding('joint states', 'error', f'{detail}; a position is not finite',
                      'look at the driver of the robot')
    elif rate < SLOW_HZ:
        yield Finding('joint states', 'warn', detail,
                      f'raise the rate of the joint state broadcaster to {SLOW_HZ:g} Hz or more')
    else:
        yield Finding('joint states', 'ok', detail)


def _odometry(listener: object, robot_config: str, listen_s: float) -> Iterator[Finding]:
    """Compare the odometry that arrives with the robot file."""
    from diffusion_control import robots
    from diffusion_control.nodes.graph import StateListener

    assert isinstance(listener, StateListener)
    if listener.last is None:
        yield Finding('odometry', 'absent', f'none in {listen_s:g} s: no robot is running')
        return
    robot = robots.load_base(robot_config)
    frames = (listener.last.header.frame_id, listener.last.child_frame_id)
    rate = listener.count / listen_s
    detail = f'{rate:.0f} Hz of {frames[1]} in {frames[0]}'
    if any(name not in ('', wanted) for name, wanted in zip(
            frames, (robot.base_frame, robot.body_frame), strict=True)):
        yield Finding(
            'odometry', 'error', f'{detail}; not {robot.body_frame} in {robot.base_frame}',
            'name its frames in the robot file (odom_frame, body_frame)', code=2)
    elif rate < SLOW_ODOM_HZ:
        yield Finding(
            'odometry', 'warn', detail,
            f'raise the rate of the odometry to {SLOW_ODOM_HZ:g} Hz or more, or '
            'safety.state.stale_s')
    else:
        yield Finding('odometry', 'ok', detail)
