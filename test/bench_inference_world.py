# SPDX-License-Identifier: Apache-2.0
"""Rows of `bench inference` made by hand, and what its checks make of them."""

from __future__ import annotations

from typing import Any

from diffusion_control.evaluation.bench_inference_checks import PLANS_ASKED, result_of


def row(part: str, name: str, seed: int = 0, **values: Any) -> dict[str, Any]:
    return {'part': part, 'name': name, 'seed': seed, 'amount': 1, **values}


def plan_row(name: str, wall_s: float = 0.04, lasting: float | None = 3.0,
             count: int = PLANS_ASKED, **values: Any) -> dict[str, Any]:
    return row('plans', name, wall_s=[wall_s] * count, cpu_s=[wall_s] * count,
               success=[lasting is not None] * count, duration_s=[lasting] * count,
               parameters={}, wall_p50_s=wall_s, wall_p99_s=wall_s, cpu_p50_s=wall_s,
               cpu_p99_s=wall_s, **values)


def deadline_row(ms: int, late: int = 0, **values: Any) -> dict[str, Any]:
    count = PLANS_ASKED
    spent = [2.0] * late + [0.5e-3 * ms] * (count - late)
    return row('deadline', f'{ms} ms', deadline_s=ms / 1000, wall_s=spent, cpu_s=spent,
               **{'evaluations': [1] * count, 'cost_s': [3.0] * count,
                  'success': [True] * count, **values}, wall_p50_s=0.1, wall_p99_s=0.1)


def loop_rows(part: str, name: str, count: int, missed: int = 0, **values: Any) -> list[Any]:
    return [row(part, name, seed, success=seed >= missed, plans=10, rejected=0,
                **{'time_s': 3.0 if seed >= missed else None, 'flips': 0,
                   'plan_distance_rad': 0.1, 'jerk_rms_rad_s3': 10.0, **values})
            for seed in range(count)]


def checks(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    result = result_of(rows, commit='', command='')
    return {check['name']: check for check in result['checks']}
