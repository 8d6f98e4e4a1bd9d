# SPDX-License-Identifier: Apache-2.0
"""Closed loops over unseen scenes: what `evaluate arm` found of the same model, if it was run.

They take hours, go on with `--resume` by themselves, and have their own table; so the bench reads
their result beside its own folder in place of running them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_control.evaluation.bench_inference_setup import ABSENT, PLANNER, Row, Setup, Task
from diffusion_control.evaluation.evaluation_checks import EXPERT
from diffusion_control.evaluation.row_store import RESULT, SETTINGS, contents

COMMAND = 'diffusion_control evaluate arm --planner diffuser --untrained --tier both ' \
          '--episodes 250 --jobs 2 --resume'


def read_scenes(setup: Setup, task: Task) -> Row:
    """Return means by tier and planner, and the checks; `absent` says how to get them."""
    del task
    name = Path(setup.robot_config).stem
    files = sorted(setup.folder.parent.glob(f'evaluate_arm-{name}-*-{PLANNER}/{RESULT}'))
    wanted, found = set(contents((setup.model,)).values()), None
    for file in files:
        settings = json.loads(file.with_name(SETTINGS).read_text(encoding='utf-8'))
        if wanted <= set(settings['contents'].values()):
            found = file
    if found is None:
        return {ABSENT: f'no result of this model in {setup.folder.parent}: {COMMAND} --out '
                        f'{setup.folder.parent}'}
    result = json.loads(found.read_text(encoding='utf-8'))
    return {'file': str(found), 'commit': result['commit'], 'checks': result['checks'],
            'cells': cells(result['rows'])}


def cells(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one cell a tier and planner: success, time over the expert's, and so on."""
    expert = {(row['tier'], row['episode']): row['time_s'] for row in rows
              if row['planner'] == EXPERT and row['success']}
    found = []
    for tier, planner in dict.fromkeys((row['tier'], row['planner']) for row in rows):
        mine = [row for row in rows if (row['tier'], row['planner']) == (tier, planner)]
        known = [row for row in mine if (tier, row['episode']) in expert]
        both = [row for row in known if row['success']]
        times = np.array([[row['time_s'], expert[tier, row['episode']]] for row in both])
        found.append({
            'tier': tier, 'planner': planner, 'n': len(mine),
            'success': float(np.mean([row['success'] for row in mine])),
            'of_the_expert': len(both) / len(known) if known else None,
            'time_ratio': float(times[:, 0].mean() / times[:, 1].mean()) if both else None,
            'contact_moving': sum(row['contact_moving'] for row in mine),
            'violations': sum(sum(v for v in row['violations'].values() if v) for row in mine),
            'evaluations': float(np.mean([row['evaluations'] for row in mine])),
            'plan_p50_s': _median([row['plan_p50_s'] for row in mine])})
    return found


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
