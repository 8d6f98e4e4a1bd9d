# SPDX-License-Identifier: Apache-2.0
"""The parameter table: checks, files, generated pages, agreement with the library."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from diffusion_control import parameters
from diffusion_control.errors import ConfigurationError
from diffusion_control.parameters.files import for_node
from diffusion_control.parameters.writing import all_markdown

ROOT = Path(__file__).resolve().parents[1]
ROWS = [(node, row) for node in parameters.NODES for row in parameters.of_node(node)]
NUMBERS = [(node, row) for node, row in ROWS
           if row.type in ('int', 'float') and row.maximum is not None]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding='utf-8')
    return path


def test_committed_pages_are_what_the_table_says() -> None:
    """`make docs` writes them; nobody edits them by hand."""
    for node in parameters.NODES:
        page = (ROOT / 'config' / f'{node}.yaml').read_text(encoding='utf-8')
        assert page == parameters.to_yaml(node), f'config/{node}.yaml: run make docs'
    assert (ROOT / 'docs' / 'parameters.md').read_text(encoding='utf-8') == all_markdown()


@pytest.mark.parametrize('node', parameters.NODES)
def test_written_yaml_reads_back_as_the_defaults(node: str, tmp_path: Path) -> None:
    path = write(tmp_path / 'p.yaml', parameters.to_yaml(node))
    assert for_node(node, path) == parameters.defaults(node)
    typed = yaml.safe_load(path.read_text())['/**'][node]['ros__parameters']
    assert isinstance(typed['robot'], str)


@pytest.mark.parametrize('node', parameters.NODES)
def test_defaults_are_valid_and_names_unique(node: str) -> None:
    names = [row.name for row in parameters.of_node(node)]
    assert len(names) == len(set(names))
    assert parameters.validate(node, parameters.defaults(node)) == parameters.defaults(node)
    assert parameters.validate(node, {}) == parameters.defaults(node)


def test_every_row_has_text_and_every_number_a_range() -> None:
    for node, row in ROWS:
        assert row.text.endswith('.'), (node, row.name)
        if row.type in ('int', 'float', 'float_array'):
            assert row.minimum is not None and row.maximum is not None, (node, row.name)
        if row.name.endswith(('_s', '_hz', '_m', '_rad', '_m_s')):
            assert row.unit, (node, row.name)


def test_range_ends_are_in_and_beyond_is_out() -> None:
    for node, row in NUMBERS:
        assert row.minimum is not None and row.maximum is not None
        kind = int if row.type == 'int' else float
        step = 1 if kind is int else max(1e-6, 1e-6 * abs(row.maximum))
        for value in (kind(row.minimum), kind(row.maximum)):
            assert parameters.validate(node, {row.name: value})[row.name] == value
        for value in (kind(row.minimum - step), kind(row.maximum + step)):
            with pytest.raises(ConfigurationError, match='out of range'):
                parameters.validate(node, {row.name: value})


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf, True, '0.1', None, [0.1]])
def test_float_refuses_everything_that_is_no_number(value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parameters.validate('safety', {'margin_m': value})
    assert 'margin_m' in str(caught.value) and '0 to 0.5 m' in str(caught.value)


@pytest.mark.parametrize(('node', 'name', 'value'), [
    ('planner', 'num_candidates', 3.0), ('planner', 'num_candidates', True),
    ('safety', 'accept_no_timeout', 1), ('safety', 'accept_no_timeout', 'true'),
    ('tracker', 'warm_start', 'warm'), ('simulator', 'plant.mass_scale', []),
    ('simulator', 'plant.mass_scale', 1.0), ('simulator', 'plant.mass_scale', [1.0, 'x']),
    ('simulator', 'plant.mass_scale', [1.0, 11.0]), ('planner', 'joint_names', ['a', 1])])
def test_wrong_types_and_choices_are_refused(node: str, name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parameters.validate(node, {name: value})
    assert caught.value.exit_code == 2
    assert caught.value.allowed


def test_integer_is_taken_for_a_float_and_nested_for_dotted() -> None:
    result = parameters.validate('safety', {'rate_hz': 200, 'state': {'stale_s': 0.1}})
    assert result['rate_hz'] == 200.0 and isinstance(result['rate_hz'], float)
    assert result['state.stale_s'] == 0.1


def test_unknown_name_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'braking_fraction'"):
        parameters.validate('safety', {'breaking_fraction': 0.5})
    with pytest.raises(ConfigurationError, match="did you mean 'safety'"):
        parameters.of_node('safty')


@given(st.dictionaries(st.text(max_size=12), st.one_of(
    st.none(), st.booleans(), st.floats(), st.text(max_size=5), st.lists(st.integers())),
    min_size=1, max_size=3))
def test_any_rubbish_is_a_configuration_error_or_valid(values: dict[str, Any]) -> None:
    try:
        result = parameters.validate('planner', values)
    except ConfigurationError as error:
        assert str(error)
    else:
        assert set(values) <= set(result)


@pytest.mark.parametrize(('text', 'problem'), [
    ('[1, 2', 'not YAML'), ('', 'no ros__parameters'), ('a: 1', 'no ros__parameters'),
    ('- a', 'no ros__parameters'), ('safety: {ros__parameters: 3}', 'not a table'),
    ('safety: {ros__parameters: {margin: 0.1}}', "did you mean 'margin_m'"),
    ('safety: {ros__parameters: {margin_m: .nan}}', 'not finite'),
    ('safety: {ros__parameters: {margin_m: wide}}', 'wrong type'),
    ('/**: {ros__parameters: {margin_n: 0.1}}', 'no node has'),
    ('/left/safety: {ros__parameters: {margin_m: -1.0}}', 'out of range'),
    ('left: {safety: {ros__parameters: {margin_m: -1.0}}}', 'out of range')])
def test_malformed_files_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    path = write(tmp_path / 'p.yaml', text)
    with pytest.raises(ConfigurationError) as caught:
        for_node('safety', path)
    assert problem in str(caught.value) and str(path) in str(caught.value)
    assert caught.value.exit_code == 2


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / 'binary').write_bytes(b'\xff\xfe\x00')
    for name in ('absent.yaml', 'binary', '.'):
        with pytest.raises(ConfigurationError, match='cannot read'):
            for_node('safety', tmp_path / name)


def test_file_serves_several_nodes(tmp_path: Path) -> None:
    path = write(tmp_path / 'p.yaml', """
/**: {ros__parameters: {use_sim_time: true, robot: ur5, braking_fraction: 0.5}}
safety: {ros__parameters: {margin_m: 0.03}}
planner: {ros__parameters: {num_candidates: 4}}
""")
    assert for_node('safety', path)['margin_m'] == 0.03
    assert for_node('safety', path)['braking_fraction'] == 0.5
    assert for_node('planner', path) == {
        **parameters.defaults('planner'), 'robot': 'ur5', 'num_candidates': 4}


def test_command_line_of_a_node_is_checked(tmp_path: Path) -> None:
    good = write(tmp_path / 'good.yaml', 'safety: {ros__parameters: {margin_m: 0.03}}')
    bad = write(tmp_path / 'bad.yaml', 'safety: {ros__parameters: {margin_m: 3.0}}')
    start = ['safety', '--ros-args', '-r', '__node:=safety', '--params-file']
    parameters.check_arguments('safety', [*start, str(good), '-p', 'rate_hz:=200.0'])
    parameters.check_arguments('safety', ['safety', '-p', 'use_sim_time:=true'])
    parameters.check_arguments('safety', ['safety', '-p', 'planner:margin_m:=9.0'])
    parameters.check_arguments('safety', ['safety', '-p', 'command_out_topic:='])
    for arguments in ([*start, str(bad)], ['-p', 'rate_hz:=slow'], ['-p', 'rate_hz'],
                      ['-p', 'safety:margin_m:=9.0'], ['-p', 'rate_hz:=[1']):
        with pytest.raises(ConfigurationError):
            parameters.check_arguments('safety', arguments)


def test_descriptor_says_what_the_table_says() -> None:
    for _, row in ROWS:
        fields: dict[str, Any] = parameters.descriptor_fields(row)
        assert (fields['name'], fields['description']) == (row.name, row.text)
        assert fields['read_only'] is row.read_only
        wanted = [(row.minimum, row.maximum)] if row.type in ('int', 'float') else []
        assert [*fields['floating_point_range'], *fields['integer_range']] == wanted


def test_table_agrees_with_the_library() -> None:
    """A default is written in two places; this holds them together."""
    from diffusion_control.planners.training_free import TrainingFreeParameters
    from diffusion_control.safety import SafetyParameters
    from diffusion_control.tracking.parameters import TrackerParameters
    libraries = {'planner': TrainingFreeParameters, 'safety': SafetyParameters,
                 'tracker': TrackerParameters}
    compared = 0
    for node, kind in libraries.items():
        library = {field.name: field.default for field in dataclasses.fields(kind)}
        for row in parameters.of_node(node):
            name = row.name.removeprefix('mpc.').replace('.', '_')
            own = node == 'planner' and row.default == 0  # 0: what the planner has by itself
            robots = row.name in ('command_out_type', 'receiver_timeout_s')  # its file's
            if name in library and not robots and not own:
                assert row.default == library[name], f'{node}.{row.name}'
                compared += 1
    assert compared > 25


def test_choices_agree_with_the_library() -> None:
    from diffusion_control import planners, tracking
    from diffusion_control.planners import models
    from diffusion_control.safety.parameters import CHOICES
    from diffusion_control.simulation.receivers import PROFILES
    from diffusion_control.tracking.protocol import WARM_STARTS
    assert set(parameters.find('tracker', 'type').choices) == set(tracking.available())
    assert parameters.find('tracker', 'warm_start').choices == tuple(WARM_STARTS)
    assert set(parameters.find('simulator', 'profile').choices) == {'', 'diff_drive', *PROFILES}
    output = parameters.find('safety', 'command_out_type').choices
    assert output == ('', *CHOICES['command_out_type'])
    built_in = set(planners.registry.FALLBACKS)
    assert set(parameters.find('fallback', 'type').choices) == built_in
    assert parameters.find('planner', 'type').default == models.AUTO
    assert {models.TRAINED, models.TRAINING_FREE} <= set(planners.available())
