# SPDX-License-Identifier: Apache-2.0
"""Scenes from and to YAML: one scene or a list of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml

from diffusion_control.errors import ConfigurationError, moved
from diffusion_control.robots.fields import Fields, as_array
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import SHAPE_CODE, SIZE_LENGTH, Obstacle
from diffusion_control.simulation.scene import TIERS, Scene

LAYOUT_KEYS = ('layout', 'layout_cell_m', 'layout_origin_m')
KNOWN = ('seed', 'obstacles', 'start_rad', 'goals', 'tier', *LAYOUT_KEYS)
Value = TypeVar('Value')


def load_scenes(path: str | Path) -> tuple[Scene, ...]:
    """Return the scenes of a YAML file, which holds one scene or a list of them.

    Raises:
        ConfigurationError: With the file, the path inside it, the value and what is allowed.
    """
    content = read_yaml(path, 'scene')
    if not isinstance(content, list):
        return (_scene(content, str(path)),)
    if not content:
        raise ConfigurationError(
            'the scene file holds no scene', where=str(path), allowed='at least one scene')
    return tuple(_scene(item, f'{path}: [{k}]') for k, item in enumerate(content))


def load_scene(path: str | Path) -> Scene:
    """Return the one scene of a YAML file, also from a list of one.

    Raises:
        ConfigurationError: As `load_scenes`, and for a list of several.
    """
    scenes = load_scenes(path)
    if len(scenes) != 1:
        raise ConfigurationError(
            'the file holds several scenes', where=str(path), value=len(scenes),
            allowed='one scene, or a list of one', remedy='split the file, or use --scenes')
    return scenes[0]


def dump_scenes(scenes: Sequence[Scene], path: str | Path) -> None:
    """Write scenes as a YAML list that `load_scenes` reads back without loss."""
    text = yaml.safe_dump([scene_mapping(s) for s in scenes], sort_keys=False,
                          default_flow_style=None, width=99)
    temporary = Path(f'{path}.tmp')
    temporary.write_text(text, encoding='utf-8')
    os.replace(temporary, path)


def scene_mapping(scene: Scene) -> dict[str, Any]:
    """Return a scene as the mapping of its YAML form."""
    mapping: dict[str, Any] = {
        'seed': scene.seed,
        'obstacles': [{
            'shape': o.shape, 'size_m': [float(s) for s in o.size_m],
            'position_m': o.position_m.tolist(), 'quaternion': o.quaternion.tolist(),
            'velocity_m_s': o.velocity_m_s.tolist()} for o in scene.obstacles],
        'start_rad': np.asarray(scene.start_rad, dtype=float).tolist(),
        'goals': [_goal_mapping(goal) for goal in scene.goals],
    }
    if scene.tier is not None:
        mapping['tier'] = scene.tier
    if scene.layout:
        mapping |= {'layout': list(scene.layout), 'layout_cell_m': scene.layout_cell_m,
                    'layout_origin_m': list(scene.layout_origin_m)}
    return {**mapping, **scene.extra}


def read_yaml(path: str | Path, kind: str) -> Any:
    """Return the content of a YAML file, or say why it cannot be read."""
    try:
        return yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise ConfigurationError(
            f'the {kind} file does not exist', where=str(path), allowed='a YAML file') from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f'the {kind} file cannot be read', where=str(path), value=str(error),
            allowed='a readable UTF-8 YAML file') from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, 'problem_mark', None)
        line = f': line {mark.line + 1}' if mark is not None else ''
        raise ConfigurationError(
            f'the {kind} file is not valid YAML', where=f'{path}{line}',
            value=getattr(error, 'problem', None) or str(error), allowed='YAML 1.1') from None


def _scene(value: object, where: str) -> Scene:
    """Return one scene, or the error with its path."""
    fields = Fields.of(value, where)
    obstacles = tuple(
        _located(f'{where}: obstacles[{k}]', _obstacle, item, k)
        for k, item in enumerate(_list(fields, 'obstacles')))
    start = as_array(fields.get('start_rad'))
    if start is None or start.ndim != 1 or not len(start):
        raise fields.fail('start_rad', 'a list of finite numbers, one per joint')
    goals = tuple(
        _located(f'{where}: goals[{k}]', _goal, item, k)
        for k, item in enumerate(_list(fields, 'goals')))
    seed, tier = fields.values.get('seed', 0), fields.values.get('tier')
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise fields.fail('seed', 'an integer >= 0')
    if tier is not None and tier not in TIERS:
        raise fields.fail('tier', ', '.join(TIERS))
    extra = {key: item for key, item in fields.values.items() if key not in KNOWN}
    try:
        return Scene(seed, obstacles, start, goals, tier, *_layout(fields), extra)
    except ConfigurationError as error:
        if error.where.startswith(where):
            raise
        raise moved(error, f'{where}: {error.where}') from error


def _layout(fields: Fields) -> tuple[tuple[str, ...], float, tuple[float, float]]:
    """Return rows, edge of a cell and lower left corner; no rows where there is no layout."""
    rows = fields.values.get('layout', [])
    if isinstance(rows, str):
        rows = rows.splitlines()
    if not isinstance(rows, list) or not all(isinstance(row, str) for row in rows):
        raise fields.fail('layout', 'a list of rows of # O G . and blanks')
    cell_m = fields.number('layout_cell_m', 1.0)
    if cell_m <= 0.0:
        raise fields.fail('layout_cell_m', '> 0 m')
    x, y = _vector(fields, 'layout_origin_m', 2, np.zeros(2)).tolist()
    return tuple(rows), cell_m, (x, y)


def _obstacle(fields: Fields, index: int) -> Obstacle:
    shape = fields.get('shape')
    if not isinstance(shape, str) or shape not in SHAPE_CODE:
        raise fields.fail('shape', ', '.join(SHAPE_CODE), 'unknown obstacle shape')
    velocity = _vector(fields, 'velocity_m_s', 3, np.zeros(3))
    size = fields.vector('size_m', SIZE_LENGTH[shape], positive=True)
    return Obstacle(
        shape,  # type: ignore[arg-type]
        tuple(size.tolist()), fields.vector('position_m', 3),
        _vector(fields, 'quaternion', 4, np.array([0.0, 0.0, 0.0, 1.0])), velocity,
        key=f'scene/{index}', may_move=bool(np.any(velocity != 0.0)))


def _goal(fields: Fields, index: int) -> Goal:
    joints, position = fields.values.get('joints_rad'), fields.values.get('position_m')
    if (joints is None) == (position is None):
        raise ConfigurationError(
            'a goal needs either a tool pose or joints', where=fields.where,
            value=dict(fields.values), allowed='{position_m, quaternion} or {joints_rad}')
    if joints is not None:
        return Goal(joints_rad=joints)
    quaternion = fields.values.get('quaternion')
    return Goal(position_m=fields.vector('position_m', 3),
                quaternion=None if quaternion is None else fields.vector('quaternion', 4))


def _goal_mapping(goal: Goal) -> dict[str, Any]:
    if goal.joints_rad is not None:
        return {'joints_rad': goal.joints_rad.tolist()}
    assert goal.position_m is not None
    mapping: dict[str, Any] = {'position_m': goal.position_m.tolist()}
    if goal.quaternion is not None:
        mapping['quaternion'] = goal.quaternion.tolist()
    return mapping


def _list(fields: Fields, key: str) -> list[Any]:
    value = fields.get(key)
    if not isinstance(value, list):
        raise fields.fail(key, 'a list')
    return value


def _vector(fields: Fields, key: str, length: int, default: np.ndarray) -> np.ndarray:
    return default.copy() if key not in fields.values else fields.vector(key, length)


def _located(
    where: str, build: Callable[[Fields, int], Value], item: object, index: int
) -> Value:
    """Build one item; put its path into an error that does not have it yet."""
    try:
        return build(Fields.of(item, where), index)
    except ConfigurationError as error:
        if error.where.startswith(where):
            raise
        key = error.where.partition('.')[2]
        raise moved(error, f'{where}: {key}' if key else where) from error
