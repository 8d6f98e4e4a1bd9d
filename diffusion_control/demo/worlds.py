# SPDX-License-Identifier: Apache-2.0
"""Where a demo takes place: the robot, and its scene, of either kind, checked before it begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control import robots, simulation
from diffusion_control.demo.options import DemoOptions
from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.planar import yaw_of

Array = NDArray[np.float64]


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
    scene.require_goal(where)
    if isinstance(robot, robots.Base):
        check_places(robot, scene, where)
        if options.scene:  # all other worlds are made with a way to each goal
            check_ways(robot, scene, where)
    else:
        check_goals(robot, scene, where)
    return scene


def _arm_scene(options: DemoOptions, robot: robots.Arm) -> simulation.Scene:
    from diffusion_control.evaluation.demo_scene import demo_scene
    if options.scene:
        return simulation.load_scene(options.scene)
    return demo_scene(robot, options.seed)


def _base_scene(options: DemoOptions, robot: robots.Base) -> simulation.Scene:
    from diffusion_control.evaluation.base.chosen_world import chosen_world
    return chosen_world(robot, scene=options.scene, layout=options.layout, seed=options.seed)


def check_goals(robot: robots.Arm, scene: simulation.Scene, where: str) -> None:
    """Refuse a scene whose goals cannot be reached at all, before anything moves.

    Raises:
        ConfigurationError: No configuration reaches a goal, or every one of them is in collision
            with what stands in the scene.
    """
    from diffusion_control.evaluation.scene_geometry import standing
    from diffusion_control.planners.goal_check import check_goal
    for index, goal in enumerate(scene.goals):
        check_goal(robot, goal, standing(scene.obstacles), where=f'{where}: goals[{index}]')


def check_places(robot: robots.Base, scene: simulation.Scene, where: str) -> None:
    """Refuse a start or a goal at which the footprint meets a wall or what stands in the scene.

    At the start nothing has moved yet: what moves counts there, too.

    Raises:
        ConfigurationError: With the place and what is allowed.
    """
    from diffusion_control.evaluation.scene_geometry import standing
    from diffusion_control.simulation.layout import occupancy_map
    walls = occupancy_map(scene)
    still = robot.pack(standing(scene.obstacles), map=walls)
    places = [('start_rad', [np.asarray(scene.start_rad, dtype=float)],
               robot.pack(scene.obstacles, map=walls))]
    places += [(f'goals[{k}]', poses_of(goal), still) for k, goal in enumerate(scene.goals)]
    for name, poses, around in places:
        best = max(min(robot.collision.clearance(pose, around)) for pose in poses)
        if best <= 0.0:
            raise ConfigurationError(
                'the footprint does not fit here', where=f'{where}: {name}',
                value=[round(float(x), 3) for x in poses[0][:2]],
                allowed=f'a place with room around it; {-best:.3f} m are missing',
                remedy='move it away from walls and obstacles')


def check_ways(robot: robots.Base, scene: simulation.Scene, where: str) -> None:
    """Refuse a goal to which no way leads from the start, past walls and what stands.

    On a grid of 10 cm, for the footprint's narrowest disc and a cell less: what is refused here
    is surely closed.

    Raises:
        ConfigurationError: With the goal.
    """
    from diffusion_control.evaluation.base.free_space import GRID_M, FreeSpace
    from diffusion_control.evaluation.scene_geometry import standing
    if not scene.layout:
        return
    floor = FreeSpace.of(scene, standing(scene.obstacles))
    narrowest_m = max(float(robot.collision.radius.min()) - GRID_M, 0.01)
    lengths, _ = floor.ways(np.asarray(scene.start_rad, dtype=float)[:2], narrowest_m)
    for index, goal in enumerate(scene.goals):
        place = poses_of(goal)[0][:2]
        if not np.isfinite(lengths[floor.node(place)]):
            raise ConfigurationError(
                'no way leads from the start to a goal', where=f'{where}: goals[{index}]',
                value=place.tolist(), allowed='a place that the base can drive to',
                remedy='open the walls between, or move the goal')


def poses_of(goal: robots.Goal) -> list[Array]:
    """Return the poses x, y, yaw that fulfil a goal; eight where the yaw is free."""
    if goal.position_m is None:
        return [np.asarray(goal.joints_rad, dtype=float)]
    yaws = (np.linspace(0.0, 2.0 * np.pi, 8, endpoint=False) if goal.quaternion is None
            else [yaw_of(goal.quaternion)])
    return [np.array([*goal.position_m[:2], yaw]) for yaw in yaws]
