# SPDX-License-Identifier: Apache-2.0
"""Simulator, tracker, monitor and admission of a closed loop, as their nodes make them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from diffusion_control import parameters, safety, tracking
from diffusion_control.evaluation.base.pusher import BasePusher
from diffusion_control.evaluation.ideal import IdealSimulation, IdealTracker
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base
from diffusion_control.safety import SafetyMonitor, SafetyParameters
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.scene import Scene
from diffusion_control.simulation.simulation import Simulation
from diffusion_control.tracking.admission import PlanAdmission
from diffusion_control.tracking.protocol import Tracker
from diffusion_control.trajectory.pusher import Pusher

ANY_JUMP = {'position_jump_rad': 10.0, 'velocity_jump_rad_s': 100.0}


def simulation_of(
    robot: Arm, scene: Scene, plant: str | Plant, *, ideal: bool, wander_seed: int | None = None
) -> Simulation:
    """Return the simulator, or one without physics for ideal tracking."""
    kind = IdealSimulation if ideal else Simulation
    name = 'nominal' if ideal else plant
    return kind(
        robot, scene=scene, plant=Plant.make(name, seed=scene.seed, links=robot.dof),
        seed=scene.seed, record=True, wander_seed=wander_seed)


def pusher_of(robot: Arm | Base, start_after_s: float) -> Pusher | BasePusher:
    """Return what makes motions towards a velocity, or a twist of a base."""
    if isinstance(robot, Base):
        return BasePusher(robot, start_after_s=start_after_s)
    return Pusher(robot.limits, start_after_s=start_after_s)


def tracker_of(robot: Arm | Base, name: str, *, ideal: bool) -> Tracker:
    """Return the tracker with the parameters that its node gives it."""
    if ideal:
        return IdealTracker(robot)
    settings = parameters.defaults('tracker')
    names = ('warm_start', 'braking_fraction', 'command_delay_s', 'observer')
    chosen: dict[str, Any] = {
        key: value for key, value in settings.items()
        if key.startswith('mpc.') or key in names}
    return tracking.make(name, robot=robot, **tracking.settings_for(robot.kind, chosen))


def monitor_of(robot: Arm | Base, fallback: str, **tighter: Any) -> SafetyMonitor:
    """Return the safety monitor with the parameters that its node gives it, but for some."""
    known = {field.name for field in fields(SafetyParameters)}
    chosen: dict[str, Any] = {
        name: value for name, value in parameters.defaults('safety').items()
        if name.replace('.', '_') in known}
    return safety.make(robot, **{**chosen, 'fallback_type': fallback, **tighter})


def admission_of(robot: Arm | Base, *, naive: bool) -> PlanAdmission:
    """Return the admission of plans; a naive one takes them wherever the robot is."""
    return PlanAdmission(robot, **(ANY_JUMP if naive else {}))
