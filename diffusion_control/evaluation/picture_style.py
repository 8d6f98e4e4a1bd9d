# SPDX-License-Identifier: Apache-2.0
"""Colours and the plain look of the axes of `summary.png`."""

from __future__ import annotations

from typing import Any

INK, QUIET = '#1f2933', '#667085'
STANDING, MOVING = '#7d93a8', '#e0623f'


def style(axes: Any, title: str, ylabel: str = '', xlabel: str = '') -> None:
    """Give axes their title, labels and a quiet grid."""
    axes.set_title(title, loc='left', fontsize=9.5, fontweight='bold', color=INK, pad=5)
    axes.set_ylabel(ylabel, fontsize=8, color=QUIET)
    axes.set_xlabel(xlabel, fontsize=8, color=QUIET)
    axes.tick_params(labelsize=7.5, colors=QUIET, length=3)
    axes.grid(True, color='#e8ebef', linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    for side in ('left', 'bottom'):
        axes.spines[side].set_color('#c5ccd3')
