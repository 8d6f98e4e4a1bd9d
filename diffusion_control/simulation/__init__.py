# SPDX-License-Identifier: Apache-2.0
"""MuJoCo scenes, the controller emulators, disturbances, ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from diffusion_control.errors import MissingDependencyError
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.scene import Scene
from diffusion_control.simulation.scene_file import dump_scenes, load_scene, load_scenes

if TYPE_CHECKING:
    from diffusion_control.robots.arm import Arm
    from diffusion_control.robots.base import Base
    from diffusion_control.simulation.base.simulation import BaseSimulation
    from diffusion_control.simulation.simulation import Simulation

__all__ = ['Plant', 'Scene', 'dump_scenes', 'load_scene', 'load_scenes', 'make']


@overload
def make(  # noqa: D418
    robot: Arm, *, scene: Scene | str | Path | None = ..., plant: Plant | str | Path = ...,
    seed: int = ..., profile: str | None = ..., spare: tuple[Obstacle, ...] = ...,
    record: bool | str | Path = ..., wander_seed: int | None = ...,
) -> Simulation:
    """Return the simulation of an arm."""


@overload
def make(  # noqa: D418
    robot: Base, *, scene: Scene | str | Path | None = ..., plant: Plant | str | Path = ...,
    seed: int = ..., profile: str | None = ..., spare: tuple[Obstacle, ...] = ...,
    record: bool | str | Path = ..., wander_seed: int | None = ...,
    receiver_timeout_s: float | None = ...,
) -> BaseSimulation:
    """Return the simulation of a base."""


def make(
    robot: Arm | Base,
    *,
    scene: Scene | str | Path | None = None,
    plant: Plant | str | Path = 'default',
    seed: int = 0,
    profile: str | None = None,
    **options: Any,
) -> Simulation | BaseSimulation:
    """Return a simulation that stands at the scene's start at time 0.

    Args:
        robot: The nominal robot.
        scene: A scene, a YAML file of one, or None for an empty one at the robot's home.
        plant: `default` (drawn by `seed`), `nominal`, a YAML file, or a plant.
        seed: Seed of the default plant, of noise and of losses.
        profile: Receiver: `jtc`, `forward_position`, `forward_velocity`, `isaac`, `gz` of an
            arm, `diff_drive` of a base; None for the first one.
        **options: Of every kind: `spare` (further obstacles that are not there until
            `place_obstacle` puts them somewhere), `record` (folder for `truth.npz`, True to keep
            the truth in memory), `wander_seed` (movers turn at random). Of a base:
            `receiver_timeout_s`.

    Raises:
        ConfigurationError: For a bad scene, plant, profile or robot description.
        MissingDependencyError: If MuJoCo is not installed.
    """
    try:
        from diffusion_control.simulation.base.simulation import BaseSimulation
        from diffusion_control.simulation.simulation import Simulation
    except ModuleNotFoundError as error:
        if error.name != 'mujoco':
            raise
        raise MissingDependencyError(
            'the simulator needs MuJoCo', where='simulation.make', value=str(error),
            remedy="pip install 'diffusion_control[sim]'") from error
    if scene is None:
        scene = Scene.empty(robot)
    elif not isinstance(scene, Scene):
        scene = load_scene(scene)
    options |= {'scene': scene, 'seed': seed,
                'plant': Plant.make(plant, seed=seed, links=robot.dof)}
    if robot.kind == 'base':
        return BaseSimulation(robot, profile=profile or 'diff_drive', **options)  # type: ignore[arg-type]
    return Simulation(robot, profile=profile or 'jtc', **options)  # type: ignore[arg-type]
