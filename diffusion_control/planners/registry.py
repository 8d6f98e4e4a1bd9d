# SPDX-License-Identifier: Apache-2.0
"""Planners and fallbacks by name, loaded when they are asked for."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from diffusion_control.errors import require_known
from diffusion_control.planners.parameters import refuse_model
from diffusion_control.planners.protocol import Planner

PLANNER_GROUP = 'diffusion_control.planners'
FALLBACK_GROUP = 'diffusion_control.fallbacks'
_HERE = 'diffusion_control.planners'
PLANNERS: dict[str, str] = {
    'diffuser': f'{_HERE}.diffuser:DiffuserPlanner',
    'safediffuser': f'{_HERE}.safe_diffuser:SafeDiffuserPlanner',
    'safediffuser_ros': f'{_HERE}.safe_diffuser:ArmRobust',
    'safediffuser_res': f'{_HERE}.safe_diffuser:ArmRelaxed',
    'safediffuser_tvs': f'{_HERE}.safe_diffuser:ArmTimeVarying',
    'hybrid': f'{_HERE}.hybrid:HybridPlanner',
    'training_free': f'{_HERE}.training_free:TrainingFreePlanner',
    'multi_start': f'{_HERE}.multi_start:MultiStartPlanner',
    'mppi': f'{_HERE}.mppi:MppiPlanner',
    'cem': f'{_HERE}.cem:CemPlanner',
    'straight_line': f'{_HERE}.straight_line:StraightLinePlanner',
    'random': f'{_HERE}.random_spline:RandomPlanner',
    'rrt_connect': f'{_HERE}.rrt_connect:RrtConnectPlanner',
}
BASE_PLANNERS: dict[str, str] = {
    'diffuser': f'{_HERE}.base.map_diffuser:BaseDiffuser',
    'safediffuser': f'{_HERE}.base.map_diffuser:BaseSafeDiffuser',
    'hierarchical': f'{_HERE}.base.map_diffuser:BaseHierarchical',
    'training_free': f'{_HERE}.base.training_free:BaseTrainingFree',
    'astar+training_free': f'{_HERE}.base.astar_training_free:BaseAstarTrainingFree',
    'straight_line': f'{_HERE}.base.straight_line:BaseStraightLine',
    'astar': f'{_HERE}.base.astar:BaseAstar',
    'value_iteration': f'{_HERE}.base.value_iteration:BaseValueIteration',
    'mppi': f'{_HERE}.base.mppi:BaseMppi',
    'cem': f'{_HERE}.base.cem:BaseCem',
    'ilqr': f'{_HERE}.base.ilqr:BaseIlqr',
    'random': f'{_HERE}.base.random_shooting:BaseRandom',
}
POINT_PLANNERS: dict[str, str] = {
    'diffuser': f'{_HERE}.point_mass.diffuser:PointDiffuser',
    'safediffuser': f'{_HERE}.point_mass.safediffuser:PointSafeDiffuser',
    'safediffuser_ros': f'{_HERE}.point_mass.safediffuser:PointRobust',
    'safediffuser_res': f'{_HERE}.point_mass.safediffuser:PointRelaxed',
    'safediffuser_tvs': f'{_HERE}.point_mass.safediffuser:PointTimeVarying',
    'hierarchical': f'{_HERE}.point_mass.hierarchical:PointHierarchical',
    'straight_line': f'{_HERE}.point_mass.straight_line:PointStraightLine',
    'astar': f'{_HERE}.point_mass.astar:PointAstar',
}
FALLBACKS: dict[str, str] = {
    'classical': f'{_HERE}.fallback.classical:ClassicalFallback',
    'retreat': f'{_HERE}.fallback.retreat:RetreatFallback',
    'hold': f'{_HERE}.fallback.hold:HoldFallback',
    'training_free': f'{_HERE}.fallback.slow_training_free:SlowTrainingFreeFallback',
}
BASE_FALLBACKS: dict[str, str] = {
    'classical': f'{_HERE}.base.classical:BaseClassicalFallback',
    'retreat': f'{_HERE}.base.retreat:BaseRetreat',
    'hold': f'{_HERE}.base.hold:BaseHold',
    'training_free': f'{_HERE}.base.slow_training_free:BaseSlowTrainingFree',
}
OTHERS: dict[str, dict[str, dict[str, str]]] = {
    PLANNER_GROUP: {'base': BASE_PLANNERS, 'point_mass': POINT_PLANNERS},
    FALLBACK_GROUP: {'base': BASE_FALLBACKS, 'point_mass': {}},
}
"""What stands behind a name where the robot is no arm, by its kind."""
GIVEN = ('seed', 'clock')
"""Arguments of a planner that are no parameters."""


def table(group: str, built_in: dict[str, str]) -> dict[str, str]:
    """Return name -> `module:Class`: the built-in ones, and those of installed packages."""
    found = {point.name: point.value for point in entry_points(group=group)}
    for names in (*reversed(OTHERS[group].values()), built_in):
        found |= names
    return found


def planner_class(
    kind: str, group: str, built_in: dict[str, str], name: str, robot_kind: str = ''
) -> Any:
    """Return the class behind a name for a kind of robot.

    Raises:
        ConfigurationError: The name is unknown, or none for this kind of robot; the message
            lists the known ones.
    """
    known = known_to(group, built_in, robot_kind)
    require_of(kind, name, known, table(group, built_in), robot_kind, f'{kind}.type')
    module, _, attribute = known[name].partition(':')
    return getattr(import_module(module), attribute)


def known_to(group: str, built_in: dict[str, str], robot_kind: str) -> dict[str, str]:
    """Return `table` for a kind of robot: its own and installed ones; all of no such kind."""
    every, own = table(group, built_in), {'arm': built_in, **OTHERS[group]}.get(robot_kind)
    if own is None:
        return every
    others = set(built_in).union(*OTHERS[group].values()) - set(own)
    return {name: value for name, value in {**every, **own}.items() if name not in others}


def require_of(
    kind: str, name: str, known: Iterable[str], every: Iterable[str], robot_kind: str, where: str
) -> None:
    """Raise a ConfigurationError unless a name is known; a name of another robot is told so."""
    what = f'unknown {kind}'
    if name in every:
        what = f'{kind} {name} is not for a robot of kind {robot_kind}'
    require_known(what, where, name, sorted(known))


def require_planner(name: str, robot_kind: str, also: Iterable[str] = ()) -> None:
    """Raise a ConfigurationError unless `--planner` names one for a kind of robot, or `also`."""
    require_of('planner', name, (*also, *available(robot_kind)), available(), robot_kind,
               '--planner')


def available(robot_kind: str = '') -> list[str]:
    """Return the names of all planners, or of those for a kind of robot."""
    return sorted(known_to(PLANNER_GROUP, PLANNERS, robot_kind))


def make(name: str, *, robot: Any, model: Any = None, seed: int = 0, **params: Any) -> Planner:
    """Return a planner by name.

    Args:
        name: One of `available()`.
        robot: The robot it plans for.
        model: Directory of a trained model; the planners without training take none.
        seed: Seed of its random numbers.
        **params: Parameters of that planner.

    Raises:
        ConfigurationError: Unknown name, unknown parameter, or a value outside its range.
    """
    kind = planner_class(
        'planner', PLANNER_GROUP, PLANNERS, name, getattr(robot, 'kind', ''))
    if model is not None:
        params['model'] = model
    planner: Planner = kind(robot, seed=seed, **params)
    return planner


def clocked(name: str, clock: Callable[[], float], robot_kind: str) -> dict[str, Any]:
    """Return a clock as an argument of `make`, nothing for a planner that is not told one."""
    kind = planner_class('planner', PLANNER_GROUP, PLANNERS, name, robot_kind)
    own = inspect.signature(kind).parameters
    above = getattr(kind, '__mro__', ())[1:-1]
    passed_on = any(item.kind is inspect.Parameter.VAR_KEYWORD for item in own.values()) and any(
        'clock' in inspect.signature(part).parameters for part in above)
    return {'clock': clock} if 'clock' in own or passed_on else {}


def parameters_of(name: str, robot_kind: str) -> tuple[str, ...]:
    """Return the names of a planner's parameters, and of what else it can be told by name.

    They are the fields of `parameters_type`; of a class without one, its keyword arguments.

    Raises:
        ConfigurationError: The name is unknown, or none for this kind of robot.
    """
    kind = planner_class('planner', PLANNER_GROUP, PLANNERS, name, robot_kind)
    own = getattr(kind, 'parameters_type', None)
    if own is None:
        arguments = inspect.signature(kind).parameters.values()
        return tuple(item.name for item in arguments if item.kind is inspect.Parameter.KEYWORD_ONLY
                     and item.name not in GIVEN)
    return tuple(field.name for field in dataclasses.fields(own)) + tuple(
        getattr(kind, 'options', ()))


def settings_for(name: str, settings: Mapping[str, Any], robot_kind: str) -> dict[str, Any]:
    """Return what of the planner node's parameters a planner takes; 0 and '' are its own defaults.

    Raises:
        ConfigurationError: Unknown name, or none for this kind of robot; a model for a planner
            that takes none.
    """
    known = parameters_of(name, robot_kind)
    if 'model' not in known:
        refuse_model(name, settings.get('model'))
    return {key: settings[key] for key in known
            if key in settings and (settings[key] or settings[key] is False)}


def available_fallbacks() -> list[str]:
    """Return the names of all fallbacks."""
    return sorted(table(FALLBACK_GROUP, FALLBACKS))


def make_fallback(name: str, *, robot: Any, seed: int = 0, **params: Any) -> Planner:
    """Return a fallback by name; arguments and errors as in `make`."""
    kind = planner_class(
        'fallback', FALLBACK_GROUP, FALLBACKS, name, getattr(robot, 'kind', ''))
    fallback: Planner = kind(robot, seed=seed, **params)
    return fallback
