# SPDX-License-Identifier: Apache-2.0
"""What the verbs share: errors as one block, exit codes, JSON alone on stdout, tables."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from diffusion_control.errors import ConfigurationError, DiffusionControlError

OK, VIOLATION, BAD_INPUT, MISSING, INTERRUPTED = 0, 1, 2, 3, 130
DEBUG = 'DIFFUSION_CONTROL_DEBUG'
SHOULD_BE = 'Input should be '
EXTRAS = {
    'rclpy': 'ros', 'std_msgs': 'ros', 'sensor_msgs': 'ros', 'trajectory_msgs': 'ros',
    'onnxruntime': 'cpu', 'tensorrt': 'tensorrt', 'mujoco': 'sim', 'torch': 'train',
    'viser': 'view',
}


def guarded(action: Callable[[], int]) -> int:
    """Run an action and return its exit code; an error becomes one short block on stderr.

    130 interrupted, 2 bad input, 3 something is missing, 1 anything else. With the environment
    variable DIFFUSION_CONTROL_DEBUG=1 an error that is not the user's keeps its traceback.
    """
    try:
        return action()
    except KeyboardInterrupt:
        return _tell('interrupted', INTERRUPTED)
    except DiffusionControlError as error:
        return _tell(error.block(), error.exit_code)
    except ImportError as error:
        if os.environ.get(DEBUG) == '1':
            raise
        return _tell(_missing_block(error), MISSING)
    except Exception as error:
        if type(error).__name__ == 'Abort':
            return _tell('interrupted', INTERRUPTED)
        if hasattr(error, 'format_message'):
            return _tell(_usage_block(error), BAD_INPUT)
        if os.environ.get(DEBUG) == '1':
            raise
        return _tell(
            f'internal error: {type(error).__name__}: {error}\n'
            f'  remedy:  run again with {DEBUG}=1 and report what it prints', VIOLATION)


def _tell(block: str, code: int) -> int:
    print(block, file=sys.stderr, flush=True)
    return code


def install_command(module: str) -> str:
    """Return the command that brings a module of `EXTRAS`."""
    return f"pip install 'diffusion_control[{EXTRAS[module]}]'"


def _missing_block(error: ImportError) -> str:
    """Return the message for a package that is not installed."""
    name = (error.name or str(error)).split('.')[0]
    remedy = install_command(name) if name in EXTRAS else f'install {name}'
    if EXTRAS.get(name) == 'ros':
        remedy += ', or source a ROS 2 installation'
    return f'a package is missing\n  where:   {error}\n  remedy:  {remedy}'


def _usage_block(error: Any) -> str:
    """Return the message for a command line that typer refuses."""
    context = getattr(error, 'ctx', None)
    where = context.command_path if context is not None else 'diffusion_control'
    text = ' '.join(str(error.format_message()).split())
    refused = getattr(error.__cause__ or error.__context__, 'errors', None)
    found: dict[str, Any] = refused()[0] if refused is not None else {}
    said = str(found.get('msg', ''))
    if said.startswith(SHOULD_BE):
        text, said = text.removesuffix(f': {said}'), said.removeprefix(SHOULD_BE).split(',')[0]
    told = ConfigurationError(
        text, where=where, value=found.get('input'), allowed=said, remedy=f'{where} --help')
    return told.block()


@contextlib.contextmanager
def output(as_json: bool) -> Iterator[None]:
    """Print the ROS domain; with `as_json` send everything printed inside to stderr.

    The file descriptor itself is redirected, so that libraries and child processes obey too.
    """
    domain = os.environ.get('ROS_DOMAIN_ID', '0')
    print(f'ROS_DOMAIN_ID {domain}', file=sys.stderr, flush=True)
    if not as_json:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def print_json(value: object) -> None:
    """Print a result as JSON on stdout."""
    print(json.dumps(value, indent=2, allow_nan=False), flush=True)


def finish(result: Mapping[str, Any], as_json: bool) -> int:
    """Print a result with rows and checks and return its exit code: 1 if a check failed."""
    if as_json:
        print_json(result)
    else:
        print_table('checks', result['checks'])
        failed = ', '.join(result['failed']) or 'none'
        print(f'failed: {failed}')
    return VIOLATION if result['failed'] else OK


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table on stdout; the columns are the keys of the first row."""
    from rich.console import Console
    from rich.table import Table

    if not rows:
        print(f'{title}: none')
        return
    columns = list(rows[0])
    table = Table(*columns, title=title, title_justify='left')
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _cell(value: Any) -> str:
    """Return one value as text: four digits, a dash for nothing, a list as low .. high."""
    if value is None:
        return '-'
    if isinstance(value, float):
        return f'{value:.4g}'
    if isinstance(value, list | tuple):
        return ' .. '.join(_cell(entry) for entry in value)
    return str(value)
