# SPDX-License-Identifier: Apache-2.0
"""The model card: what a model is, what goes in and out, and how good it was.

`card.json` lies beside `model.onnx`. It is read as a stranger's text: whatever is wrong with it
is a `ConfigurationError` that names the key, its value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffusion_control.errors import ConfigurationError
from diffusion_control.inference import card_json as js
from diffusion_control.inference.card_seal import SEAL, check_seal
from diffusion_control.inference.tensor import DTYPES, NAME, STEPS_AXIS, Axis, Tensor

CARD_FILE, MODEL_FILE = 'card.json', 'model.onnx'
SCHEMA_VERSION = 1
SCORE_KEYS = ('task', 'value', 'sem', 'episodes', 'expert', 'random', 'untrained')
KEYS = ('sha256', 'inputs', 'outputs', 'joint_names', 'normaliser', 'rate_hz', 'train_command',
        'data_seed', 'commit', 'score')
OPTIONAL = ('schema_version', 'files', 'state', SEAL)


@dataclass(frozen=True)
class ModelCard:
    """A card whose text was checked; the files it names were not (see `verify`).

    Attributes:
        sha256: Of `model.onnx`, 64 lower-case hexadecimal digits.
        files: Further files of the model's folder, name -> sha256.
        inputs: Of the graph, by name, in the order of the card.
        outputs: Likewise.
        state: Input -> the output that carries it on when the sampler runs row by row.
        joint_names: The order of the joints.
        normaliser: Names, numbers and lists of them; every number is finite.
        rate_hz: Rate of the knots or the plans, as the planner defines it [1/s].
        train_command: The command that reproduces the model.
        data_seed: Seed of its data.
        commit: Of the repository it was trained in.
        score: `task value sem episodes expert random untrained`; None is not measured.
        extra: Keys that this version does not know, as they were.
    """

    sha256: str
    files: Mapping[str, str]
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    state: Mapping[str, str]
    joint_names: tuple[str, ...]
    normaliser: Mapping[str, Any]
    rate_hz: float
    train_command: str
    data_seed: int
    commit: str
    score: Mapping[str, Any]
    extra: Mapping[str, Any]


def parse(text: bytes, where: str = CARD_FILE) -> ModelCard:
    """Return the card of a JSON text.

    Args:
        text: The file's bytes.
        where: Its path, for messages.

    Raises:
        ConfigurationError: Anything about it is not as `docs/inference.md` says.
    """
    data = js.mapping(js.load(text, where), where, 'the card')
    schema = data.get('schema_version', SCHEMA_VERSION)
    if type(schema) is not int or schema != SCHEMA_VERSION:
        raise js.fault('schema_version', where, schema, str(SCHEMA_VERSION))
    missing = [key for key in KEYS if key not in data]
    if missing:
        raise ConfigurationError(
            'the model card lacks keys', where=where, value=missing, allowed=', '.join(KEYS),
            remedy='export the model again')
    inputs = _tensors(data['inputs'], where, 'inputs')
    outputs = _tensors(data['outputs'], where, 'outputs')
    card = ModelCard(
        sha256=js.sha256(data['sha256'], where, 'sha256'),
        files=_files(data.get('files', {}), where), inputs=inputs, outputs=outputs,
        state=_state(data.get('state', {}), inputs, outputs, where),
        joint_names=_joint_names(data['joint_names'], where),
        normaliser=_normaliser(data['normaliser'], where),
        rate_hz=js.positive(data['rate_hz'], where, 'rate_hz'),
        train_command=js.text(data['train_command'], where, 'train_command'),
        data_seed=js.integer(data['data_seed'], where, 'data_seed'),
        commit=js.text(data['commit'], where, 'commit'), score=_score(data['score'], where),
        extra={key: value for key, value in data.items() if key not in (*KEYS, *OPTIONAL)})
    check_seal(data, where)
    return card


def _tensors(value: object, where: str, key: str) -> dict[str, Tensor]:
    table = js.mapping(value, where, key)
    if not table:
        raise js.fault(key, where, value, 'at least one name')
    for name in table:
        if not NAME.fullmatch(name):
            raise js.fault(f'name in {key}', where, name, NAME.pattern)
    return {name: _tensor(entry, where, f'{key}.{name}') for name, entry in table.items()}


def _tensor(value: object, where: str, key: str) -> Tensor:
    entry = js.mapping(value, where, key)
    shape, dtype = entry.get('shape'), entry.get('dtype')
    if not isinstance(shape, list) or not all(_is_axis(axis) for axis in shape):
        raise js.fault(f'{key}.shape', where, shape, 'a list of numbers >= 1 and names of axes')
    if STEPS_AXIS in shape[1:]:
        raise js.fault(f'{key}.shape', where, shape, f'{STEPS_AXIS} as the first axis only')
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise js.fault(f'{key}.dtype', where, dtype, ', '.join(DTYPES))
    axes: tuple[Axis, ...] = tuple(shape)
    return Tensor(axes, dtype)


def _is_axis(axis: object) -> bool:
    if isinstance(axis, str):
        return NAME.fullmatch(axis) is not None
    return type(axis) is int and 1 <= axis < 2**31


def _files(value: object, where: str) -> dict[str, str]:
    table = js.mapping(value, where, 'files')
    for name in table:
        if name in (MODEL_FILE, CARD_FILE) or not js.FILE_NAME.fullmatch(name):
            raise js.fault('name in files', where, name, (
                f'a plain file name inside the folder, {js.FILE_NAME.pattern}, other than '
                f'{MODEL_FILE} and {CARD_FILE}'))
    return {name: js.sha256(entry, where, f'files.{name}') for name, entry in table.items()}


def _state(
    value: object, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor], where: str,
) -> dict[str, str]:
    table, carried = js.mapping(value, where, 'state'), {}
    for source, target in table.items():
        if source not in inputs or not isinstance(target, str) or target not in outputs:
            raise js.fault('state', where, {source: target}, (
                f'an input ({", ".join(inputs)}) -> an output ({", ".join(outputs)})'))
        if inputs[source] != outputs[target]:
            raise js.fault('state', where, f'{target}: {outputs[target]}', (
                f'the shape and type of {source}: {inputs[source]}'))
        if inputs[source].per_step:
            raise js.fault('state', where, source, f'inputs without the axis {STEPS_AXIS}')
        carried[source] = target
    return carried


def _joint_names(value: object, where: str) -> tuple[str, ...]:
    names = value if isinstance(value, list) else []
    if not names or not all(isinstance(name, str) and name for name in names) \
            or len(set(names)) != len(names):
        raise js.fault('joint_names', where, value, 'a list of distinct names, at least one')
    return tuple(names)


def _normaliser(value: object, where: str) -> dict[str, Any]:
    table = js.mapping(value, where, 'normaliser')
    waiting: list[tuple[str, object]] = [('normaliser', table)]
    while waiting:
        key, entry = waiting.pop()
        if isinstance(entry, dict):
            waiting += [(f'{key}.{name}', part) for name, part in entry.items()]
        elif isinstance(entry, list):
            waiting += [(key, part) for part in entry]
        elif not isinstance(entry, int | float | str):
            raise js.fault(key, where, entry, 'numbers, lists of numbers, names')
    return table


def _score(value: object, where: str) -> dict[str, Any]:
    table = js.mapping(value, where, 'score')
    missing = [key for key in SCORE_KEYS if key not in table]
    if missing:
        raise js.fault('score', where, f'without {missing}', ', '.join(SCORE_KEYS))
    for key in SCORE_KEYS:
        kinds = (str,) if key == 'task' else (int, float)
        if table[key] is not None and (
                not isinstance(table[key], kinds) or isinstance(table[key], bool)):
            raise js.fault(f'score.{key}', where, table[key], (
                'a name or null' if key == 'task' else 'a number or null'))
    return table
