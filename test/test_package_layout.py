# SPDX-License-Identifier: Apache-2.0
"""What `pip install .` and `colcon build` leave on disk, without network and without ROS."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAME = 'diffusion_control'
EXECUTABLES = {NAME, 'planner', 'tracker', 'safety', 'fallback', 'simulator', 'viewer', 'recorder'}
FOLDERS = ('diffusion_control', 'scripts', 'launch', 'config', 'models', 'resource')
FILES = ('setup.py', 'setup.cfg', 'package.xml', 'README.md', 'LICENSE')


@pytest.fixture(scope='module')
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clean copy of the package, so that no build folder appears in the repository."""
    copy = tmp_path_factory.mktemp('workspace') / 'src' / NAME
    copy.mkdir(parents=True)
    ignore = shutil.ignore_patterns('__pycache__', '*.nbi', '*.nbc')
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignore)
    for name in FILES:
        shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope='module')
def pip_prefix(sources: Path) -> Path:
    """Return the prefix that pip has installed into.

    Without `--ignore-installed` pip would remove the package under test from this environment.
    """
    prefix = sources.parents[1] / 'pip'
    run([sys.executable, '-P', '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index',
         '--no-build-isolation', '--ignore-installed', '--disable-pip-version-check',
         '--no-warn-script-location', '--prefix', str(prefix), '.'], sources)
    return prefix


@pytest.fixture(scope='module')
def colcon_prefix(sources: Path) -> Path:
    """Return the prefix that colcon has installed into."""
    colcon = shutil.which('colcon', path=f'{Path(sys.executable).parent}:{os.environ["PATH"]}')
    if colcon is None:
        pytest.skip('colcon is not installed: pip install colcon-common-extensions')
    workspace = sources.parents[1]
    environment = {
        **os.environ, 'HOME': str(workspace), 'COLCON_HOME': str(workspace),
        'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}'}
    run([colcon, 'build', '--base-paths', 'src'], workspace, environment)
    return workspace / 'install' / NAME


@pytest.fixture(params=['pip_prefix', 'colcon_prefix'])
def prefix(request: pytest.FixtureRequest) -> Path:
    """Return the prefix of each kind of installation in turn."""
    path = request.getfixturevalue(request.param)
    assert isinstance(path, Path)
    return path


def run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run a command and return what it printed, or fail with it."""
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, timeout=200,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return done.stdout


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}


def site_packages(prefix: Path) -> Path:
    found = list(prefix.glob('lib/python3*/site-packages'))
    assert len(found) == 1
    return found[0]


def test_executables_for_ros2_run(prefix: Path) -> None:
    folder = prefix / 'lib' / NAME
    assert {path.name for path in folder.iterdir()} == EXECUTABLES
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o111, f'{path.name} is not executable'
        assert path.read_text().splitlines()[0] == '#!/usr/bin/env python3'


def test_share_folder(prefix: Path) -> None:
    share = prefix / 'share' / NAME
    present = names(share)
    assert 'package.xml' in present
    for folder in ('launch', 'config', 'models'):
        wanted = {f'{folder}/{name}' for name in names(ROOT / folder)
                  if '__pycache__' not in name and not Path(name).name.startswith('.')}
        assert wanted, folder
        assert wanted <= present
    assert {'config/robots/panda.yaml', 'config/robots/ur5.yaml', 'config/safety.yaml',
            'launch/arm_sim.launch.py', 'launch/arm.launch.py'} <= present


def test_ament_index_marker(prefix: Path) -> None:
    marker = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages' / NAME
    assert marker.is_file()


def test_package_with_types_but_without_tests(prefix: Path) -> None:
    present = names(site_packages(prefix))
    assert f'{NAME}/py.typed' in present
    assert f'{NAME}/nodes/control_node.py' in present
    assert not [name for name in present if name.startswith(('test/', 'scripts/', 'launch/'))]


def test_installed_package_finds_its_share_folder(prefix: Path) -> None:
    code = f'from {NAME}.share import share_directory; print(share_directory())'
    printed = run(
        [sys.executable, '-P', '-c', code], prefix,
        {**os.environ, 'PYTHONPATH': str(site_packages(prefix))})
    assert Path(printed.strip().splitlines()[-1]) == (prefix / 'share' / NAME).resolve()


def test_installed_command_line_runs(prefix: Path) -> None:
    script = prefix / 'lib' / NAME / NAME
    printed = run(
        [sys.executable, '-P', str(script), '--version'], prefix,
        {**os.environ, 'PYTHONPATH': str(site_packages(prefix))})
    assert printed.strip().splitlines()[-1] == '0.1.0'


def test_an_installed_package_knows_its_commit(sources: Path, tmp_path: Path) -> None:
    git = shutil.which('git')
    if git is None:
        pytest.skip('git is not installed')
    copy, built = tmp_path / 'checkout', tmp_path / 'built'
    shutil.copytree(sources, copy)
    run([git, 'init', '--quiet'], copy)
    run([git, 'add', 'setup.py'], copy)
    run([git, '-c', 'user.name=test', '-c', 'user.email=test@example.org', '-c',
         'commit.gpgsign=false', 'commit', '--quiet', '-m', 'test'], copy)
    run([sys.executable, 'setup.py', '--quiet', 'build_py', '--build-lib', str(built)], copy)
    code = f'from {NAME}.evaluation.host import commit_of_code; print(commit_of_code())'
    told = run([sys.executable, '-P', '-c', code], tmp_path,
               {**os.environ, 'PYTHONPATH': str(built)}).strip()
    assert told == run([git, 'describe', '--always', '--abbrev=12'], copy).strip()


def test_pip_puts_the_commands_on_the_path(pip_prefix: Path) -> None:
    assert {path.name for path in (pip_prefix / 'bin').iterdir()} == EXECUTABLES


def test_package_xml() -> None:
    package = ElementTree.parse(ROOT / 'package.xml').getroot()
    head = (ROOT / 'package.xml').read_text(encoding='utf-8')
    assert 'package_format3.xsd' in head
    assert package.attrib['format'] == '3'
    assert package.findtext('name') == NAME
    assert package.findtext('license') == 'Apache-2.0'
    assert package.findtext('export/build_type') == 'ament_python'
    assert package.find('build_depend') is None, 'Python needs no build_depend'


def test_versions_agree() -> None:
    from diffusion_control import __version__
    package = ElementTree.parse(ROOT / 'package.xml').getroot()
    setup = (ROOT / 'setup.py').read_text(encoding='utf-8')
    assert package.findtext('version') == __version__
    assert f"version='{__version__}'" in setup
    assert f'## [{__version__}]' in (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8')


def test_setup_cfg_has_the_lines_that_ros2_run_needs() -> None:
    text = (ROOT / 'setup.cfg').read_text(encoding='utf-8')
    assert 'script_dir = $base/lib/diffusion_control' in text
    assert 'install_scripts = $base/lib/diffusion_control' in text
    assert 'executable = /usr/bin/env python3' in text


def test_every_ros_wheel_is_pinned_and_the_base_has_no_onnxruntime(pip_prefix: Path) -> None:
    metadata = next(site_packages(pip_prefix).glob('*.dist-info/METADATA')).read_text()
    required = re.findall(r'^Requires-Dist: (.*)$', metadata, re.MULTILINE)
    base = [line for line in required if 'extra ==' not in line]
    ros = [line for line in required if "extra == 'ros'" in line or 'extra == "ros"' in line]
    assert len(ros) >= 15 and all('==' in line.split(';')[0] for line in ros)
    assert base and not [line for line in base if re.match('onnxruntime|torch|ros-', line)]
    extras = set(re.findall(r'^Provides-Extra: (.*)$', metadata, re.MULTILINE))
    assert extras == {'ros', 'cpu', 'gpu', 'tensorrt', 'sim', 'train', 'view', 'test', 'dev'}
    for name in ('sim', 'ros', 'cpu', 'view', 'dev'):
        assert not [line for line in required if f'"{name}"' in line and line.startswith('torch')]


def test_planner_of_another_package_is_found(pip_prefix: Path, tmp_path: Path) -> None:
    """A plug-in is an entry point of the group `diffusion_control.planners`, and any class."""
    plugin = tmp_path / 'plugin-1.0.dist-info'
    plugin.mkdir()
    (plugin / 'METADATA').write_text('Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n')
    (plugin / 'entry_points.txt').write_text(
        '[diffusion_control.planners]\nfancy = plugin.fancy:FancyPlanner\n')
    package = tmp_path / 'plugin'
    package.mkdir()
    (package / 'fancy.py').write_text(
        'class FancyPlanner:\n'
        '    def __init__(self, robot, *, seed=0, num_candidates=6):\n'
        '        self.told = seed, num_candidates\n')
    code = (
        'from diffusion_control import planners; print(planners.available())\n'
        'settings = {"num_candidates": 5, "horizon": 9, "model": "", "seed": 3}\n'
        'chosen = planners.settings_for("fancy", settings, "base"); print(chosen)\n'
        'print(planners.make("fancy", robot=None, seed=3, **chosen).told)')
    printed = run(
        [sys.executable, '-P', '-c', code], tmp_path,
        {**os.environ, 'PYTHONPATH': f'{site_packages(pip_prefix)}:{tmp_path}'})
    assert "'fancy'" in printed and "'training_free'" in printed
    assert "{'num_candidates': 5}" in printed and '(3, 5)' in printed
