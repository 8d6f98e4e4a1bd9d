# SPDX-License-Identifier: Apache-2.0
"""Judge a finished run and leave its summary and its picture in the folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusion_control.evaluation.check_run import measure, result_of
from diffusion_control.evaluation.picture import draw_picture
from diffusion_control.evaluation.run_data import RunData, load_run
from diffusion_control.evaluation.summary import build_summary


@dataclass(frozen=True)
class Judgement:
    """A judged run.

    Attributes:
        run: The run, read.
        summary: What stands in `summary.json`.
        result: What `diffusion_control check-run` says.
    """

    run: RunData
    summary: dict[str, Any]
    result: dict[str, Any]


def judge_run(
    path: str | Path, notes: Mapping[str, Any], *, robot: str | None = None,
    picture: bool = True,
) -> Judgement:
    """Measure a run once, write `summary.json` and `summary.png`, and return all of it.

    Args:
        path: The run's folder.
        notes: What only the demo knows (see `summary.build_summary`).
        robot: Name or file of the robot; None takes what the recording says.
        picture: Draw `summary.png`.

    Raises:
        ConfigurationError: The folder or one of its files is missing or damaged.
    """
    run = load_run(path, robot)
    measured = measure(run)
    summary = build_summary(run, measured, notes)
    loop = summary['host']['empty_loop_p99_s']
    result = result_of(
        run, measured, commit=str(summary['commit'] or ''),
        command=str(summary['command'] or ''), empty_loop_p99_s=loop)
    run.folder.write_summary(summary)
    if picture:
        draw_picture(run, summary, run.folder.summary_png)
    return Judgement(run, summary, result)
