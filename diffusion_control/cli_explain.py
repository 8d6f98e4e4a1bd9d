# SPDX-License-Identifier: Apache-2.0
"""The verb explain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffusion_control import console
from diffusion_control.cli_evaluate import check_planner
from diffusion_control.cli_options import Json, Model, Out, Planner, RobotConfig, Seed
from diffusion_control.demo.options import check_file


def explain(
    robot_config: RobotConfig = 'panda',
    planner: Planner = 'auto',
    model: Model = '',
    scene: Annotated[Path | None, typer.Option(
        '--scene', metavar='FILE', help='YAML of one scene; default a hard one of the seed.',
    )] = None,
    guidance: Annotated[list[float] | None, typer.Option(
        '--guidance-scale', metavar='X', min=0.01, max=100.0,
        help='A strength to compare; may be repeated; default 0.01 to 10.')] = None,
    steps: Annotated[int | None, typer.Option(
        '--steps', metavar='N', min=1, max=500,
        help="Reverse steps that are shown; default the planner's, at least 8.")] = None,
    publish_s: Annotated[float, typer.Option(
        '--publish-s', metavar='S', min=0.0,
        help='Publish the plans as MarkerArray for so long [s] (needs ROS).')] = 0.0,
    seed: Seed = 0,
    out: Out = Path('runs'),
    json: Json = False,
) -> int:
    """Say why a planner plans what it plans, in numbers and pictures."""
    check_file('--scene', scene)
    with console.output(json):
        from diffusion_control import robots
        from diffusion_control.evaluation.host import command_line, commit_of_code
        from diffusion_control.explain import ExplainOptions
        from diffusion_control.explain import explain as explained
        from diffusion_control.planners.models import resolve
        robot = robots.load(robot_config)
        check_planner(planner, robot.kind)
        result = explained(ExplainOptions(
            robot_config=robot_config, planner=resolve(planner, robot, model),
            model=model, scene=scene, seed=seed, scales=tuple(guidance) if guidance else None,
            steps=steps, out=out, command=command_line(), commit=commit_of_code()))
        if publish_s:
            from diffusion_control.nodes.explanation import publish
            publish(result, publish_s)
    if json:
        console.print_json(result.numbers)
        return console.OK
    _print(result.numbers, result.folder)
    return console.OK


def _print(numbers: dict[str, object], folder: Path) -> None:
    """Print the plan, the sweep and the counterfactuals."""
    console.print_table('the plan', [numbers['plan']])  # type: ignore[list-item]
    if numbers['guidance']:
        console.print_table('guidance', numbers['guidance'])  # type: ignore[arg-type]
    else:
        print('guidance: this planner has none')
    for row in numbers['counterfactuals']:  # type: ignore[attr-defined]
        print(row['text'])
    print(f'written: {folder}')
