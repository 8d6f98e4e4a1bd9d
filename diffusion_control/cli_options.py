# SPDX-License-Identifier: Apache-2.0
"""The options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Seed = Annotated[int, typer.Option('--seed', metavar='N', help='Seed of everything random.')]
Out = Annotated[Path, typer.Option('--out', metavar='DIR', help='Folder in place of runs/.')]
Json = Annotated[
    bool, typer.Option('--json', help='The result as JSON alone on stdout; the rest on stderr.')]
Robot = Annotated[str, typer.Option('--robot', metavar='arm|base', help='Kind of robot.')]
RobotConfig = Annotated[str, typer.Option(
    '--robot-config', metavar='NAME|FILE', help='A name from config/robots, or a file.')]
Planner = Annotated[str, typer.Option(
    '--planner', metavar='NAME', help='Planner by name; auto: the trained one, if there is one.')]
Plant = Annotated[str, typer.Option(
    '--plant', metavar='default|nominal|FILE', help='Plant that the simulator draws or reads.')]
Jobs = Annotated[
    int, typer.Option('--jobs', metavar='N', min=1, help='Processes side by side.')]
Resume = Annotated[bool, typer.Option('--resume', help='Keep the finished rows of --out.')]
Seeds = Annotated[str, typer.Option('--seeds', metavar='A:B', help='Seeds A <= s < B.')]
OneSeed = Annotated[int | None, typer.Option(
    '--seed', metavar='N', help='The same as --seeds N:N+1.')]
