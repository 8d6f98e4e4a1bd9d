# SPDX-License-Identifier: Apache-2.0
"""Latency of a whole plan: our exported denoisers beside the peers' networks, in one run.

Usage: benchmarks/peers/README.md makes the peers' environment; then
       python benchmarks/inference_peers.py --torch-python TORCH/bin/python [--out times.json]

Equal horizon, channels, condition, features of each level and number of DDIM steps; random
weights; one thread each; noise and condition as arrays of the process, the noise drawn in the
plan. Ours is `diffusion_control.inference` (ONNX Runtime on the CPU) on the whole sampler, which
a python with torch exports first. Each peer runs in a process of its own with its own sampler
(`peers/run_peer.py`). All take turns, round after round, so that the noise of a shared machine
hits all alike, and nothing else of this run computes meanwhile. A ratio is our median over the
least median of a peer, with the least and the greatest that a single round gave. A network whose
parameters are not within 10 % of our first one's is marked. What is absent is named with the
reason.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numbers_given import positive, seed_number
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from diffusion_control import inference
from diffusion_control.diffusion.prediction import Prediction
from diffusion_control.diffusion.samplers import make_sampler
from diffusion_control.diffusion.sampling import begin
from diffusion_control.diffusion.schedules import make_schedule
from diffusion_control.diffusion.table import tabulate
from diffusion_control.evaluation.host import commit_of_code, host_information

Array = NDArray[np.float32]
HERE = Path(__file__).resolve().parent
OURS = ('temporal_unet', 'film_unet')
PEERS = ('lerobot', 'diffusers', 'diffuser', 'cleandiffuser_janner', 'cleandiffuser_chi')
EXPORTING = ('torch', 'onnx', 'onnxscript')
WARM, ALIKE = 3, 0.1


@dataclass
class Contestant:
    """A network that plans: what it is, how it is timed, the seconds of each batch's rounds."""

    about: dict[str, Any]
    ours: bool
    timed: Callable[[int, int], list[float]]
    spent: dict[int, list[list[float]]] = field(default_factory=dict)

    def percentile(self, batch: int, percent: float) -> float:
        """Return a percentile over all rounds [s]."""
        return float(np.percentile(np.concatenate(self.spent[batch]), percent))

    def medians(self, batch: int) -> NDArray[np.float64]:
        """Return the median of each round [s]."""
        return np.array([np.median(spent) for spent in self.spent[batch]])


def shape_options(asked: argparse.Namespace, horizon: int) -> list[str]:
    """Return what the scripts in `peers/` are told of the shape."""
    factors = [str(factor) for factor in asked.factors]
    return ['--horizon', str(horizon), '--channels', str(asked.channels),
            '--condition', str(asked.condition), '--width', str(asked.width),
            '--factors', *factors, '--seed', str(asked.seed)]


def exported(name: str, folder: Path, asked: argparse.Namespace, horizon: int) -> dict[str, Any]:
    """Write one of our networks to a folder, by a python with torch; return what it says."""
    root = str(HERE.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get('PYTHONPATH', ''))))
    done = subprocess.run(
        [asked.torch_python, str(HERE / 'peers' / 'export_ours.py'), name, str(folder),
         *shape_options(asked, horizon)],
        capture_output=True, text=True, check=False, env={**os.environ, 'PYTHONPATH': path})
    if done.returncode:
        words = done.stderr.strip().splitlines() or ['silently']
        raise SystemExit(f'{asked.torch_python} cannot export {name}: {words[-1]}')
    about: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return about


def ours(name: str, folder: Path, asked: argparse.Namespace, horizon: int) -> Contestant:
    """Return one of our networks behind `diffusion_control.inference`."""
    about = exported(name, folder, asked, horizon)
    sampler = inference.load(folder, threads=1)
    about['version'] = f'onnxruntime {sampler.info()["version"]}'
    table = tabulate(
        make_sampler('ddim'), make_schedule('cosine'), Prediction('epsilon'), asked.steps)
    rows = table.rows.astype(np.float32)
    random = np.random.default_rng(asked.seed)

    def timed(batch: int, repeats: int) -> list[float]:
        shape = (batch, horizon, asked.channels)
        nothing = np.zeros(shape, np.float32)
        given = {
            'table': rows, 'mask': nothing, 'known': nothing,
            'fresh_noise': np.zeros((asked.steps, *shape), np.float32),
            'clip_bound': np.ones(1, np.float32),
            'condition': random.standard_normal((batch, asked.condition), dtype=np.float32)}

        def plan() -> Array:
            state = begin(table.alpha, table.sigma, random.standard_normal(shape, np.float32))
            found: Array = sampler.run(
                {**given, 'x': state.x, 'base': state.base, 'clean': state.clean},
                asked.steps)['x_out']
            return found
        return seconds(plan, repeats, shape)
    return Contestant(about, True, timed)


def seconds(plan: Callable[[], Array], repeats: int, shape: tuple[int, ...]) -> list[float]:
    """Return the seconds of complete plans after a warm-up, whose results are checked."""
    for _ in range(WARM):
        motions = plan()
    if motions.shape != shape or not np.isfinite(motions).all():
        raise SystemExit(f'no finite motions of shape {shape}: {motions.shape}')
    spent = []
    for _ in range(repeats):
        begun = time.perf_counter()
        plan()
        spent.append(time.perf_counter() - begun)
    return spent


def peer(
    name: str, asked: argparse.Namespace, horizon: int, until: contextlib.ExitStack,
) -> Contestant:
    """Return a peer in a process of its own; `about` has the key `absent` if it is not there."""
    if not Path(asked.peers_python).exists():
        return absent(name, f'no {asked.peers_python}, see benchmarks/peers/README.md')
    errors = until.enter_context(tempfile.TemporaryFile('w+'))
    process = until.enter_context(subprocess.Popen(  # it ends when its standard input does
        [asked.peers_python, str(HERE / 'peers' / 'run_peer.py'), name, '--serve', '--steps',
         str(asked.steps), *shape_options(asked, horizon)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True))

    def answer(line: str) -> Any:
        assert process.stdin is not None and process.stdout is not None
        if line:
            print(line, file=process.stdin, flush=True)
        heard = process.stdout.readline()
        if heard:
            return json.loads(heard)
        errors.seek(0)
        words = errors.read().strip().splitlines() or ['silently']
        return {'name': name, 'absent': f'ended with {process.wait()}: {words[-1]}'}

    def timed(batch: int, repeats: int) -> list[float]:
        spent = answer(f'{batch} {repeats}')
        if isinstance(spent, dict):
            raise SystemExit(f'{name} broke off: {spent["absent"]}')
        return [float(value) for value in spent]
    return Contestant(answer(''), False, timed)


def absent(name: str, reason: str) -> Contestant:
    """Return a peer that cannot be measured."""
    return Contestant({'name': name, 'absent': reason}, False, lambda batch, repeats: [])


def take_turns(all_: Sequence[Contestant], asked: argparse.Namespace) -> None:
    """Fill in the seconds: every round, every batch, one network after the other."""
    for _ in range(asked.rounds):
        for batch in asked.batches:
            for one in all_:
                one.spent.setdefault(batch, []).append(one.timed(batch, asked.repeats))


def row(one: Contestant, all_: Sequence[Contestant], batches: Sequence[int]) -> dict[str, Any]:
    """Return the numbers of one network; ratios are to the best peer of each batch."""
    found = {**one.about, 'ours': one.ours, 'batch': {}}
    found['parameters_ratio'] = one.about['parameters'] / all_[0].about['parameters']
    for batch in batches:
        cell: dict[str, Any] = {
            'p50_s': one.percentile(batch, 50), 'p99_s': one.percentile(batch, 99),
            'n': sum(map(len, one.spent[batch]))}
        peers = [other for other in all_ if not other.ours]
        if peers:
            best = min(peers, key=lambda other: other.percentile(batch, 50))
            rounds = one.medians(batch) / best.medians(batch)
            cell |= {'best_peer': best.about['name'],
                     'ratio': cell['p50_s'] / best.percentile(batch, 50),
                     'ratio_rounds': [float(rounds.min()), float(rounds.max())],
                     'ratio_p99': cell['p99_s'] / best.percentile(batch, 99)}
        found['batch'][batch] = cell
    return found


def compare(asked: argparse.Namespace, horizon: int) -> dict[str, Any]:
    """Return what one shape gives: a row for each network, a reason for each that is absent."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as until:
        mine = [ours(name, Path(folder) / name, asked, horizon) for name in OURS]
        found = [peer(name, asked, horizon, until) for name in asked.peers]
        present = [*mine, *(one for one in found if 'absent' not in one.about)]
        take_turns(present, asked)
    return {
        'horizon': horizon, 'rows': [row(one, present, asked.batches) for one in present],
        'absent': {one.about['name']: one.about['absent'] for one in found
                   if 'absent' in one.about}}


def show(result: dict[str, Any], asked: argparse.Namespace, console: Console) -> None:
    """Print one shape."""
    table = Table(title=f'{result["horizon"]} x {asked.channels}, {asked.steps} steps of DDIM, '
                        f'levels of {[asked.width * factor for factor in asked.factors]} features')
    for name in ('network', 'version', 'parameters'):
        table.add_column(name, overflow='fold')
    for batch in asked.batches:
        for name in ('p50', 'p99', 'ratio'):
            table.add_column(f'{name}\nbatch {batch}', justify='right')
    for found in result['rows']:
        alike = abs(found['parameters_ratio'] - 1.0) <= ALIKE
        version = found['version'] + ('' if found['ours'] else f', torch {found["torch"]}')
        cells = [text for batch in asked.batches for text in _cells(found['batch'][batch])]
        table.add_row(
            found['name'], version,
            f'{found["parameters"]}{"" if alike else " (not alike)"}', *cells)
    console.print(table)
    for name, reason in result['absent'].items():
        console.print(f'absent: {name}: {reason}', markup=False)


def _cells(cell: dict[str, Any]) -> list[str]:
    times = [f'{1e3 * cell[key]:.2f} ms' for key in ('p50_s', 'p99_s')]
    if 'ratio' not in cell:
        return [*times, '']
    least, greatest = cell['ratio_rounds']
    return [*times, f'{cell["ratio"]:.2f}\n{least:.2f}-{greatest:.2f}']


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    exports = all(map(find_spec, EXPORTING))
    parser.add_argument('--torch-python', default=sys.executable if exports else None,
                        help='python that exports our networks')
    parser.add_argument('--peers-python', default=str(HERE / 'peers' / '.venv' / 'bin' / 'python'))
    parser.add_argument('--peers', nargs='+', default=PEERS)
    parser.add_argument('--horizons', type=positive, nargs='+', default=[16, 32])
    parser.add_argument('--channels', type=positive, default=7)
    parser.add_argument('--condition', type=positive, default=14, help='length of the condition')
    parser.add_argument('--width', type=positive, default=64, help='features of the first level')
    parser.add_argument('--factors', type=positive, nargs='+', default=[1, 2, 4])
    parser.add_argument('--steps', type=positive, default=10)
    parser.add_argument('--batches', type=positive, nargs='+', default=[1, 16])
    parser.add_argument('--rounds', type=positive, default=20)
    parser.add_argument(
        '--repeats', type=positive, default=25, help='plans of a network in a round')
    parser.add_argument('--seed', type=seed_number, default=0)
    parser.add_argument('--out', type=Path, help='where to write everything as JSON')
    asked = parser.parse_args()
    if asked.torch_python is None:
        parser.error(f'--torch-python must name a python with {", ".join(EXPORTING)}; '
                     f'{sys.executable} lacks some')
    if asked.out and not asked.out.resolve().parent.is_dir():
        parser.error(f'--out: no folder {asked.out.resolve().parent}')
    return asked


def main() -> None:
    """Print the tables."""
    asked, console = arguments(), Console(width=120)
    os.environ['OMP_NUM_THREADS'] = '1'
    results = [compare(asked, horizon) for horizon in asked.horizons]
    for result in results:
        show(result, asked, console)
    host = {**host_information(), 'load': os.getloadavg()}
    console.print(f'{host["cpu"]}, {host["cores"]} cores, Python {host["python"]}, load '
                  f'{host["load"][0]:.1f}; commit {commit_of_code()}; {asked.rounds} rounds of '
                  f'{asked.repeats} plans, one thread each', markup=False)
    if asked.out:
        asked.out.write_text(json.dumps({
            'command': sys.argv, 'options': {**vars(asked), 'out': str(asked.out)}, 'host': host,
            'commit': commit_of_code(), 'shapes': results}, indent=1), encoding='utf-8')


if __name__ == '__main__':
    main()
