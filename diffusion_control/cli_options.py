# SPDX-License-Identifier: Apache-2.0
"""The options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Seed = Annotated[int, typer.Option(
    '--seed', metavar='N', min=0, max=2**31 - 1, help='Seed of everything random.')]
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
Peer = Annotated[list[str] | None, typer.Option(
    '--peer', metavar='NAME|none',
    help='A planner to compare with, besides the expert; may be repeated.')]
EvaluationFallback = Annotated[
    str, typer.Option('--fallback', metavar='NAME', help='Fallback by name.')]
Episodes = Annotated[int | None, typer.Option(
    '--episodes', metavar='N', min=1,
    help='Number of scenes a tier; default 100 of an arm, 50 of a base, 100 of each maze.')]
Scenes = Annotated[
    Path | None, typer.Option('--scenes', metavar='FILE', help='YAML list of scenes.')]
Layout = Annotated[Path | None, typer.Option(
    '--layout', metavar='FILE',
    help='Walls for a base: rows of # (wall), O (start), G (goals) and . (free).')]
Layouts = Annotated[list[str] | None, typer.Option(
    '--layout', metavar='FILE',
    help='Of a base: a file of walls. Of mazes: umaze, medium, large, a file of rows of # O G, or '
    'random:ROWSxCOLUMNS; may be repeated; default the three names. Or two_way alone.')]
Goals = Annotated[Path | None, typer.Option(
    '--goals', metavar='FILE', help='Goals of a maze: `row col` a line, one after the other.')]
HorizonSteps = Annotated[int | None, typer.Option(
    '--horizon-steps', metavar='N', min=1,
    help="Length of an episode in a maze; default the named layout's, or 4 x the expert's mean.")]
RefMin = Annotated[float | None, typer.Option(
    '--ref-min', metavar='X', help='Return in a maze that scores 0.')]
RefMax = Annotated[float | None, typer.Option(
    '--ref-max', metavar='Y', help='Return in a maze that scores 100.')]
Multi = Annotated[bool, typer.Option(
    '--multi', help='Draw start and goal in a maze anew every episode.')]
MoveGoalAt = Annotated[int | None, typer.Option(
    '--move-goal-at', metavar='STEP', min=1, help='The goal in a maze moves at this step.')]
BlockCellAt = Annotated[int | None, typer.Option(
    '--block-cell-at', metavar='STEP', min=1,
    help='A cell on the running plan is walled up at this step.')]
OpenLoop = Annotated[bool, typer.Option(
    '--open-loop', help='In a maze: plan once, at the beginning.')]
Specified = Annotated[str, typer.Option(
    '--specification', metavar='NAME',
    help='In the large maze: keep out of circle, super_ellipse or half_plane.')]
Inject = Annotated[list[str] | None, typer.Option(
    '--inject', metavar='NAME@TIMEs',
    help='A fault and its earliest time: it waits, at most 10 s, for a joint (or the base) at '
    'half of its speed limit; may be repeated.')]
Tier = Annotated[
    str, typer.Option('--tier', metavar='easy|hard|both', help='Generated scenes.')]
Tracker = Annotated[
    str, typer.Option('--tracker', metavar='ideal|NAME', help='Tracker by name.')]
Safety = Annotated[str, typer.Option(
    '--safety', metavar='on|off',
    help='The safety monitor; in a maze the command filter of the specification.')]
LatencyMs = Annotated[float | None, typer.Option(
    '--latency-ms', metavar='N', min=0.0, max=60_000.0,
    help='Time from observation to plan; default 1000 / planner.rate_hz.')]
KeepRuns = Annotated[int, typer.Option(
    '--keep-runs', metavar='K', min=0, help='Full run folders to keep.')]
Model = Annotated[str, typer.Option(
    '--model', metavar='DIR', help='Model of the planner; default the shipped one.')]
Untrained = Annotated[bool, typer.Option(
    '--untrained', help='Run a learned planner with random weights, too.')]
