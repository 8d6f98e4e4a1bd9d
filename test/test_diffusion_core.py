# SPDX-License-Identifier: Apache-2.0
"""The core runs without torch; every arithmetic slip in a sampler is noticed; coloured noise."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from diffusion_control.diffusion import samplers, sampling, schedules
from diffusion_control.diffusion.levels import select
from diffusion_control.diffusion.noise import colour_of, white
from diffusion_control.diffusion.prediction import PREDICTIONS, Prediction
from diffusion_control.diffusion.samplers.ancestral import Ancestral
from diffusion_control.diffusion.samplers.ddpm import Ddpm
from diffusion_control.diffusion.samplers.dpm_solver_pp_2m import DpmSolverPp2M
from diffusion_control.diffusion.samplers.heun import Heun
from diffusion_control.diffusion.schedules.flow import FlowSchedule
from diffusion_control.diffusion.table import COLUMNS, tabulate
from diffusion_control.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'diffusion_control' / 'diffusion'
WITH_TORCH = {'conditioning', 'denoisers', 'ema', 'export', 'graph_step', 'loss',
              'random_model', 'value', 'value_iteration'}
WITH_ONNX = {'scan'}
SAMPLERS = 'diffusion_control.diffusion.samplers'


def core_modules() -> list[str]:
    names = [path.relative_to(ROOT).with_suffix('').parts for path in sorted(FOLDER.rglob('*.py'))]
    return ['.'.join(parts).removesuffix('.__init__') for parts in names
            if parts[2] not in WITH_TORCH | WITH_ONNX]


def test_the_core_needs_numpy_only() -> None:
    code = 'import importlib, sys\n' + ''.join(
        f'importlib.import_module({name!r})\n' for name in core_modules())
    code += 'print(" ".join({name.split(".")[0] for name in sys.modules}))'
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert len(core_modules()) > 20 and 'numpy' in loaded
    assert not loaded & {'torch', 'onnx', 'onnxruntime', 'scipy', 'numba', 'rclpy'}


def test_example_of_the_docs_runs() -> None:
    page = (ROOT / 'docs' / 'diffusion.md').read_text(encoding='utf-8')
    (code,) = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    space: dict[str, Any] = {}
    exec(code, space)
    motions, plan = space['motions'], space['plan']
    assert motions.shape == (16, 32, 7) and motions.dtype == np.float32
    assert np.abs(motions[:, :3] - plan[:3]).max() <= 1e-6


def test_the_page_names_everything() -> None:
    page = (ROOT / 'docs' / 'diffusion.md').read_text(encoding='utf-8')
    files = {path.name for path in FOLDER.glob('*.py')}
    assert {name for name in re.findall(r'`(\w+\.py)`', page)} <= files
    for name in (*samplers.SAMPLERS, *schedules.SCHEDULES, *PREDICTIONS):
        assert f'`{name}`' in page, name
    assert f'[rows, {len(COLUMNS)}]' in page


SWAPS: dict[type[ast.operator], ast.operator] = {
    ast.Add: ast.Sub(), ast.Sub: ast.Add(), ast.Mult: ast.Div(), ast.Div: ast.Mult()}


def mutants(source: str) -> Iterator[tuple[str, ast.Module]]:
    """Yield the source with one operator of arithmetic swapped at a time."""
    spots = [
        i for i, node in enumerate(ast.walk(ast.parse(source)))
        if isinstance(node, ast.BinOp) and type(node.op) in SWAPS
        and not (isinstance(node.op, ast.Mult) and isinstance(node.left, ast.List))]
    for spot in spots:
        tree = ast.parse(source)
        node = list(ast.walk(tree))[spot]
        assert isinstance(node, ast.BinOp)
        before = ast.unparse(node)
        node.op = SWAPS[type(node.op)]
        yield f'{before} -> {ast.unparse(node)}', ast.fix_missing_locations(tree)


def oracle(name: str) -> Any:
    """Return the cases of the comparison with diffusers that a module takes part in."""
    pytest.importorskip('diffusers')
    pytest.importorskip('torch')
    tests = importlib.import_module('test_diffusion_samplers')
    wanted = {
        'ddim': ['ddim', 'ddim_1'], 'euler': ['euler', 'heun'], 'heun': ['heun'],
        'dpm_solver_pp_2m': ['dpm_solver_pp_2m', 'dpm_solver_pp_2m_sde'],
        'moves': ['ddpm', 'ddpm_large', 'ddim_1']}[name]
    return tests, [tests.CASES[case] for case in wanted]


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', ['ddim', 'euler', 'heun', 'dpm_solver_pp_2m', 'moves'])
def test_every_slip_in_a_sampler_is_noticed(name: str) -> None:
    """Each + - * / of the file is swapped in turn; diffusers must disagree, or the table break."""
    tests, cases = oracle(name)
    module = importlib.import_module(f'{SAMPLERS}.{name}')
    source = Path(str(module.__file__)).read_text(encoding='utf-8')
    assert not noticed(tests, cases, module, ast.parse(source))
    found = [(what, noticed(tests, cases, module, tree)) for what, tree in mutants(source)]
    assert len(found) >= 5
    assert not [what for what, seen in found if not seen]


def noticed(tests: Any, cases: list[Any], module: ModuleType, tree: ast.Module) -> bool:
    """Say whether any case notices that a module is replaced by a tree."""
    users = [module, *(importlib.import_module(f'{SAMPLERS}.{user}')
                       for user in ('ddpm', 'ddim', 'euler', 'heun', 'dpm_solver_pp_2m'))]
    broken: dict[str, Any] = {'__name__': module.__name__}
    exec(compile(tree, 'mutant', 'exec', dont_inherit=True), broken)
    own = {key: value for key, value in broken.items()
           if getattr(value, '__module__', '') == module.__name__}
    with pytest.MonkeyPatch.context() as patch:
        for key, value in own.items():
            for user in users:
                if key in vars(user):
                    patch.setattr(user, key, value)
        return any(differs(tests, case, own) for case in cases)


def differs(tests: Any, case: Any, broken: dict[str, Any]) -> bool:
    """Say whether the oracle, or a check of our own, notices."""
    kind = type(case.sampler)
    options = {key: value for key, value in vars(case.sampler).items() if key != 'name'}
    made = broken.get(kind.__name__, kind)(**options)
    try:
        with np.errstate(all='ignore'):
            worst = tests.difference(replace(case, sampler=made), 'epsilon')
            if kind is Heun:  # only in flow matching is its p other than 1
                worst = max(worst, tests.flow_difference(
                    made, 'FlowMatchHeunDiscreteScheduler', 11))
            return not worst < 10 * tests.TOLERANCE
    except (ConfigurationError, IndexError, ValueError, AssertionError, ZeroDivisionError):
        return True


def test_colour_has_the_covariance_of_the_data() -> None:
    generator = np.random.default_rng(0)
    horizon = 6
    truth = np.exp(-np.abs(np.subtract.outer(np.arange(6), np.arange(6))) / 2.0)
    motions = 3.0 + 5.0 * np.linalg.cholesky(truth) @ generator.normal(size=(20000, horizon, 2))
    colour = colour_of(motions, floor=1e-6)
    drawn = colour.draw(generator, (20000, horizon, 2))
    assert drawn.dtype == np.float32
    found = np.einsum('mhd,mgd->hg', drawn, drawn) / (20000 * 2)
    assert np.abs(found - truth).max() < 0.03
    assert np.trace(colour.factor @ colour.factor.T) == pytest.approx(horizon)
    constant = np.ones((5, horizon, 1)) * np.arange(5.0)[:, None, None]
    assert np.linalg.eigvalsh(colour_of(constant).factor @ colour_of(constant).factor.T).min() > 0


@pytest.mark.parametrize('sampler', [Ancestral(), Ddpm(), DpmSolverPp2M()])
def test_samplers_do_not_see_the_colour(sampler: Any) -> None:
    """A run in coloured noise is L times the run of the whitened motions."""
    generator = np.random.default_rng(1)
    factor = colour_of(np.cumsum(generator.normal(size=(50, 8, 2)), axis=1)).factor
    noise, fresh = generator.normal(size=(4, 8, 2)), generator.normal(size=(5, 4, 8, 2))
    table = tabulate(sampler, FlowSchedule(), Prediction('flow'), 5)
    def network(x: Any, time: Any) -> Any:
        return np.tanh(x) + time * 1e-3
    def coloured(x: Any, time: Any) -> Any:
        return factor @ network(np.linalg.solve(factor, x), time)
    plain = sampling.sample(network, table, noise, fresh=fresh)
    found = sampling.sample(coloured, table, factor @ noise, fresh=factor @ fresh)
    assert np.allclose(found, factor @ plain, atol=1e-9)


def test_colour_refuses_what_has_none() -> None:
    for motions in (np.ones((3, 4, 2)), np.ones((1, 4, 2)), np.full((3, 4, 2), np.nan)):
        with pytest.raises(ConfigurationError):
            colour_of(motions)
    assert np.array_equal(white(3).factor, np.eye(3))
    assert select(FlowSchedule(), 1).sigma.tolist() == [1.0, 0.0]
