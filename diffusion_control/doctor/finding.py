# SPDX-License-Identifier: Apache-2.0
"""One finding of the doctor, the table of all, and the exit code that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal['ok', 'absent', 'warn', 'error']
HARMLESS = ('ok', 'absent')
ORDER = (2, 3, 1)


@dataclass(frozen=True)
class Finding:
    """What was looked at and what was found.

    Attributes:
        check: What was looked at.
        level: `ok`, `absent` (optional, and not there), `warn` (works, but not well) or `error`
            (does not work).
        detail: What was found, with values.
        remedy: What to do about it; empty when nothing is wrong.
        code: Exit code that an error stands for: 2 configuration, 3 something is missing,
            1 a running system that breaks a rule.
    """

    check: str
    level: Level
    detail: str
    remedy: str = ''
    code: int = 1

    def __post_init__(self) -> None:
        """Refuse a complaint without a remedy."""
        if self.level not in HARMLESS and not self.remedy:
            raise ValueError(f'{self.check}: a finding needs a remedy')


def summary(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings as JSON-ready values with the exit code: 0, or that of the errors."""
    codes = {finding.code for finding in findings if finding.level == 'error'}
    first = next((code for code in ORDER if code in codes), 0)
    rows = []
    for finding in findings:
        row = asdict(finding)
        del row['code']
        rows.append(row)
    return {'schema_version': 1, 'findings': rows, 'exit_code': first}


def print_findings(findings: Sequence[Finding]) -> None:
    """Print the table; worst findings last, where they are seen."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    colours = {'absent': 'dim', 'ok': 'green', 'warn': 'yellow', 'error': 'red'}
    table = Table('check', '', title='doctor', title_justify='left')
    table.add_column('found', overflow='fold')
    table.add_column('remedy', overflow='fold')
    for finding in sorted(findings, key=lambda found: list(colours).index(found.level)):
        mark = f'[{colours[finding.level]}]{finding.level}[/]'
        table.add_row(finding.check, mark, escape(finding.detail), escape(finding.remedy))
    console = Console()
    console.print(table)
    counts = ', '.join(
        f'{sum(found.level == level for found in findings)} {level}' for level in colours)
    console.print(counts)
