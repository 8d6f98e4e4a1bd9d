# SPDX-License-Identifier: Apache-2.0
"""The SROS2 policy: who may command, who may arm, and that no topic is forgotten."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
POLICY = ElementTree.parse(ROOT / 'security' / 'diffusion_control.policy.xml').getroot()
COMMAND = 'joint_trajectory_controller/joint_trajectory'


def allowed(kind: str, verb: str) -> dict[str, set[str]]:
    """Return what each node may do: kind `topic` or `service`, verb `publish`, `reply`, ..."""
    return {
        str(profile.get('node')): {
            str(item.text) for group in profile if group.get(verb) == 'ALLOW'
            for item in group.iter(kind)}
        for profile in POLICY.iter('profile')}


def who(kind: str, verb: str, name: str) -> set[str]:
    return {node for node, names in allowed(kind, verb).items() if name in names}


def test_each_node_has_an_enclave_of_its_own() -> None:
    paths = {enclave.get('path') for enclave in POLICY.iter('enclave')}
    nodes = {profile.get('node') for profile in POLICY.iter('profile')}
    assert paths == {f'/diffusion_control/{node}' for node in nodes}
    assert {'planner', 'tracker', 'safety', 'fallback', 'operator'} <= nodes


def test_only_safety_commands_and_only_the_planner_plans() -> None:
    assert who('topic', 'publish', COMMAND) == {'safety'}
    assert who('topic', 'publish', 'planner/plan') == {'planner'}
    assert who('topic', 'publish', 'fallback/plan') == {'fallback'}
    assert who('topic', 'publish', 'tracker/motion') == {'tracker'}
    assert who('topic', 'publish', 'safety/mode') == {'safety'}


def test_only_the_operator_arms_and_resets() -> None:
    for service in ('safety/reset', 'safety/pause', '/safety/change_state',
                    '/safety/set_parameters'):
        assert who('service', 'request', service) == {'operator'}
    assert who('service', 'reply', 'safety/reset') == {'safety'}
    assert who('topic', 'publish', 'emergency_stop') == {'operator'}


def test_every_topic_of_this_version_is_ruled() -> None:
    tables = yaml.safe_load((ROOT / 'test' / 'contract_tables.yaml').read_text())
    pending = yaml.safe_load((ROOT / 'docs' / 'contract_pending.yaml').read_text())
    published = set().union(*allowed('topic', 'publish').values())
    subscribed = set().union(*allowed('topic', 'subscribe').values())
    wanted = set(tables['topics']) - set(pending.get('topics', {}))
    assert wanted <= published
    assert wanted - {'/diagnostics'} <= subscribed
