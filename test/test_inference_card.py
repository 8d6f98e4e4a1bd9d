# SPDX-License-Identifier: Apache-2.0
"""The card: every malformed one is a configuration error, none is anything else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_world import card

from diffusion_control.errors import ConfigurationError
from diffusion_control.inference.card import KEYS, OPTIONAL, ModelCard, parse
from diffusion_control.inference.card_seal import sealed

GOOD = card(b'model')
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=8), part),
    max_leaves=12)


def encode(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def test_a_good_card_says_what_was_written() -> None:
    read = parse(encode(note='kept', files={'model.pt2': '0' * 64}))
    assert str(read.inputs['noise']) == 'float32 [K, B, F, 3]'
    assert [name for name, tensor in read.inputs.items() if tensor.per_step] == ['table', 'noise']
    assert read.state == {'x': 'x_next'} and read.extra == {'note': 'kept'}
    assert read.joint_names == ('a', 'b', 'c') and read.score['untrained'] is None
    assert read.files == {'model.pt2': '0' * 64} and read.rate_hz == 20.0


def test_the_documented_card_can_be_read() -> None:
    page = (Path(__file__).parents[1] / 'docs' / 'inference.md').read_text(encoding='utf-8')
    (block,) = re.findall(r'```json\n(.*?)```', page, re.DOTALL)
    table = json.loads(block)
    assert set(table) == {*KEYS, *OPTIONAL}
    table |= {'sha256': '0' * 64, 'files': {'model.pt2': '0' * 64}}
    assert len(parse(json.dumps(sealed(table)).encode()).joint_names) == 7


@pytest.mark.parametrize('key', KEYS)
def test_every_key_of_the_contract_is_required(key: str) -> None:
    with pytest.raises(ConfigurationError, match='lacks keys') as caught:
        parse(json.dumps({name: value for name, value in GOOD.items() if name != key}).encode())
    assert caught.value.value == [key] and caught.value.exit_code == 2


@pytest.mark.parametrize(('key', 'value'), [
    ('sha256', 'A' * 64), ('sha256', 'a' * 63), ('sha256', None), ('schema_version', 2),
    ('schema_version', True), ('schema_version', '1'), ('inputs', {}), ('inputs', []),
    ('inputs', {'x y': {'shape': [1], 'dtype': 'float32'}}),
    ('inputs', {'x': {'shape': [0], 'dtype': 'float32'}}),
    ('inputs', {'x': {'shape': [1.5], 'dtype': 'float32'}}),
    ('inputs', {'x': {'shape': [True], 'dtype': 'float32'}}),
    ('inputs', {'x': {'shape': ['B', 'K'], 'dtype': 'float32'}}),
    ('inputs', {'x': {'shape': 3, 'dtype': 'float32'}}),
    ('inputs', {'x': {'shape': [1], 'dtype': 'object'}}), ('outputs', {'x': [1]}),
    ('state', {'x': 'nowhere'}), ('state', {'nowhere': 'x_next'}), ('state', {'goal': 'clean'}),
    ('state', {'table': 'clean'}), ('files', {'../model.pt2': '0' * 64}),
    ('files', {'/etc/passwd': '0' * 64}), ('files', {'..': '0' * 64}),
    ('files', {'a\\b': '0' * 64}), ('files', {'.hidden': '0' * 64}), ('files', {'a\n': '0' * 64}),
    ('files', {'model.onnx': '0' * 64}), ('files', {'card.json': '0' * 64}),
    ('files', {'weights': 'short'}), ('joint_names', []), ('joint_names', ['a', 'a']),
    ('joint_names', 'abc'), ('joint_names', [1]), ('normaliser', [1.0]),
    ('normaliser', {'mean': [None]}), ('normaliser', {'mean': [True, {'a': None}]}),
    ('normaliser', {'mean': [float('nan')]}), ('normaliser', {'std': [float('inf')]}),
    ('rate_hz', 0), ('rate_hz', -1.0), ('rate_hz', '20'), ('rate_hz', True),
    ('rate_hz', 10**400), ('train_command', 3), ('data_seed', 1.0), ('data_seed', True),
    ('commit', None), ('score', {'task': 'arm'}), ('score', None),
    ('score', {**GOOD['score'], 'value': 'good'}), ('score', {**GOOD['score'], 'task': 3})])
def test_a_bad_value_is_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(encode(**{key: value}), 'here/card.json')
    assert caught.value.where == 'here/card.json' and 'expected' in caught.value.allowed


@pytest.mark.parametrize('text', [
    b'', b'[]', b'null', b'{', b'\xff\xfe', b'{"a": 1, "a": 2}', b'[' * 100_000,
    b'{"normaliser": 1e999}', b'{"x": -Infinity}', b'{"x": ' + b'9' * 5000 + b'}',
    b'{"x": ' + b'[' * 17 + b']' * 17 + b'}', b' ' * (5 << 20)])
def test_a_text_that_is_no_card_is_refused(text: bytes) -> None:
    with pytest.raises(ConfigurationError):
        parse(text)


def test_a_key_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='bad JSON'):
        parse(encode()[:-1] + b', "commit": "x"}')


def test_deep_nesting_is_refused_also_in_a_key_that_is_not_known() -> None:
    assert parse(encode(other=json.loads('[' * 15 + ']' * 15))).extra
    with pytest.raises(ConfigurationError, match='bad nesting'):
        parse(encode(other=json.loads('[' * 18 + ']' * 18)))


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_else(text: bytes) -> None:
    with pytest.raises(ConfigurationError):
        parse(text)


@given(JSON)
def test_random_json_raises_nothing_else(value: object) -> None:
    with pytest.raises(ConfigurationError):
        parse(json.dumps(value).encode())


@given(st.sampled_from([*KEYS, 'state', 'files', 'schema_version', 'other']), JSON)
@settings(max_examples=300)
def test_a_card_with_one_random_value_is_read_or_refused(key: str, value: object) -> None:
    """What is read has the types that it promises."""
    try:
        read = parse(encode(**{key: value}))
    except ConfigurationError as error:
        assert error.block().encode('utf-8', 'surrogatepass')
        return
    assert isinstance(read, ModelCard) and read.rate_hz > 0 and len(read.sha256) == 64


@given(st.integers(0, len(encode()) - 1), st.binary(min_size=1, max_size=3))
def test_a_card_with_changed_bytes_is_read_or_refused(at: int, change: bytes) -> None:
    text = encode()
    try:
        read = parse(text[:at] + change + text[at + len(change):])
    except ConfigurationError:
        return
    assert isinstance(read, ModelCard)
