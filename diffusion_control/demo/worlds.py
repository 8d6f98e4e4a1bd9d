# SPDX-License-Identifier: Apache-2.0
"""Where a demo takes place: the robot, and its scene, of either kind, checked before it begins."""

from __future__ import annotations

from diffusion_control import robots, simulation
from diffusion_control.demo.options import DemoOptions
from diffusion_control.errors import ConfigurationError


def robot_of(options: DemoOptions) -> robots.Arm | robots.Base:
    """Return the robot that was asked for.

    Raises:
        ConfigurationError: No such robot, or one of the other kind.
    """
    robot = robots.load(options.robot_name)
    if robot.kind != options.robot:
        raise ConfigurationError(
            f'{robot.name} is of kind {robot.kind}', where='--robot-config',
            value=options.robot_name, allowed=f'a robot file of kind {options.robot}',
            remedy=f'add --robot {robot.kind}')
    return robot


def scene_of(options: DemoOptions, robot: robots.Arm | robots.Base) -> simulation.Scene:
    """Return the scene of the options, that can be played at all.

    Raises:
        ConfigurationError: A bad file, or a goal that cannot be reached.
    """
    where = str(options.scene or options.layout or 'scene')
    scene = _base_scene(options, robot) if isinstance(robot, robots.Base) else (
        _arm_scene(options, robot))
    scene.check(robot, where)
    check_goals(robot, scene, where)
    return scene


def _arm_scene(options: DemoOptions, robot: robots.Arm) -> simulation.Scene:
    from diffusion_control.evaluation.demo_scene import demo_scene
    if options.scene:
        return simulation.load_scene(options.scene)
    return demo_scene(robot, options.seed)


def _base_scene(options: DemoOptions, robot: robots.Base) -> simulation.Scene:
    raise NotImplementedError(robot.name)


def check_goals(
    robot: robots.Arm | robots.Base, scene: simulation.Scene, where: str
) -> None:
    """Refuse a scene whose goals cannot be reached at all, before anything moves.

    Raises:
        ConfigurationError: There is no goal, no configuration reaches one, or every one of them
            is in collision with what stands in the scene.
    """
    from diffusion_control.planners.goal_check import check_goal
    scene.require_goal(where)
    standing = tuple(o for o in scene.obstacles if not o.velocity_m_s.any())
    for index, goal in enumerate(scene.goals):
        check_goal(robot, goal, standing, where=f'{where}: goals[{index}]')
