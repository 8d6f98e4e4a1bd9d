# SPDX-License-Identifier: Apache-2.0
"""The benches by name, and all of them after one another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.host import commit_of_code
from diffusion_control.evaluation.kinds import KINDS

ALL = 'all'
BENCHES = ('inference', 'safety', 'tracking')


def robot_to_bench(what: str, robot: str, robot_config: str) -> str:
    """Return the name or file of the robot that a bench is for.

    Args:
        what: One of `BENCHES`, or `all`.
        robot: `arm` or `base`.
        robot_config: Name or file; '' = the usual one of the kind.

    Raises:
        ConfigurationError: A robot of another kind, or a bench that has none for a base.
    """
    chosen = robot_config or KINDS[robot].robot
    if robots.load(chosen).kind != robot:
        raise ConfigurationError(
            f'--robot {robot} needs a robot of that kind', where='--robot-config', value=chosen,
            allowed=f'a robot file of kind {robot}', remedy='name the kind by --robot')
    if robot == 'base' and what != 'safety':
        raise ConfigurationError(
            f'bench {what} is for an arm', where='--robot', value=robot, allowed='arm',
            remedy='bench safety --robot base times the tracker of a base, too')
    return chosen


def run_bench(what: str, model: str, **options: Any) -> dict[str, Any]:
    """Return the result of a bench, or of all: their rows, checks and failed names joined.

    Args:
        what: One of `BENCHES`, or `all`.
        model: Of the bench of inference.
        **options: Those of `BenchOptions`, without `commit`.
    """
    options['commit'] = commit_of_code()
    if what != ALL:
        return _prepared(what, model, options)()
    ready = {name: _prepared(name, model, options) for name in BENCHES}
    found = {name: run() for name, run in ready.items()}
    return {
        **found[BENCHES[0]],
        'rows': [{'bench': name, **row} for name in BENCHES for row in found[name]['rows']],
        'checks': [check for name in BENCHES for check in found[name]['checks']],
        'failed': [failed for name in BENCHES for failed in found[name]['failed']]}


def _prepared(what: str, model: str, options: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a bench with its options, which are checked before any bench runs."""
    if what == 'inference':
        from diffusion_control.evaluation.bench_inference import (
            BenchInferenceOptions,
            bench_inference,
        )
        return partial(bench_inference, BenchInferenceOptions(**options, model=model))
    if what == 'tracking':
        from diffusion_control.evaluation.bench_tracking import (
            BenchTrackingOptions,
            bench_tracking,
        )
        return partial(bench_tracking, BenchTrackingOptions(**options))
    from diffusion_control.evaluation.bench_safety import BenchSafetyOptions, bench_safety
    return partial(bench_safety, BenchSafetyOptions(**options))
