# SPDX-License-Identifier: Apache-2.0
"""The command line: one function a verb; each imports what it needs when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from diffusion_control import console
from diffusion_control.cli_evaluate import check_fallback, check_planner, evaluate
from diffusion_control.cli_explain import explain
from diffusion_control.cli_learning import data, export, train
from diffusion_control.cli_options import (
    Inject,
    Jobs,
    Json,
    Layout,
    OneSeed,
    Out,
    Planner,
    Plant,
    Resume,
    Robot,
    RobotConfig,
    Seed,
    Seeds,
)
from diffusion_control.demo.options import (
    ROBOTS,
    DemoOptions,
    FaultsOptions,
    Injection,
    RecordOptions,
    check_choice,
    parse_seeds,
)
from diffusion_control.errors import ConfigurationError

app = typer.Typer(
    name='diffusion_control', add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode=None, no_args_is_help=False,
    help='Let a diffusion planner drive a robot in real time, safely.')

RUNS = Path('runs')
AUTO = 'auto'
BENCHES = ('inference', 'safety', 'tracking', 'all')

@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option('--version', help='Print the version.')] = False,
) -> None:
    if version:
        from diffusion_control import __version__
        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise ConfigurationError(
            'a verb is missing', where='diffusion_control', allowed=', '.join(verbs()),
            remedy='diffusion_control --help')


@app.command(epilog='Example: diffusion_control demo --duration-s 30 --inject planner_kill@5s')
def demo(
    robot: Robot = 'arm',
    robot_config: Annotated[str, typer.Option(
        '--robot-config', metavar='NAME|FILE',
        help='A name from config/robots, or a file; default panda, or base.')] = '',
    duration_s: Annotated[
        float, typer.Option('--duration-s', metavar='S', help='Duration of motion [s].')] = 30.0,
    planner: Planner = AUTO,
    fallback: Annotated[
        str, typer.Option('--fallback', metavar='NAME', help='Fallback by name.')] = 'classical',
    inject: Inject = None,
    scene: Annotated[
        Path | None, typer.Option(
            '--scene', metavar='FILE', help='YAML of one scene, see docs/scenes.md.')] = None,
    layout: Layout = None,
    plant: Plant = 'default',
    output_type: Annotated[str, typer.Option(
        '--output-type', metavar='TYPE',
        help='joint_trajectory, float64_multi_array or joint_state; of a base twist_stamped '
        'or twist.')] = '',
    real_time_factor: Annotated[float, typer.Option(
        '--real-time-factor', metavar='X', help='Simulated seconds per second.')] = 1.0,
    record: Annotated[
        bool, typer.Option('--record/--no-record', help='Write run.mcap.')] = True,
    headless: Annotated[bool, typer.Option('--headless', help='No live table.')] = False,
    seed: Seed = 0,
    out: Out = RUNS,
    json: Json = False,
) -> int:
    """Drive a simulated robot among obstacles with all nodes, and judge the run."""
    check_planner(planner, robot)
    check_fallback(fallback)
    options = DemoOptions(
        robot=robot, robot_config=robot_config, duration_s=duration_s, planner=planner,
        fallback=fallback, inject=tuple(Injection.parse(text) for text in inject or ()),
        scene=scene, layout=layout, plant=plant, output_type=output_type,
        real_time_factor=real_time_factor, record=record, headless=headless or json, seed=seed,
        out=out, json=json)
    with console.output(json):
        from diffusion_control.demo import run
        from diffusion_control.evaluation.summary_schema import unjudged
        result = run(options)
    if json:
        console.print_json(result.summary or unjudged(result.exit_code))
    return result.exit_code


for verb, example in (
    (evaluate, 'evaluate arm --planner training_free --episodes 100'),
    (explain, 'explain --planner training_free --seed 3'),
    (data, 'data generate --scenes 8000 --out data/arm_panda'),
    (train, 'train config/training/arm_panda.yaml'),
    (export, 'export --checkpoint runs/train/last.safetensors'),
):
    app.command(epilog=f'Example: diffusion_control {example}')(verb)


@app.command(epilog='Example: diffusion_control bench inference --quick')
def bench(
    what: Annotated[str, typer.Argument(
        metavar='WHAT', help='inference, safety, tracking or all')],
    robot: Robot = 'arm',
    robot_config: Annotated[str, typer.Option(
        '--robot-config', metavar='NAME|FILE',
        help='A name from config/robots, or a file; default panda, or base.')] = '',
    quick: Annotated[
        bool, typer.Option('--quick', help='Less of everything, under three minutes.')] = False,
    resume: Resume = False,
    jobs: Jobs = 1,
    episodes: Annotated[int | None, typer.Option(
        '--episodes', metavar='N', min=1,
        help='Episodes of each arrangement; default of safety 1000 and 300 adversarial ones, of '
        'inference 120 and 100 closed loops.')] = None,
    model: Annotated[str, typer.Option(
        '--model', metavar='DIR', help='Model of bench inference; default the shipped one.')] = '',
    seed: Seed = 0,
    out: Out = RUNS,
    json: Json = False,
) -> int:
    """Measure a part of the system against its bounds."""
    check_choice('WHAT', what, BENCHES)
    check_choice('--robot', robot, ROBOTS)
    if model and what not in ('inference', 'all'):
        raise ConfigurationError(
            f'bench {what} takes no model', where='--model', value=model, allowed='none')
    with console.output(json):
        from diffusion_control.evaluation.benches import robot_to_bench, run_bench
        result = run_bench(
            what, model, robot_config=robot_to_bench(what, robot, robot_config), quick=quick,
            resume=resume, jobs=jobs, episodes=episodes, seed=seed, out=out)
    return console.finish(result, json)


@app.command(epilog='Example: diffusion_control faults --fault tracker_kill --seeds 0:10')
def faults(
    robot: Robot = 'arm',
    robot_config: RobotConfig = '',
    planner: Planner = AUTO,
    fault: Annotated[list[str] | None, typer.Option(
        '--fault', metavar='NAME', help='An inject name; may be repeated; default all.')] = None,
    seeds: Seeds = '0:10',
    level: Annotated[
        str, typer.Option('--level', metavar='process', help='Real processes.')] = 'process',
    jobs: Annotated[int, typer.Option(
        '--jobs', metavar='N', min=1, help='Level process runs one at a time all the same.')] = 1,
    resume: Annotated[
        bool, typer.Option('--resume', help='Keep the finished runs of --out.')] = False,
    seed: OneSeed = None,
    out: Out = RUNS,
    json: Json = False,
) -> int:
    """Inject every fault into real processes, and check how each run ends."""
    span = parse_seeds(seeds) if seed is None else (seed, seed + 1)
    check_planner(planner, robot)
    options = FaultsOptions(
        robot=robot, robot_config=robot_config, planner=planner,
        faults=tuple(dict.fromkeys(fault or ())), seeds=span, level=level, resume=resume, out=out,
        json=json)
    if jobs > 1:
        print('level process runs one at a time', file=sys.stderr)
    with console.output(json):
        from diffusion_control.demo.faults import run
        result = run(options)
    return console.finish(result, json)


@app.command(epilog='Example: diffusion_control mutate --fault no_filter')
def mutate(
    robot: Robot = 'arm',
    fault: Annotated[list[str] | None, typer.Option(
        '--fault', metavar='NAME', help='A mutant; may be repeated; default all.')] = None,
    seeds: Seeds = '0:1',
    level: Annotated[
        str, typer.Option('--level', metavar='inprocess', help='In this process.')] = 'inprocess',
    jobs: Jobs = 1,
    resume: Resume = False,
    seed: OneSeed = None,
    out: Out = RUNS,
    json: Json = False,
) -> int:
    """Take parts of the safety monitor away, and check that it is noticed."""
    check_choice('--robot', robot, ('arm',))
    check_choice('--level', level, ('inprocess',))
    span = parse_seeds(seeds) if seed is None else (seed, seed + 1)
    with console.output(json):
        from diffusion_control.evaluation.host import commit_of_code
        from diffusion_control.evaluation.mutants import MUTANTS
        from diffusion_control.evaluation.mutate import MutateOptions
        from diffusion_control.evaluation.mutate import mutate as run_mutants
        for name in fault or ():
            check_choice('--fault', name, tuple(MUTANTS))
        result = run_mutants(MutateOptions(
            mutants=tuple(dict.fromkeys(fault or ())), seeds=span, jobs=jobs, resume=resume,
            out=out, commit=commit_of_code()))
    return console.finish(result, json)


@app.command(epilog='Example: diffusion_control doctor --json')
def doctor(
    robot_config: RobotConfig = 'panda',
    seconds: Annotated[float, typer.Option(
        '--listen-s', metavar='S', min=0.0, help='Time to look at the ROS graph [s].')] = 2.0,
    seed: Seed = 0,
    out: Out = RUNS,
    json: Json = False,
) -> int:
    """Look for what keeps this machine or robot from working, with a remedy for each."""
    del seed, out  # taken by every verb; nothing here is random, and nothing is written
    with console.output(json):
        from diffusion_control.doctor import print_findings, summary
        from diffusion_control.nodes.doctor import examine
        findings = examine(robot_config, seconds)
        if not json:
            print_findings(findings)
    result = summary(findings)
    if json:
        console.print_json(result)
    return int(result['exit_code'])


@app.command(epilog='Example: diffusion_control record --duration-s 60')
def record(
    robot_config: RobotConfig = 'panda',
    topic: Annotated[list[str] | None, typer.Option(
        '--topic', metavar='NAME', help='A topic; may be repeated; default ours.')] = None,
    duration_s: Annotated[float | None, typer.Option(
        '--duration-s', metavar='S', help='Time to record [s]; default until Ctrl-C.')] = None,
    namespace: Annotated[
        str, typer.Option('--namespace', metavar='NAME', help='Namespace of the topics.')] = '',
    seed: Seed = 0,
    out: Out = RUNS,
    json: Json = False,
) -> int:
    """Write an MCAP file of a running system."""
    del seed  # taken by every verb; nothing here is random
    options = RecordOptions(
        robot_config=robot_config, topics=tuple(topic or ()), duration_s=duration_s,
        namespace=namespace, out=out, json=json)
    with console.output(json):
        from diffusion_control.nodes.record import record as record_topics
        result = record_topics(options)
    if json:
        console.print_json(result)
    else:
        rows = [{'topic': name, 'messages': n} for name, n in result['messages'].items()]
        console.print_table(result['file'], rows)
    return console.OK


@app.command('check-run', epilog='Example: diffusion_control check-run runs/latest')
def check_run(
    run_dir: Annotated[Path, typer.Argument(metavar='RUN_DIR', help='A run folder.')],
    seed: Seed = 0,
    out: Out = RUNS,
    json: Json = False,
) -> int:
    """Recompute rates, violations and jumps from truth.npz and run.mcap alone."""
    del seed, out  # taken by every verb; nothing here is random, and nothing is written
    if not run_dir.is_dir():
        raise ConfigurationError(
            'no such run folder', where='RUN_DIR', value=str(run_dir),
            allowed='a folder with truth.npz and run.mcap',
            remedy='for example runs/latest, once a demo was judged')
    if not (run_dir / 'summary.json').is_file():
        print('this run ended before it was judged: it has no summary.json', file=sys.stderr)
    with console.output(json):
        from diffusion_control.evaluation.check_run import check_run as check
        from diffusion_control.evaluation.host import command_line, commit_of_code
        result = check(run_dir, commit=commit_of_code(), command=command_line())
    return console.finish(result, json)


def verbs() -> list[str]:
    """Return the names of all verbs."""
    return [
        str(info.name or getattr(info.callback, '__name__', ''))
        for info in app.registered_commands]


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    def action() -> int:
        result = app(
            args=None if arguments is None else list(arguments), prog_name='diffusion_control',
            standalone_mode=False)
        return result if isinstance(result, int) else console.OK
    return console.guarded(action)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run())


if __name__ == '__main__':
    main()
