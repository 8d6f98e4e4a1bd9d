# SPDX-License-Identifier: Apache-2.0
"""Every table of the public interface against the code; what is missing must be listed."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from diffusion_control import cli, cli_evaluate, console, errors, parameters
from diffusion_control.demo import options

ROOT = Path(__file__).resolve().parents[1]
CONTRACT: dict[str, Any] = yaml.safe_load(
    (ROOT / 'test' / 'contract_tables.yaml').read_text(encoding='utf-8'))
PENDING: dict[str, Any] = yaml.safe_load(
    (ROOT / 'docs' / 'contract_pending.yaml').read_text(encoding='utf-8'))
ISSUES = (4, 5, 6, 7, 8, 'later')


def pending(*keys: str) -> set[str]:
    """Return the names that a table may lack."""
    table: Any = PENDING
    for key in keys:
        table = table.get(key, {})
    return set(table)


def hold(wanted: Iterable[str], present: Iterable[str], *keys: str) -> None:
    """Assert that exactly the pending names of a table are absent."""
    wanted, present = set(wanted), set(present)
    absent, listed = wanted - present, pending(*keys)
    assert absent == listed, (
        f'{".".join(keys)}: missing and not listed: {sorted(absent - listed)}; '
        f'listed but there: {sorted(listed - absent)}')


def leaves(table: Any) -> list[Any]:
    """Return all values below a mapping."""
    return ([leaf for value in table.values() for leaf in leaves(value)]
            if isinstance(table, Mapping) else [table])


def command(verb: str) -> Any:
    """Return typer's command of a verb."""
    import typer.main
    return typer.main.get_command(cli.app).commands[verb]


def long_options(verb: str) -> set[str]:
    """Return the names of a verb's options, without dashes."""
    names = [name for parameter in command(verb).params
             for name in (*parameter.opts, *getattr(parameter, 'secondary_opts', ()))]
    return {name.removeprefix('--') for name in names if name.startswith('--')} | {'help'}


def literals(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding='utf-8'))))


def assigned(path: str, name: str) -> Any:
    """Return the literal that a module assigns to a name, without importing the module."""
    for node in literals(ROOT / path):
        targets = getattr(node, 'targets', [getattr(node, 'target', None)])
        if isinstance(node, ast.Assign | ast.AnnAssign) and any(
                isinstance(target, ast.Name) and target.id == name for target in targets):
            return ast.literal_eval(node.value)  # type: ignore[arg-type]
    raise AssertionError(f'{path} assigns no {name}')


def node_literals() -> set[str]:
    """Return every string in the nodes that take part (not those that only look on)."""
    return {node.value for path in (ROOT / 'diffusion_control' / 'nodes').rglob('*.py')
            if path.stem not in ('recorder', 'doctor', 'graph', 'demo_monitor')
            for node in literals(path)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def endpoints() -> list[tuple[str, str]]:
    """Return (topic, message name) of every publisher and subscription written out in a node."""
    pairs = []
    for path in (ROOT / 'diffusion_control' / 'nodes').rglob('*.py'):
        for node in literals(path):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr not in ('create_publisher', 'create_subscription'):
                continue
            kind, topic = node.args[:2]
            if isinstance(kind, ast.Name) and isinstance(topic, ast.Constant):
                pairs.append((topic.value, kind.id))
    return pairs


def test_pending_names_an_issue_and_nothing_unknown() -> None:
    assert set(leaves(PENDING)) <= set(ISSUES)
    assert set(PENDING) <= set(CONTRACT)


def test_verbs() -> None:
    hold(CONTRACT['verbs'], cli.verbs(), 'verbs')


@pytest.mark.parametrize('verb', sorted(set(CONTRACT['verbs']) - pending('verbs')))
def test_options_of_every_verb(verb: str) -> None:
    wanted = {*CONTRACT['options']['all'], *CONTRACT['options'].get(verb, ())}
    hold(wanted, long_options(verb), 'options', verb)


@pytest.mark.parametrize('verb', sorted(set(CONTRACT['verbs']) - pending('verbs')))
def test_help_has_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([verb, '--help']) == 0
    assert f'Example: diffusion_control {verb}' in capsys.readouterr().out


@pytest.mark.parametrize('verb', sorted(CONTRACT['option_defaults']))
def test_option_defaults(verb: str) -> None:
    defaults = {parameter.name: parameter.default for parameter in command(verb).params}
    wanted = CONTRACT['option_defaults'][verb]
    assert {name: defaults[name] for name in wanted} == wanted


@pytest.mark.parametrize('verb', sorted(pending('verbs')))
def test_pending_verbs_are_unknown(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([verb]) == 2
    assert verb in capsys.readouterr().err


@pytest.mark.parametrize(('verb', 'option'), [
    (verb, option) for verb, table in PENDING['options'].items() for option in table])
def test_pending_options_are_unknown(
    verb: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ['arm'] if verb == 'evaluate' else []
    assert cli.run([verb, *arguments, f'--{option}', 'x']) == 2
    assert f'--{option}' in capsys.readouterr().err


def test_tasks_robots_levels() -> None:
    hold(CONTRACT['tasks'], cli_evaluate.TASKS, 'tasks')
    hold(CONTRACT['robots'], options.ROBOTS, 'robots')
    hold(CONTRACT['levels'], options.LEVELS, 'levels')


def test_exit_codes() -> None:
    codes = CONTRACT['exit_codes']
    assert console.OK == codes['fine']
    assert console.VIOLATION == errors.DiffusionControlError.exit_code == codes['violation']
    assert console.BAD_INPUT == errors.ConfigurationError.exit_code == codes['bad_input']
    assert console.MISSING == errors.MissingDependencyError.exit_code == codes['missing']
    assert console.INTERRUPTED == codes['interrupted']


def test_make_targets() -> None:
    text = (ROOT / 'Makefile').read_text(encoding='utf-8')
    hold(CONTRACT['make_targets'], re.findall(r'^([a-z-]+):', text, re.MULTILINE), 'make_targets')


def test_result_and_check_keys() -> None:
    from diffusion_control.evaluation import evaluation_checks
    from diffusion_control.evaluation.statistics import Check
    check = Check('x', 1.0, '<= 2', True, 3, (0.0, 1.0))
    assert list(check.row()) == CONTRACT['check_keys']
    result = evaluation_checks.result_of([], 'random', commit='', command='')
    assert list(result) == CONTRACT['result_keys']


def test_rows_and_required_checks_of_evaluate() -> None:
    from diffusion_control.evaluation import evaluation_checks
    assert set(CONTRACT['row_keys']) <= set(evaluation_checks.ROW_KEYS)
    assert list(evaluation_checks.REQUIRED) == CONTRACT['required_checks']['evaluate_arm']


def test_rows_and_required_checks_of_mazes() -> None:
    from diffusion_control.evaluation.maze import checks
    from diffusion_control.evaluation.maze.options import MazeOptions
    assert set(CONTRACT['row_keys']) <= set(checks.ROW_KEYS)
    assert list(checks.REQUIRED) == CONTRACT['required_checks']['evaluate_maze2d']
    assert list(checks.REQUIRED_SAFE) == CONTRACT['required_checks']['evaluate_safediffuser']
    assert list(checks.result_of([], MazeOptions())) == CONTRACT['result_keys']


def test_run_folder(tmp_path: Path) -> None:
    from diffusion_control.evaluation.run_folder import RunFolder
    folder = RunFolder.create(tmp_path)
    names = {getattr(folder, name).name for name, value in inspect.getmembers(RunFolder)
             if isinstance(value, property)}
    assert set(CONTRACT['run_folder']) <= names
    folder.make_latest()
    assert (tmp_path / 'latest').resolve() == folder.path.resolve()
    folder.append_event('safety', 'state', from_state='NOMINAL', to_state='HOLD')
    assert list(json.loads(folder.events_jsonl.read_text())) == CONTRACT['event_keys']


def test_truth_keys() -> None:
    from diffusion_control.evaluation import truth_file
    assert set(CONTRACT['truth']) <= set(truth_file.KEYS)


@pytest.mark.parametrize('where', sorted(CONTRACT['summary']))
def test_summary_keys(where: str) -> None:
    from diffusion_control.evaluation.summary_schema import SCHEMA, SCHEMA_VERSION
    assert SCHEMA_VERSION == 1
    part: Any = SCHEMA
    for key in filter(None, where.split('.')):
        part = part[key]
    part = part[0] if isinstance(part, list) else part
    assert set(part) == set(CONTRACT['summary'][where])


def test_nodes_are_executables() -> None:
    for name in CONTRACT['nodes']:
        assert name in parameters.NODES
        assert (ROOT / 'scripts' / name).stat().st_mode & 0o111
        tree = ast.parse((ROOT / f'diffusion_control/nodes/{name}.py').read_text())
        assert 'main' in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_topics_by_name() -> None:
    hold(CONTRACT['topics'], node_literals(), 'topics')


def test_topics_by_type() -> None:
    wanted = {topic: name.rsplit('/', 1)[-1] for topic, name in CONTRACT['topics'].items()}
    pairs = endpoints()
    assert len(pairs) > 10
    wrong = {(topic, kind) for topic, kind in pairs if wanted.get(topic, kind) != kind}
    assert not wrong


def test_recorded_topics_by_type() -> None:
    arm, base = (assigned('diffusion_control/nodes/recorder.py', name)
                 for name in ('TOPICS', 'BASE_TOPICS'))
    hold(CONTRACT['topics'], {*arm, *base}, 'topics')
    for recorded, wanted in (
            (arm, CONTRACT['topics']),
            ({**arm, **base}, {**CONTRACT['topics'], **CONTRACT['base_topics']})):
        assert {topic: recorded[topic] for topic in wanted if topic in recorded} == {
            topic: kind for topic, kind in wanted.items() if topic in recorded}


def test_motions_of_every_kind_by_type() -> None:
    pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')
    from diffusion_control.nodes.motions import BaseMotions, JointMotions
    for motions, table in ((JointMotions, 'topics'), (BaseMotions, 'base_topics')):
        kinds = {CONTRACT[table][name]
                 for name in ('planner/plan', 'fallback/plan', 'tracker/motion')}
        assert kinds == {f'trajectory_msgs/msg/{motions.message.__name__}'}


def test_no_topic_is_absolute_but_two() -> None:
    absolute = {topic for topic, _ in endpoints() if topic.startswith('/')}
    assert absolute <= {'/diagnostics', '/clock'}


def test_services_and_modes() -> None:
    source = (ROOT / 'diffusion_control/nodes/safety.py').read_text(encoding='utf-8')
    for name, kind in CONTRACT['services'].items():
        assert re.search(rf"create_service\(\s*{kind},\s*'{name}'", source), name


def test_states() -> None:
    from diffusion_control.safety import state_machine
    assert list(state_machine.STATES) == CONTRACT['states']


def test_modes() -> None:
    from diffusion_control.safety.state_machine import STATES, Machine
    assert set(CONTRACT['modes']) == {Machine(state=state).mode for state in STATES}


def test_choices_of_parameters() -> None:
    table = {
        'output_types': ('safety', 'command_out_type'), 'profiles': ('simulator', 'profile'),
        'fallbacks': ('fallback', 'type'), 'warm_starts': ('tracker', 'warm_start')}
    for name, where in table.items():
        hold(CONTRACT[name], parameters.find(*where).choices, name)


@pytest.mark.parametrize('node', sorted(CONTRACT['parameters']))
def test_parameters(node: str) -> None:
    wanted = CONTRACT['parameters'][node]
    present = parameters.defaults(node)
    hold(wanted, present, 'parameters', node)
    stated = {name: value for name, value in wanted.items() if value is not None}
    assert {name: present[name] for name in stated} == stated


def test_injections() -> None:
    from diffusion_control.demo.fault_table import specifications
    table = specifications(
        planner_rate_hz=5.0, state_stale_s=0.05, obstacles_stale_s=0.2, fallback_holds=False)
    assert list(options.INJECT_NAMES) == list(CONTRACT['injections'])
    assert set(table) == set(CONTRACT['injections'])
    for name, row in CONTRACT['injections'].items():
        code = table[name]
        assert code.lasts_s == row['lasts_s'], name
        assert (list(code.path), code.end) == (row['path'], row['end']), name
        assert list(code.one_of) == row.get('one_of', []), name
        assert set(row.get('never', ())) <= set(code.never), name
        if 'first_brake_s' in row:
            assert code.first_brake_s == pytest.approx(row['first_brake_s']), name


def test_fault_table_for_holding_fallback() -> None:
    from diffusion_control.demo.fault_table import specifications
    table = specifications(
        planner_rate_hz=5.0, state_stale_s=0.05, obstacles_stale_s=0.2, fallback_holds=True)
    assert table['planner_kill'].end == table['planner_hang'].end == 'HOLD'
    assert table['planner_kill'].first_brake_s == pytest.approx(2 / 5.0 + 0.05)


def test_planners() -> None:
    from diffusion_control import planners
    hold(CONTRACT['planners'], planners.available(), 'planners')


def test_python_functions() -> None:
    present = set()
    for path, names in CONTRACT['python'].items():
        module, _, function = path.rpartition('.')
        found = getattr(import_module(f'diffusion_control.{module}'), function, None)
        if found is not None:
            present.add(path)
            assert set(names) <= set(inspect.signature(found).parameters), path
    hold(CONTRACT['python'], present, 'python')


@pytest.mark.parametrize('path', sorted(CONTRACT['python_fields']))
def test_python_fields(path: str) -> None:
    module, _, name = path.rpartition('.')
    kind = getattr(import_module(f'diffusion_control.{module}'), name)
    fields = [field.name for field in dataclasses.fields(kind)]
    assert set(CONTRACT['python_fields'][path]) <= set(fields)
