# SPDX-License-Identifier: Apache-2.0
"""What a run looks like in a terminal: the live panel and the closing tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from diffusion_control.evaluation.goal_times import OPEN_S

STATE_STYLE = {
    'NOMINAL': 'bold green', 'DEGRADED': 'bold yellow', 'FALLBACK': 'bold dark_orange',
    'STOPPING': 'bold red', 'HOLD': 'bold magenta', 'EMERGENCY': 'bold white on red',
    'NO_MONITOR': 'bold red', 'AT_REST': 'bold magenta'}
NOTHING = '–'
FAULT_NUMBERS = '{:<17} {:>7} {:>5} {:>8} {:>11} {:>7}  '
FAST = ('tracker', 'safety', 'command', 'joint_states')
RATE_NAMES = ('planner', 'tracker', 'safety', 'command', 'joint_states')


def closing_table(summary: Mapping[str, Any]) -> RenderableType:
    """Return the closing tables of a summary: outcome, rates, planning, safety, faults."""
    parts: list[RenderableType] = [
        _outcome(summary), Text(), _rates(summary), Text(),
        Columns([_control(summary), _safety(summary)], padding=(0, 3))]
    if summary['faults']:
        parts += [Text(), fault_table(summary['faults'])]
    unexpected = [row['node'] for row in summary['deaths'] if not row['expected']]
    if unexpected:
        parts += [Text(f'died unexpectedly: {", ".join(unexpected)}', style='bold red')]
    return Group(*parts)


def fault_table(faults: Sequence[Mapping[str, Any]]) -> Group:
    """Return two lines for each injected fault, within 80 columns: numbers and end, states."""
    names = ('fault', 'at', 'speed', 'detected', 'first brake', 'at rest')
    lines: list[RenderableType] = [
        Text('Injected faults', style='italic'),
        Text(FAULT_NUMBERS.format(*names) + 'expected', style='bold')]
    for row in faults:
        seed = f'seed {row["seed"]}  ' if 'seed' in row else ''
        path = Text.assemble((seed, 'dim'), _path(row['state_path']))
        lines += [_fault_numbers(row), Padding(path, (0, 0, 0, 4))]
    return Group(*lines)


def live_panel(values: Mapping[str, Any]) -> Panel:
    """Return the live view of a run; every value may be missing.

    Args:
        values: `time_s`, `duration_s`, `state`, `cause`, `mode`; `rates_hz` {name: Hz};
            `plan_latency_s`, `plan_source`, `confidence`, `clearance_m`, `speed_share`,
            `interventions`, `fallback_ticks`, `missed_ticks`, `goals_reached`, `goal_open_s`,
            `fault` (the last one that was injected), `note`.
    """
    table = Table.grid(padding=(0, 2))
    for style in ('dim', '', 'dim', ''):
        table.add_column(style=style, no_wrap=True)
    rates = values.get('rates_hz') or {}
    shown = '  '.join(f'{name} {number(rates.get(name), "", 1)}' for name in RATE_NAMES
                      if name in rates)
    table.add_row('state', _state(values.get('state')), 'follows',
                  str(values.get('mode') or NOTHING))
    table.add_row('goals reached', number(values.get('goals_reached'), '', 0), 'goal open for',
                  number(values.get('goal_open_s'), 's', 1))
    table.add_row('plan latency', number(values.get('plan_latency_s'), 'ms', 0, 1e3), 'source',
                  f'{values.get("plan_source") or NOTHING}, confidence '
                  f'{number(values.get("confidence"), "", 2)}')
    table.add_row('clearance', _clearance(values.get('clearance_m')), 'speed',
                  _bar(values.get('speed_share')))
    table.add_row('interventions', number(values.get('interventions'), '', 0), 'stored tails sent',
                  f'{number(values.get("fallback_ticks"), "", 0)}, missed ticks '
                  f'{number(values.get("missed_ticks"), "", 0)}')
    lines: list[RenderableType] = [table, Text(f'rates [Hz]  {shown or NOTHING}', style='dim')]
    cause = values.get('cause')
    if cause and values.get('state') != 'NOMINAL':
        lines.append(Text(f'cause: {cause}', style='yellow'))
    if values.get('fault'):
        lines.append(Text(f'fault: {values["fault"]}', style='bold red'))
    if values.get('note'):
        lines.append(Text(str(values['note']), style='dim'))
    title = f'diffusion_control · {number(values.get("time_s"), "s", 1)}'
    if values.get('duration_s'):
        title += f' of {number(values["duration_s"], "s", 0)}'
    return Panel(Group(*lines), title=title, title_align='left', box=box.ROUNDED, expand=False)


def number(value: Any, unit: str, digits: int, factor: float = 1.0) -> str:
    """Return a number with its unit, or a dash for what was not measured."""
    if not isinstance(value, int | float):
        return NOTHING
    text = f'{value * factor:.{digits}f}'
    return f'{text} {unit}' if unit else text


def percent(value: Any) -> str:
    """Return a share as a whole percentage."""
    return f'{value:.0%}' if isinstance(value, int | float) else NOTHING


def _fault_numbers(row: Mapping[str, Any]) -> Text:
    """Return the first line of a fault."""
    end = _state(row['expected_state'])
    return Text.assemble(
        FAULT_NUMBERS.format(
            row['name'], number(row['t_s'], 's', 2), percent(row['speed_at_fault']),
            number(row['detection_s'], 'ms', 0, 1e3), number(row['first_brake_s'], 'ms', 0, 1e3),
            number(row['rest_s'], 's', 2)),
        end, ' ' * max(1, 10 - len(end)), _verdict(row['ok']))


def _outcome(summary: Mapping[str, Any]) -> Table:
    goals, violations = summary['goals'], summary['violations']
    counted = {name: count for name, count in violations.items()
               if count and name != 'contacts_at_rest'}
    known = any(count is not None for count in violations.values())
    table = Table.grid(padding=(0, 2))
    table.add_column(style='dim')
    table.add_column()
    missed = (goals['attempted'] or 0) > (goals['reached'] or 0)
    table.add_row('goals', Text.assemble(
        (f'{number(goals["reached"], "", 0)} of {number(goals["attempted"], "", 0)} reached',
         'bold'),
        f', {number(goals["reached_by_planner"], "", 0)} by the planner, '
        f'{number(goals["time_mean_s"], "s", 1)} each',
        f'; missed: open for {OPEN_S:.0f} s' if missed else ''))
    found = ', '.join(f'{count} {name}' for name, count in counted.items())
    table.add_row('violations', Text(found or ('none' if known else NOTHING),
                                     style='bold red' if found else 'bold green'))
    table.add_row('contacts at rest', number(violations['contacts_at_rest'], '', 0))
    least = number(summary['safety']['clearance_min_m'], 'mm to an obstacle', 0, 1e3)
    table.add_row('least clearance', least)
    table.add_row('final state', _state(summary['safety']['final_state']))
    table.add_row('first motion', f'{number(summary["first_motion_s"], "s", 1)} after the start, '
                                  f'{number(summary["duration_s"], "s", 1)} recorded')
    return table


def _rates(summary: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title='Rates, from receive times', title_justify='left')
    for name in ('', 'mean', 'std [ms]', 'min [ms]', 'p99 [ms]', 'max [ms]', 'gaps >\n50 ms'):
        table.add_column(name, justify='left' if not name else 'right', no_wrap=not name)
    for name in RATE_NAMES:
        row = summary['rates'][name]
        periods = [number(row[key], '', 2, 1e3) for key in
                   ('period_std_s', 'period_min_s', 'period_p99_s', 'period_max_s')]
        table.add_row(name, number(row['mean_hz'], 'Hz', 1), *periods,
                      number(row['gaps_over_50ms'] if name in FAST else None, '', 0))
    return table


def _control(summary: Mapping[str, Any]) -> Table:
    plan, tracking, tracker = summary['plan'], summary['tracking'], summary['tracker']
    rejected = ', '.join(f'{count} {reason}' for reason, count in plan['rejected'].items())
    sources = ', '.join(f'{percent(share)} {name}'
                        for name, share in plan['source_fraction'].items() if share)
    return _pairs('Planning and tracking', {
        'plans': number(plan['count'], '', 0), 'sources': sources or NOTHING,
        'latency p50 / p99': f'{number(plan["latency_p50_s"], "", 0, 1e3)} / '
                             f'{number(plan["latency_p99_s"], "ms", 0, 1e3)}',
        'rejected': rejected or 'none',
        'changes of mode': number(plan['mode_flips'], '', 0),
        'largest jump at a switch': number(plan['switch_jump_max'], 'mrad', 3, 1e3),
        'tracking error rms': f'{number(tracking["rms_q_rad"], "mrad", 2, 1e3)}, '
                              f'{"position" if summary["robot"] == "base" else "tool"} '
                              f'{number(tracking["rms_tool_m"], "mm", 2, 1e3)}',
        'tracker tick p50 / p99': f'{number(tracker["cpu_p50_s"], "", 2, 1e3)} / '
                                  f'{number(tracker["cpu_p99_s"], "ms", 2, 1e3)}'})


def _safety(summary: Mapping[str, Any]) -> Table:
    safety = summary['safety']
    states = ', '.join(f'{name} {number(time, "s", 1)}'
                       for name, time in safety['time_in_state_s'].items())
    return _pairs('Safety', {
        'interventions': number(safety['interventions'], '', 0),
        'stored tails sent': number(safety['fallback_ticks'], '', 0),
        'h_min': number(safety['h_min'], '', 4),
        'tick p50 / p99': f'{number(safety["cpu_p50_s"], "", 2, 1e3)} / '
                          f'{number(safety["cpu_p99_s"], "ms", 2, 1e3)}',
        'time in states': states or NOTHING})


def _pairs(title: str, rows: Mapping[str, str]) -> Table:
    table = Table(title=title, box=None, show_header=False, title_justify='left', padding=(0, 1))
    table.add_column(style='dim', no_wrap=True)
    table.add_column(max_width=34)
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _state(name: Any) -> Text:
    return Text(str(name or NOTHING), style=STATE_STYLE.get(str(name), ''))


def _path(states: Any) -> Text:
    names = [str(name) for name in states] if isinstance(states, list | tuple) else []
    return Text(' → ').join([_state(name) for name in names]) if names else Text(NOTHING)


def _verdict(value: Any) -> Text:
    if value is None:
        return Text(NOTHING)
    return Text('ok', style='bold green') if value else Text('FAILED', style='bold red')


def _clearance(value: Any) -> Text:
    style = ''
    if isinstance(value, int | float):
        style = 'red' if value < 0.02 else 'yellow' if value < 0.05 else 'green'
    return Text(number(value, 'mm', 0, 1e3), style=style)


def _bar(share: Any, width: int = 12) -> Text:
    """Return a share in [0, 1] as a bar with its percentage."""
    if not isinstance(share, int | float):
        return Text(NOTHING)
    full = round(min(max(float(share), 0.0), 1.0) * width)
    return Text.assemble(('━' * full, 'cyan'), ('━' * (width - full), 'grey37'),
                         f' {percent(share)}')
