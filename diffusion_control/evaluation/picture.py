# SPDX-License-Identifier: Apache-2.0
"""`summary.png`: a run in one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from diffusion_control.evaluation.base.picture import draw_top_view, draw_velocities
from diffusion_control.evaluation.picture_scene import draw_scene
from diffusion_control.evaluation.picture_style import INK, QUIET, style
from diffusion_control.evaluation.run_data import RunData

Array = NDArray[np.float64]
SIZE_IN, DPI = (12.6, 8.4), 110
DRAW_HZ = 50.0
MOTION_RAD_S = 0.02
JOINTS = ('#2f6fb0', '#d9822b', '#3a9d5d', '#c0473f', '#7b61b5', '#8c6b4f', '#cf6ea8')
STATES = {'NOMINAL': '#dff2e3', 'DEGRADED': '#fdeeb8', 'FALLBACK': '#fbd7a6',
          'STOPPING': '#f7c3bd', 'HOLD': '#e0d3f2', 'EMERGENCY': '#e88b84',
          'NO_MONITOR': '#f0a8c8', 'AT_REST': '#d5dae1'}


def draw_picture(run: RunData, summary: Mapping[str, Any], path: str | Path) -> None:
    """Draw tracking, clearance with states and faults, timing, and the tool's path.

    Of a base: velocities, and its path from above. Time 0 is the first motion.

    Args:
        run: The run, read.
        summary: Its summary.
        path: The PNG to write.
    """
    figure = Figure(figsize=SIZE_IN, dpi=DPI, facecolor='white')
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        3, 12, height_ratios=(1.3, 1.0, 0.85), left=0.055, right=0.98, top=0.885, bottom=0.065,
        hspace=0.34, wspace=1.1)
    begin_s = first_motion_s(run)
    step = max(1, round(1.0 / (DRAW_HZ * run.truth.period_s)))
    index = np.arange(0, len(run.truth.t_s), step)
    times = run.truth.t_s[index] - begin_s
    tracking = figure.add_subplot(grid[0, :7])
    if run.robot.kind == 'base':
        draw_velocities(tracking, run, times, index)
        draw_top_view(figure.add_axes((0.665, 0.345, 0.315, 0.50)), run, times, index)
    else:
        _tracking(tracking, run, times, index)
        draw_scene(
            figure.add_axes((0.580, 0.325, 0.385, 0.56), projection='3d'), run, times, index)
    _clearance(figure.add_subplot(grid[1, :7], sharex=tracking), run, summary, times, index,
               begin_s)
    _periods(figure.add_subplot(grid[2, :4]), run, run.command_topic, 'command period', '#2f6fb0')
    _periods(figure.add_subplot(grid[2, 4:8]), run, 'tracker/motion', 'tracker period', '#3a9d5d')
    _latency(figure.add_subplot(grid[2, 8:]), run)
    _heading(figure, run.robot.name, summary)
    canvas.print_png(str(path))  # type: ignore[no-untyped-call]


def first_motion_s(run: RunData) -> float:
    """Return the ROS time at which a joint first exceeds 0.02 rad/s, the start if none does."""
    moves = np.abs(run.truth.dq).max(axis=1) > MOTION_RAD_S
    return float(run.truth.t_s[int(np.argmax(moves))])


def _heading(figure: Figure, robot: str, summary: Mapping[str, Any]) -> None:
    """Write what the run was, and how it went."""
    goals, rate = summary['goals'], summary['rates']['command']
    counted = {k: v for k, v in summary['violations'].items() if v and k != 'contacts_at_rest'}
    faults = ', '.join(str(fault['name']) for fault in summary['faults'])
    title = f'{robot} · planner {summary["planner"] or "?"}'
    if faults:
        title += f' · {faults}'
    figure.text(0.022, 0.955, title, fontsize=15, fontweight='bold', color=INK)
    parts = [f'{goals["reached"]} of {goals["attempted"]} goals reached',
             ', '.join(f'{v} {k}' for k, v in counted.items()) or 'no violation']
    if rate['mean_hz'] is not None:
        parts.append(f'command {rate["mean_hz"]:.1f} Hz')
    latency, error = summary['plan']['latency_p50_s'], summary['tracking']['rms_tool_m']
    if latency is not None:
        parts.append(f'plan latency {latency * 1e3:.0f} ms')
    if error is not None:
        what = 'position' if summary['robot'] == 'base' else 'tool'
        parts.append(f'{what} error {error * 1e3:.1f} mm rms')
    if summary['safety']['clearance_min_m'] is not None:
        parts.append(f'least clearance {summary["safety"]["clearance_min_m"] * 1e3:.0f} mm')
    figure.text(0.022, 0.925, '   ·   '.join(parts), fontsize=10.5,
                color='#b42318' if counted else QUIET)


def _tracking(axes: Any, run: RunData, times: Array, index: NDArray[np.intp]) -> None:
    """Draw each joint as it moved, over its set-point."""
    for joint in range(run.robot.dof):
        colour = JOINTS[joint % len(JOINTS)]
        axes.plot(times, run.truth.cmd[index, joint], color=colour, linewidth=3.2, alpha=0.28,
                  solid_capstyle='round')
        axes.plot(times, run.truth.q[index, joint], color=colour, linewidth=1.1)
    handles = [Line2D([], [], color=JOINTS[k % len(JOINTS)], linewidth=1.6)
               for k in range(run.robot.dof)]
    style(axes, 'Joints: set-point (broad) and truth (fine)', 'position [rad]')
    axes.legend(handles, [str(k + 1) for k in range(run.robot.dof)], fontsize=7, frameon=False,
                ncols=run.robot.dof, loc='lower right', bbox_to_anchor=(1.0, 0.985),
                handlelength=1.1, columnspacing=0.9, handletextpad=0.4, borderpad=0)
    axes.set_xlim(times[0], times[-1])
    axes.tick_params(labelbottom=False)


def _clearance(
    axes: Any, run: RunData, summary: Mapping[str, Any], times: Array,
    index: NDArray[np.intp], begin_s: float,
) -> None:
    """Draw the least distance to obstacles, over bands of states, with interventions, faults."""
    distance = run.truth.distance_min_m[index] * 100
    distance = np.where(np.isfinite(distance), distance, np.nan)
    top = float(np.nanmax(distance)) * 1.15 if np.isfinite(distance).any() else 1.0
    seen = _bands(axes, run, begin_s, float(times[-1]))
    axes.plot(times, distance, color='#20507d', linewidth=1.5, zorder=4)
    axes.axhline(0.0, color='#b42318', linewidth=0.9, zorder=3)
    axes.set_ylim(min(0.0, float(np.nanmin(distance)) if np.isfinite(distance).any() else 0.0)
                  - 0.09 * top, max(top, 1.0))
    acted = _intervention_times(run) - begin_s
    if len(acted):
        axes.plot(acted, np.full(len(acted), -0.045 * top), '|', color='#d9822b', markersize=6,
                  zorder=5)
    for fault in summary['faults']:
        axes.axvline(fault['t_s'], color='#b42318', linewidth=1.2, linestyle=(0, (4, 2)), zorder=5)
        axes.annotate(fault['name'], (fault['t_s'], 1.0), xycoords=('data', 'axes fraction'),
                      xytext=(4, -4), textcoords='offset points', fontsize=8, color='#b42318',
                      va='top', fontweight='bold', zorder=6)
    style(axes, 'Clearance to the nearest obstacle', '[cm]', 'time since the first motion [s]')
    handles: list[Any] = [
        Patch(facecolor=STATES.get(name, '#dddddd'), label=name.lower().replace('_', ' '))
        for name in seen]
    if len(acted):
        handles.append(Line2D([], [], color='#d9822b', marker='|', linestyle='',
                              label='intervention'))
    axes.legend(handles=handles, fontsize=7, frameon=False, ncols=6, loc='lower right',
                bbox_to_anchor=(1.0, 0.985), handlelength=1.1, columnspacing=1.0,
                handletextpad=0.4, borderpad=0)


def _bands(axes: Any, run: RunData, begin_s: float, end_s: float) -> list[str]:
    """Shade the background by the monitor's state; return the states in order of appearance."""
    changes = run.states()
    seen: list[str] = []
    for k, (time, state) in enumerate(changes):
        until = changes[k + 1][0] - begin_s if k + 1 < len(changes) else end_s
        axes.axvspan(time - begin_s, until, color=STATES.get(state, '#dddddd'), linewidth=0,
                     zorder=0)
        if state not in seen:
            seen.append(state)
    return seen


def _intervention_times(run: RunData) -> Array:
    """Return the ROS times of the status reports in which the count of interventions rose."""
    stream = run.recording.stream('safety/status')
    counts = [{**r, **(r.get('counters') or {})}.get('interventions') for r in stream.reports]
    known = [(t, c) for t, c in zip(run.ros_s(stream.log_s), counts, strict=True)
             if isinstance(c, int | float)]
    return np.array([after[0] for before, after in zip(known, known[1:], strict=False)
                     if after[1] > before[1]])


def _periods(axes: Any, run: RunData, topic: str, title: str, colour: str) -> None:
    """Draw the histogram of a topic's periods."""
    period = np.asarray(
        np.diff(np.array(run.recording.stream(topic).log_ns, dtype=np.int64)), dtype=float) * 1e-6
    style(axes, title, 'messages', '[ms]')
    _histogram(axes, period, colour, log=True)


def _latency(axes: Any, run: RunData) -> None:
    """Draw the histogram of the planner's latency."""
    values = [report.get('latency_s') for report in run.recording.stream('planner/report').reports]
    latency = np.array([v for v in values if isinstance(v, int | float)], dtype=float) * 1e3
    style(axes, 'plan latency', 'plans', '[ms]')
    _histogram(axes, latency, '#7b61b5', log=False)


def _histogram(axes: Any, values: Array, colour: str, *, log: bool) -> None:
    """Draw a histogram with median and 99th percentile.

    The last bin also holds what lies beyond, and the text says how many.
    """
    if not len(values):
        axes.text(0.5, 0.5, 'not measured', transform=axes.transAxes, ha='center', color=QUIET,
                  fontsize=8)
        return
    median, high = np.percentile(values, [50, 99])
    low = min(float(values.min()), float(median) * 0.6) if log else 0.0
    top = max(float(high) * 1.25, float(median) * 1.4)
    axes.hist(np.clip(values, low, top), bins=np.linspace(low, top, 45).tolist(), color=colour,
              alpha=0.85, log=log)
    axes.set_xlim(low, top)
    for value, dashes in ((median, '-'), (high, (0, (3, 2)))):
        axes.axvline(value, color=INK, linewidth=0.9, linestyle=dashes)
    text = f'median {median:.1f}\np99 {high:.1f}\nmax {values.max():.1f}'
    beyond = int((values > top).sum())
    if beyond:
        text += f'\nlast bar: {beyond} beyond'
    axes.text(0.985, 0.96, text, transform=axes.transAxes, ha='right', va='top', fontsize=7.5,
              color=INK, linespacing=1.35,
              bbox={'facecolor': 'white', 'edgecolor': 'none', 'alpha': 0.8, 'pad': 1.5})


