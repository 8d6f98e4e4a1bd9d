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
from diffusion_control.evaluation.episode import Episode
from diffusion_control.evaluation.evaluation_table import expert_times, figures
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
    """Return one cell a tier and planner, see `figures`, with the median latency of a plan."""
    episodes = [Episode.of({'plan_latency_s': [], **row}) for row in rows]
    solved, found = expert_times(episodes), []
    for tier, planner in dict.fromkeys((item.tier, item.planner) for item in episodes):
        mine = [item for item in episodes if (item.tier, item.planner) == (tier, planner)]
        known = [item.plan_p50_s for item in mine if item.plan_p50_s is not None]
        found.append({'tier': tier, 'planner': planner, **figures(mine, solved),
                      'plan_p50_s': float(np.median(known)) if known else None})
    return found
