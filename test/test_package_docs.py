# SPDX-License-Identifier: Apache-2.0
"""README and docs: links lead somewhere, and every name in them exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from diffusion_control import cli, parameters, planners
from diffusion_control.demo.options import INJECT_NAMES

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').glob('*.md'), ROOT / 'security/README.md'])
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]


def text_of(page: Path) -> str:
    return page.read_text(encoding='utf-8')


@pytest.mark.parametrize('page', PAGES, ids=IDS)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r'\]\(([^)#\s]+)', text_of(page))
    local = [link for link in links if '://' not in link]
    assert not [link for link in local if not (page.parent / link).exists()]


@pytest.mark.parametrize('page', [p for p in PAGES if p.name != 'CHANGELOG.md'],
                         ids=[i for i in IDS if i != 'CHANGELOG.md'])
def test_no_heading_stands_twice(page: Path) -> None:
    above: dict[int, str] = {}
    seen: list[tuple[str, ...]] = []
    for marks, title in re.findall(r'^(#+) (.+)$', re.sub(
            r'^```.*?^```', '', text_of(page), flags=re.MULTILINE | re.DOTALL), re.MULTILINE):
        above = {k: v for k, v in above.items() if k < len(marks)} | {len(marks): title}
        seen.append(tuple(above.values()))
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize('page', PAGES, ids=IDS)
def test_commands_exist(page: Path) -> None:
    text = text_of(page)
    verbs = set(re.findall(r'(?:bin/|`|^)diffusion_control ([a-z][a-z-]+)', text, re.MULTILINE))
    assert verbs <= set(cli.verbs())
    injected = set(re.findall(r'--inject ([a-z_0-9]+)@', text))
    assert injected <= set(INJECT_NAMES)
    targets = set(re.findall(r'`make ([a-z-]+)`|^ *make ([a-z-]+)', text, re.MULTILINE))
    makefile = text_of(ROOT / 'Makefile')
    assert all(re.search(rf'^{a or b}:', makefile, re.MULTILINE) for a, b in targets)


@pytest.mark.parametrize('page', PAGES, ids=IDS)
def test_parameters_exist(page: Path) -> None:
    nodes = '|'.join(parameters.NODES)
    for node, name in re.findall(rf'`({nodes})\.([a-z_.]+[a-z_])`', text_of(page)):
        if (ROOT / 'diffusion_control' / node / f'{name}.py').exists():
            continue
        parameters.find(node, name)


def test_readme_names_every_verb_node_and_planner() -> None:
    readme = text_of(ROOT / 'README.md')
    for verb in cli.verbs():
        assert re.search(rf'`{verb}( arm)?`', readme), verb
    for name in (*planners.registry.PLANNERS, *planners.registry.FALLBACKS):
        assert f'`{name}`' in readme, name
    assert all(node in readme for node in parameters.NODES)
    assert 'not a certified safety function' in readme
