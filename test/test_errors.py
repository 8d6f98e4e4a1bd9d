# SPDX-License-Identifier: Apache-2.0
"""A name that is not known is refused in the same words everywhere, by one function."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from diffusion_control import tracking
from diffusion_control.demo.options import check_choice
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.scene_tiers import tier_named
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.tracking.parameters import TrackerParameters

PACKAGE = Path(__file__).resolve().parents[1] / 'diffusion_control'


def by_hand(tree: ast.AST) -> Iterator[int]:
    """Yield the line of each `if A not in B: raise E(..., allowed=', '.join(B))` without a remedy.

    That is what `errors.require_known` does.
    """
    for node in ast.walk(tree):
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Compare)
                and isinstance(node.test.ops[0], ast.NotIn) and isinstance(node.body[0], ast.Raise)
                and isinstance(node.body[0].exc, ast.Call)):
            continue
        given = {key.arg: ast.unparse(key.value) for key in node.body[0].exc.keywords}
        names = ast.unparse(node.test.comparators[0])
        if given == {'where': given.get('where'), 'value': ast.unparse(node.test.left),
                     'allowed': f"', '.join({names})"}:
            yield node.lineno


def test_no_registry_refuses_a_name_by_hand() -> None:
    found = [f'{path.relative_to(PACKAGE)}:{line}' for path in sorted(PACKAGE.rglob('*.py'))
             if path.name != 'errors.py' for line in by_hand(ast.parse(path.read_text()))]
    assert not found, 'errors.require_known does that'
    assert list(by_hand(ast.parse(
        "if a not in B:\n    raise E('x', where='w', value=a, allowed=', '.join(B))"))) == [1]


def test_the_demo_refuses_choices_in_one_place() -> None:
    texts = [path.read_text() for path in PACKAGE.rglob('*.py')]
    assert sum(text.count('unknown value of {where}') for text in texts) == 1


@pytest.mark.parametrize(('refuse', 'block'), [
    (lambda: tier_named('medium'),
     "unknown tier\n  where:   --tier\n  value:   'medium'\n  allowed: easy, hard"),
    (lambda: tracking.make('pid', robot=None),
     "unknown tracker\n  where:   tracker.type\n  value:   'pid'\n"
     "  allowed: mpc, mpc_osqp, mpc_torque, pd\n  remedy:  did you mean 'pd'?"),
    (lambda: TrackerParameters(warm_start='hot'),
     "unknown warm start\n  where:   tracker.warm_start\n  value:   'hot'\n"
     '  allowed: best, plan, shifted, cold'),
    (lambda: SafetyParameters(command_interface='torque'),
     "unknown command_interface\n  where:   safety.command_interface\n  value:   'torque'\n"
     '  allowed: position, velocity'),
    (lambda: Obstacle('cone', (0.1,), (0.0, 0.0, 0.0)),
     "unknown obstacle shape\n  where:   obstacle.shape\n  value:   'cone'\n"
     '  allowed: sphere, box, cylinder'),
    (lambda: check_choice('--planner', 'straight_lin', ('random', 'straight_line')),
     "unknown value of --planner\n  where:   --planner\n  value:   'straight_lin'\n"
     "  allowed: random, straight_line\n  remedy:  did you mean 'straight_line'?"),
])
def test_the_words(refuse: Callable[[], Any], block: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        refuse()
    assert caught.value.block() == block
