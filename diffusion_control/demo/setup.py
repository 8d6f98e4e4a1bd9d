# SPDX-License-Identifier: Apache-2.0
"""What a run needs before its processes start: scene, plant, one parameter file for all nodes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diffusion_control import parameters, planners, simulation
from diffusion_control.demo.options import DemoOptions, check_choice
from diffusion_control.demo.worlds import robot_of, scene_of
from diffusion_control.doctor.host import fifo_permitted
from diffusion_control.evaluation.host import command_line, commit_of_code
from diffusion_control.evaluation.run_folder import RunFolder
from diffusion_control.launching import RECEIVERS as ARM_RECEIVERS
from diffusion_control.nodes.neighbours import alone_in_domain
from diffusion_control.planners.models import resolve
from diffusion_control.planners.registry import require_planner
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base
from diffusion_control.simulation.plant import Plant

NODES = ('planner', 'fallback', 'tracker', 'safety', 'simulator')
PLANS_UNALTERED = 'planner/plan_unaltered'
FIFO_PRIORITY, RECORDER_PRIORITY, URGENT_NICE = 50, 20, -10


@dataclass(frozen=True)
class Receiver:
    """The emulated receiver of an output type: simulator profile and command topic."""

    profile: str
    topic: str


RECEIVERS = {
    **{message: Receiver(profile, topic)
       for profile, (message, topic) in ARM_RECEIVERS.items() if profile != 'gz'},
    'twist_stamped': Receiver('diff_drive', ''),
    'twist': Receiver('diff_drive', ''),
}
ODOM_RATE_HZ = 100.0


@dataclass(frozen=True)
class Setup:
    """Everything a run was started with.

    Attributes:
        options: What was asked.
        robot: The robot.
        plant: The plant that the simulator gets.
        folder: The run's folder.
        settings: node -> parameter -> value, complete.
        command_topic: Topic of the command.
        command_type: Its message.
        commit: Version of the code.
        command: The command line.
    """

    options: DemoOptions
    robot: Arm | Base
    plant: Plant
    folder: RunFolder
    settings: dict[str, dict[str, Any]]
    command_topic: str
    command_type: str
    commit: str
    command: str

    @property
    def params_file(self) -> str:
        """The parameter file of all nodes."""
        return str(self.folder.params_yaml.resolve())


def prepare(options: DemoOptions) -> Setup:
    """Check the options, make the run's folder, write scene and parameters.

    Raises:
        ConfigurationError: Unknown robot, planner or fallback, a bad scene or plant; another run
            in the same ROS domain.
    """
    robot = robot_of(options)
    options = replace(
        options, robot_config=options.robot_name, planner=resolve(options.planner, robot))
    require_planner(options.planner, robot.kind)
    if 'model' in planners.parameters_of(options.planner, robot.kind) or robot.kind == 'base':
        planners.make(options.planner, robot=robot)  # one that cannot run is refused here
    check_choice('--fallback', options.fallback, tuple(planners.available_fallbacks()))
    plant = Plant.make(options.plant, seed=options.seed, links=robot.dof)
    plant.check(robot.dof)
    scene = scene_of(options, robot)
    with alone_in_domain():
        robot.collision.warm_up()
    folder = RunFolder.create(options.out)
    scene_file = folder.path / 'scene.yaml'
    simulation.dump_scenes([scene], scene_file)
    command_type = options.output_type or robot.controller.command_type
    receiver = RECEIVERS[command_type]
    topic = receiver.topic or robot.controller.command_topic
    settings = node_settings(options, robot, folder.path, scene_file, topic, command_type)
    folder.write_params({
        name: {'ros__parameters': {**values, 'use_sim_time': options.use_sim_time
                                   and name not in ('simulator', 'recorder')}}
        for name, values in settings.items()})
    return Setup(
        options, robot, plant, folder, settings, topic, command_type, commit_of_code(),
        command_line())


def node_settings(
    options: DemoOptions, robot: Arm | Base, folder: Path, scene_file: Path, topic: str, kind: str
) -> dict[str, dict[str, Any]]:
    """Return the complete, validated parameters of every node.

    The loops of tracker, safety and simulated robot get SCHED_FIFO where the machine permits it,
    as the controller manager of ros2_control does; elsewhere the normal scheduler. The recorder
    gets a lower one, so that the times at which it receives are those of arrival. The
    middleware's threads of all four are put before strangers by their niceness.
    """
    config = Path(options.robot_config)
    name = str(config.resolve()) if config.is_file() else options.robot_config
    rate = parameters.defaults('planner')['rate_hz']
    plant = options.plant
    permitted = fifo_permitted(FIFO_PRIORITY)
    nice = {'real_time.nice': URGENT_NICE if permitted else 0}
    urgent = {'real_time.fifo_priority': FIFO_PRIORITY if permitted else 0, **nice}
    given: dict[str, dict[str, Any]] = {
        'planner': {'type': options.planner, 'seed': options.seed},
        'fallback': {'type': options.fallback, 'seed': options.seed},
        'tracker': urgent,
        'safety': {
            'planner_rate_hz': rate, 'fallback_type': options.fallback,
            'command_out_topic': topic, 'command_out_type': kind, **urgent},
        'simulator': {
            'scene': str(scene_file.resolve()), 'seed': options.seed,
            'profile': RECEIVERS[kind].profile, 'command_topic': topic,
            'out': str(folder.resolve()), 'real_time_factor': options.real_time_factor,
            'publish_clock': options.use_sim_time,
            'plant.preset': str(Path(plant).resolve()) if Path(plant).is_file() else plant,
            **({'command_type': kind, 'joint_states_rate_hz': ODOM_RATE_HZ}
               if robot.kind == 'base' else {}),
            **urgent},
        'recorder': {
            'real_time.fifo_priority': RECORDER_PRIORITY if permitted else 0, **nice,
            'out': str(folder.resolve()), 'command_topic': topic, 'command_type': kind,
            'metadata': json.dumps({
                'commit': commit_of_code(), 'inject': [i.name for i in options.inject],
                'profile': RECEIVERS[kind].profile,
                **({'receiver_timeout_s': robot.receiver_timeout_s}
                   if isinstance(robot, Base) else {})})},
    }
    return {
        node: {key: list(value) if isinstance(value, tuple) else value
               for key, value in parameters.validate(node, {'robot': name, **values}).items()}
        for node, values in given.items()}

