# SPDX-License-Identifier: Apache-2.0
"""Published scores on maze2d-*-v1, each with its source; all were trained on D4RL's data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One learned planner.

    Attributes:
        name: Of the planner.
        single: Scores of umaze, medium, large with a fixed goal; None = not published.
        multi: The same with a goal that is drawn anew every episode.
        source: Where they stand.
    """

    name: str
    single: tuple[float, float, float] | None
    multi: tuple[float, float, float] | None
    source: str


PUBLISHED = (
    Published('Diffuser', (113.9, 121.5, 123.0), (128.9, 127.2, 132.1),
              'M. Janner et al., ICML 2022, table 1'),
    Published('Hierarchical Diffuser', (128.4, 135.6, 155.8), (144.1, 140.2, 165.5),
              'C. Chen et al., "Simple Hierarchical Planning with Diffusion", ICLR 2024'),
    Published('AdaptDiffuser', (135.1, 129.9, 167.9), None, 'Z. Liang et al., ICML 2023'),
    Published('Diffusion Forcing', (116.7, 149.4, 159.0), (119.1, 152.3, 167.1),
              'B. Chen et al., NeurIPS 2024'),
    Published('Diffusion Veteran', (136.6, 150.7, 203.6), None,
              'H. Lu et al., "What Makes a Good Diffusion Planner for Decision Making?", '
              'ICLR 2025'),
)
BEST_SINGLE, BEST_MULTI = 163.6, 149.9
"""The best published averages: Diffusion Veteran, Hierarchical Diffuser."""
