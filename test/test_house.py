# SPDX-License-Identifier: Apache-2.0
"""The rules of the house: who imports whom, what is forbidden, how long things may be."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'diffusion_control'
SOURCES = sorted(PACKAGE.rglob('*.py'))
SCRIPTS = [*sorted((ROOT / 'scripts').iterdir()), *sorted((ROOT / 'launch').glob('*.py')),
           *sorted((ROOT / 'test').glob('*.py')), ROOT / 'setup.py']
LICENCE = '# SPDX-License-Identifier: Apache-2.0'
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
PICKLES = {'pickle', 'dill', 'joblib', 'cloudpickle', 'marshal', 'shelve'}

# room -> the rooms it may import from, besides its own; the free rooms may import any
BASE = {'errors', 'share', 'whole_file', 'robots', 'trajectory', 'parameters', 'console',
        'solvers'}
MAY_IMPORT = {
    'errors': set(),
    'share': {'errors'},
    'whole_file': set(),
    'parameters': {'errors'},
    'console': {'errors'},
    'solvers': {'errors'},
    'robots': {'errors', 'share', 'trajectory'},
    'trajectory': {'errors', 'robots'},
    'planners': BASE | {'inference'},
    'tracking': BASE,
    'safety': BASE,
    'simulation': BASE,
    'inference': BASE | {'diffusion'},
    'diffusion': {'errors'},
    'learning': BASE | {'planners', 'diffusion', 'inference', 'evaluation', 'simulation'},
    'evaluation': BASE | {'planners', 'tracking', 'safety', 'simulation', 'inference',
                          'diffusion'},
    'explain': BASE | {'planners', 'safety', 'simulation', 'inference', 'evaluation'},
    'doctor': BASE | {'inference'},
    'middleware': {'share'},
    'launching': BASE,
}
FREE = {'nodes', 'demo', 'cli', 'cli_evaluate', 'cli_explain', 'cli_learning', 'cli_options'}
ROS = {'rclpy', 'launch', 'launch_ros', 'ament_index_python', 'builtin_interfaces',
       'diagnostic_msgs', 'geometry_msgs', 'lifecycle_msgs', 'nav_msgs', 'rcl_interfaces',
       'rosgraph_msgs', 'sensor_msgs', 'std_msgs', 'std_srvs', 'trajectory_msgs',
       'visualization_msgs'}
WITHOUT_TORCH = ('tracking', 'safety', 'planners.fallback', 'trajectory', 'robots')
INDEPENDENT = {'safety', 'tracking', 'planners', 'nodes'}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room(path: Path) -> str:
    """Return the first folder below the package, or the module's name."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix('.py')


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full name of everything a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{relative(path)}:{node.lineno} imports relatively'
            for alias in node.names:
                yield node.lineno, f'{node.module}.{alias.name}'


def own_room(name: str) -> str | None:
    """Return the room of an imported name, None for other packages."""
    parts = name.split('.')
    return parts[1] if parts[0] == 'diffusion_control' and len(parts) > 1 else None


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding='utf-8'))


def test_files_are_short_and_say_what_they_are() -> None:
    faults = []
    for path in SOURCES:
        lines = path.read_text(encoding='utf-8').splitlines()
        if lines[0] != LICENCE:
            faults.append(f'{relative(path)}: no licence')
        if len(lines) > LONGEST_FILE:
            faults.append(f'{relative(path)}: {len(lines)} lines')
        if not ast.get_docstring(parsed(path)):
            faults.append(f'{relative(path)}: no docstring')
    assert not faults


def test_scripts_and_tests_carry_the_licence() -> None:
    heads = {relative(path): path.read_text(encoding='utf-8').splitlines()[:2] for path in SCRIPTS}
    assert not [path for path, head in heads.items() if LICENCE not in head]


def test_functions_are_short_and_documented() -> None:
    faults = []
    for path in SOURCES:
        tree = parsed(path)
        public = [*tree.body, *(member for node in tree.body if isinstance(node, ast.ClassDef)
                                for member in node.body)]
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            length = (node.end_lineno or 0) - node.lineno + 1
            if not isinstance(node, ast.ClassDef) and length > LONGEST_FUNCTION:
                faults.append(f'{relative(path)}:{node.lineno} {node.name}: {length} lines')
            hidden = node not in public or node.name.startswith('_')
            if not hidden and not ast.get_docstring(node):
                faults.append(f'{relative(path)}:{node.lineno} {node.name}: no docstring')
    assert not faults


def test_ros_stays_in_nodes_and_demo() -> None:
    assert not [
        f'{relative(path)}:{line} {name}' for path in SOURCES
        if room(path) not in ('nodes', 'demo', 'launching')
        for line, name in imports(path) if name.split('.')[0] in ROS]


def test_launching_imports_ros_only_when_called() -> None:
    tree = parsed(PACKAGE / 'launching.py')
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not {ast.unparse(node).split()[1].split('.')[0] for node in top} & ROS


def test_rooms_import_one_way() -> None:
    rooms = {room(path) for path in SOURCES}
    assert rooms - {'__init__'} == set(MAY_IMPORT) | FREE
    assert not [
        f'{relative(path)}:{line} {name}' for path in SOURCES if room(path) in MAY_IMPORT
        for line, name in imports(path)
        if own_room(name) not in (None, room(path), '__version__', *MAY_IMPORT[room(path)])]


def test_torch_is_offline() -> None:
    """Torch belongs to training, export and the torch backend."""
    assert not [
        f'{relative(path)}:{line}' for path in SOURCES
        if room(path) not in ('diffusion', 'learning')
        and relative(path) != 'diffusion_control/inference/torch.py'
        for line, name in imports(path) if name.split('.')[0] == 'torch']


def test_forbidden_calls() -> None:
    """No pickle in any disguise, no unsafe YAML, no shell, no swallowed exception."""
    faults = []
    for path in SOURCES:
        found = [(line, name) for line, name in imports(path) if name.split('.')[0] in PICKLES]
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call):
                found += [(node.lineno, fault) for fault in forbidden(node)]
            if isinstance(node, ast.ExceptHandler) and _catches_all(node) and _does_nothing(node):
                found.append((node.lineno, 'except: pass'))
        faults += [f'{relative(path)}:{line} {fault}' for line, fault in found]
    assert not faults


@pytest.mark.parametrize(('source', 'bad'), [
    ('yaml.load(x)', True), ('yaml.safe_load(x)', False), ('np.load(f)', False),
    ('np.load(f, allow_pickle=True)', True), ('np.load(f, allow_pickle=False)', False),
    ('torch.load(f)', True), ('torch.load(f, weights_only=True)', False),
    ('subprocess.run(c, shell=True)', True), ('eval(x)', True), ('sampler.evaluate(x)', False)])
def test_forbidden_calls_are_recognised(source: str, bad: bool) -> None:
    call = ast.parse(source, mode='eval').body
    assert isinstance(call, ast.Call)
    assert bool(list(forbidden(call))) is bad


def forbidden(node: ast.Call) -> Iterator[str]:
    """Yield what is wrong with a call."""
    name = ast.unparse(node.func)
    keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
    if name in ('yaml.load', 'yaml.full_load', 'yaml.unsafe_load', 'eval', 'exec'):
        yield name
    if keywords.get('allow_pickle', 'False') != 'False':
        yield 'allow_pickle'
    if name == 'torch.load' and keywords.get('weights_only') != 'True':
        yield 'torch.load without weights_only'
    if keywords.get('shell', 'False') != 'False':
        yield 'shell=True'


def _catches_all(node: ast.ExceptHandler) -> bool:
    return node.type is None or ast.unparse(node.type) in ('Exception', 'BaseException')


def _does_nothing(node: ast.ExceptHandler) -> bool:
    return all(isinstance(line, ast.Pass | ast.Continue) or ast.unparse(line) == '...'
               for line in node.body)


def test_judge_shares_nothing_with_the_judged() -> None:
    """`check_run`, and what it imports of this package, know no controller."""
    seen, waiting = set(), [PACKAGE / 'evaluation' / 'check_run.py']
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for line, name in imports(path):
            assert own_room(name) not in INDEPENDENT, f'{relative(path)}:{line} {name}'
            waiting += _files(name)
    assert len(seen) > 3


def _files(name: str) -> list[Path]:
    """Return the source files that an imported name runs: its module and the packages above."""
    parts = name.split('.')
    if parts[0] != 'diffusion_control':
        return []
    found = []
    for length in range(1, len(parts) + 1):
        base = ROOT.joinpath(*parts[:length])
        found += [path for path in (base.with_suffix('.py'), base / '__init__.py')
                  if path.is_file()]
    return found


def _loaded_by(modules: list[str]) -> set[str]:
    code = 'import importlib, sys\n' + ''.join(
        f'importlib.import_module({module!r})\n' for module in modules)
    code += 'print(" ".join({name.split(".")[0] for name in sys.modules}))'
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def modules_of(name: str) -> list[str]:
    """Return all modules of one room of the package."""
    base = PACKAGE.joinpath(*name.split('.'))
    files = sorted(base.rglob('*.py')) if base.is_dir() else [base.with_suffix('.py')]
    return ['.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')
            for path in files]


@pytest.mark.parametrize('name', WITHOUT_TORCH)
def test_importing_loads_neither_ros_nor_torch(name: str) -> None:
    """Not only the source: what really is loaded, third parties included."""
    if importlib.util.find_spec('rclpy') is None:
        pytest.skip('rclpy is not installed, so it cannot be loaded by mistake')
    loaded = _loaded_by(modules_of(name))
    assert 'diffusion_control' in loaded
    assert not loaded & {'rclpy', 'torch', 'onnxruntime', 'mujoco'}


def test_command_line_starts_light() -> None:
    loaded = _loaded_by(['diffusion_control.cli'])
    assert not loaded & {'rclpy', 'torch', 'mujoco', 'numba', 'pinocchio', 'scipy', 'matplotlib'}
