# SPDX-License-Identifier: Apache-2.0
"""Our exported denoisers beside the peers' networks: runs `benchmarks/inference_peers.py`.

The peers live in an environment of their own (`benchmarks/peers/README.md`). The environment
variable `DIFFUSION_CONTROL_PEERS` names its python; without it, or without a checkout, there is
nothing to compare with.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from diffusion_control.evaluation.bench_inference_setup import ABSENT, Row, Setup, Task

VARIABLE = 'DIFFUSION_CONTROL_PEERS'
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path('benchmarks', 'inference_peers.py')
ALIKE = 0.1
BATCHES = ('1', '16')
LONGEST_S = 3600.0


def measure_peers(setup: Setup, task: Task) -> Row:
    """Return the ratios of every shape and network of ours; `absent` says why there are none."""
    del setup
    python, script = os.environ.get(VARIABLE, ''), ROOT / SCRIPT
    if not python:
        return {ABSENT: f'{VARIABLE} does not name the python of the peers, see '
                        'benchmarks/peers/README.md'}
    if not Path(python).exists():
        return {ABSENT: f'{VARIABLE}: there is no {python}'}
    if not script.exists():
        return {ABSENT: f'no checkout: {script} is not there'}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / 'times.json'
        paths = filter(None, (str(ROOT), os.environ.get('PYTHONPATH', '')))
        done = subprocess.run(
            [sys.executable, str(script), '--peers-python', python, '--out', str(out), '--rounds',
             str(task.amount)],
            capture_output=True, text=True, check=False, timeout=LONGEST_S,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths)})
        if done.returncode or not out.exists():
            words = done.stderr.strip().splitlines() or ['silently']
            return {ABSENT: f'{SCRIPT} ended with {done.returncode}: {words[-1]}'}
        return ratios(json.loads(out.read_text(encoding='utf-8')))


def ratios(found: dict[str, Any]) -> Row:
    """Return latency over that of the best peer, for our networks that are as large as theirs.

    A network whose parameters are not within 10 % of our first one's is left out.
    """
    cells = [
        {'horizon': shape['horizon'], 'network': row['name'], 'batch': int(batch),
         **{key: row['batch'][batch][key]
            for key in ('p50_s', 'p99_s', 'n', 'best_peer', 'ratio', 'ratio_rounds')}}
        for shape in found['shapes'] for row in shape['rows']
        if row['ours'] and abs(row['parameters_ratio'] - 1.0) <= ALIKE
        for batch in BATCHES if 'ratio' in row['batch'].get(batch, {})]
    absent = {name: reason for shape in found['shapes']
              for name, reason in shape['absent'].items()}
    if not cells:
        reasons = '; '.join(f'{name}: {reason}' for name, reason in absent.items())
        return {ABSENT: f'no peer could be measured: {reasons}'}
    return {'cells': cells, 'peers_absent': absent}
