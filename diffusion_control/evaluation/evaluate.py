# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control evaluate arm|base`: a planner over many scenes, beside its peers.

Each scene is run in closed loop on a simulated clock, once with each planner; the rows go to
`rows.jsonl` as they come, so that an interrupted evaluation can be resumed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from diffusion_control import robots, tracking
from diffusion_control.errors import ConfigurationError, require_known
from diffusion_control.evaluation.base_worlds import layout_world
from diffusion_control.evaluation.closed_loop import IDEAL, LoopOptions, run_episode
from diffusion_control.evaluation.episode import Episode
from diffusion_control.evaluation.evaluation_checks import EXPERT, result_of
from diffusion_control.evaluation.evaluation_table import print_comparison
from diffusion_control.evaluation.host import command_line
from diffusion_control.evaluation.kinds import KINDS, Kind
from diffusion_control.evaluation.row_store import RowStore, contents
from diffusion_control.evaluation.run_folder import finite
from diffusion_control.evaluation.scene_tiers import tier_named
from diffusion_control.evaluation.workers import run_tasks, warm_robot
from diffusion_control.inference.untrained import write_untrained
from diffusion_control.planners import registry
from diffusion_control.planners.models import (
    TRAINED,
    model_directory,
    model_if_any,
    resolve,
)
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base
from diffusion_control.robots.point_mass import PointMass
from diffusion_control.simulation.layout import read_layout
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.scene import Scene
from diffusion_control.simulation.scene_file import load_scenes

NO_PEERS = 'none'
UNTRAINED = 'untrained'
BOTH = 'both'
Key = tuple[str | None, int, str]


@dataclass(frozen=True)
class EvaluateOptions:
    """What to evaluate.

    Attributes:
        task: `arm` or `base`.
        robot_config: Name in config/robots, or a file; '' = the usual one of the task.
        planner: The planner that is judged.
        fallback: Fallback of the closed loop.
        episodes: Scenes per tier (of a file: at most so many); None = as many as bounds ask for.
        jobs: Processes side by side.
        resume: Keep the rows that `out` already has.
        scenes: YAML of scenes in place of generated ones.
        layout: File of a layout in which a base's worlds are drawn.
        tier: `easy`, `hard` or `both`.
        plant: `default`, `nominal` or a file.
        tracker: A tracker's name, `ideal`, or '' for the default one.
        safety: Whether the safety monitor is in the loop.
        latency_ms: Time from observation to plan [ms]; None = 1000 / planner.rate_hz.
        keep_runs: Full run folders to keep.
        seed: Seed of the first scene.
        out: Folder of the results.
        peers: Planners beside the judged one and the expert; None = the usual ones.
        model: Model of the judged planner; '' = the shipped one.
        untrained: Run the judged planner with random weights, too.
        commit: Version of the code, for the result.
        command: Command line, for the result.
    """

    task: str = 'arm'
    robot_config: str = ''
    planner: str = 'training_free'
    fallback: str = 'hold'
    episodes: int | None = None
    jobs: int = 1
    resume: bool = False
    scenes: Path | None = None
    layout: Path | None = None
    tier: str = 'easy'
    plant: str = 'default'
    tracker: str = ''
    safety: bool = True
    latency_ms: float | None = None
    keep_runs: int = 0
    seed: int = 0
    out: Path = Path('runs')
    peers: tuple[str, ...] | None = None
    model: str = ''
    untrained: bool = False
    commit: str = ''
    command: str = field(default_factory=command_line)

    @property
    def kind(self) -> Kind:
        """What the task asks for."""
        return KINDS[self.task]

    @property
    def robot(self) -> str:
        """Name or file of the robot."""
        return self.robot_config or self.kind.robot

    @property
    def count(self) -> int:
        """Scenes per tier."""
        return self.kind.usual.episodes if self.episodes is None else self.episodes

    @property
    def compared(self) -> tuple[str, ...]:
        """The peers."""
        return self.kind.peers if self.peers is None else self.peers

    @property
    def planners(self) -> tuple[str, ...]:
        """The expert first, because the others are compared with it; then the judged planner."""
        random = (UNTRAINED,) if self.untrained else ()
        return tuple(dict.fromkeys((EXPERT, self.planner, *random, *self.compared)))

    def loop(self) -> LoopOptions:
        """Return the options of the closed loop."""
        return LoopOptions(
            fallback=self.fallback, tracker=self.tracker or LoopOptions.tracker,
            safety=self.safety, plant=self.plant,
            latency_s=None if self.latency_ms is None else self.latency_ms / 1000.0,
            model=self.model)

    def settings(self) -> dict[str, Any]:
        """Return everything that rows depend on, for JSON."""
        free = ('jobs', 'resume', 'out', 'episodes', 'keep_runs', 'commit', 'command', 'peers',
                'untrained')
        values = {key: value for key, value in asdict(self).items() if key not in free}
        files = {key: None if values[key] is None else str(values[key])
                 for key in ('scenes', 'layout')}
        model = model_if_any(self.model, _learned(robots.load(self.robot)))
        content = contents((self.robot, self.plant, model, *files.values()))
        return {**values, 'robot_config': self.robot, **files, 'contents': content}


def judged_planner(task: str, robot_config: str, planner: str, model: str = '') -> str:
    """Return the planner that a name means for a task's robot: `auto` is the trained one."""
    return resolve(planner, robots.load(robot_config or KINDS[task].robot), model)


def peers(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the planners to compare with: those given, None the usual ones, `none` nobody."""
    if not names:
        return None
    return tuple(name for name in names if name != NO_PEERS)


@dataclass(frozen=True)
class Task:
    """One scene with the planners that still have to run in it.

    Attributes:
        episode: Number in its tier.
        tier: Tier; None for a scene of a file without.
        seed: Seed of the scene.
        scene: The scene of a file; None = generated from tier and seed where it is run.
        planners: Names.
    """

    episode: int
    tier: str | None
    seed: int
    scene: Scene | None
    planners: tuple[str, ...]


def evaluate_robot(options: EvaluateOptions) -> dict[str, Any]:
    """Run the evaluation, print its table and return the result of the contract.

    Raises:
        ConfigurationError: Unknown names, malformed files, or rows of other settings in `out`.
    """
    _check(options)
    store = _store(options)
    if options.untrained:
        learned = _learned(robots.load(options.robot))
        write_untrained(
            model_directory(options.model, TRAINED, learned), store.folder / UNTRAINED)
    tasks = [task for task in _tasks(options, set(store.rows)) if task.planners]
    run = partial(run_task, options, store.folder)
    for found in run_tasks(run, tasks, options.jobs, f'evaluate {options.task}', 'scenes'):
        store.add(found)
    wanted = [store.rows[key] for task in _tasks(options, set()) for key in _keys(task)]
    episodes = [Episode.of(row) for row in wanted]
    print_comparison(episodes, options.task)
    result: dict[str, Any] = finite(result_of(
        wanted, options.planner, commit=options.commit, command=options.command,
        kind=options.kind))
    store.write_result(result)
    return result


def _learned(robot: Arm | Base) -> Arm | PointMass:
    """Return the robot whose networks plan for a robot: for a base, those of the point mass."""
    return PointMass() if isinstance(robot, Base) else robot


def _check(options: EvaluateOptions) -> None:
    """Refuse bad options before anything runs."""
    robot = robots.load(options.robot)
    if robot.kind != options.task:
        raise ConfigurationError(
            f'evaluate {options.task} needs a robot of that kind', where='--robot-config',
            value=options.robot, allowed=f'a robot file of kind {options.task}')
    if options.tier != BOTH:
        tier_named(options.tier)
    for name in (options.planner, *options.compared):
        registry.require_planner(name, robot.kind, also=(EXPERT,))
    for kind, name, names in (
        ('fallback', options.fallback, tuple(registry.available_fallbacks())),
        ('tracker', options.loop().tracker, (IDEAL, *tracking.available())),
    ):
        require_known(f'unknown {kind}', f'--{kind}', name, names)
    Plant.make(options.plant, seed=0, links=robot.dof)
    _check_model(options, robot)
    if options.layout is not None and options.task != 'base':
        raise ConfigurationError(
            'only a base drives in a layout', where='--layout', value=str(options.layout),
            allowed='evaluate base')
    walls = () if options.layout is None else read_layout(options.layout)
    if isinstance(robot, Base) and walls and options.scenes is None:
        layout_world(robot, walls, options.seed)
    if options.scenes is not None:
        for index, scene in enumerate(load_scenes(options.scenes)):
            scene = replace(scene, layout=walls) if walls else scene
            scene.check(robot, f'{options.scenes}: [{index}]')
            scene.require_goal(f'{options.scenes}: [{index}]')


def _check_model(options: EvaluateOptions, robot: Arm | Base) -> None:
    """Refuse a model for a planner that takes none, and one that cannot be opened."""
    if options.planner == EXPERT:
        return
    settings = {'model': options.model}
    registry.make(
        options.planner, robot=robot,
        **registry.settings_for(options.planner, settings, robot.kind))
    if options.untrained and 'model' not in registry.parameters_of(options.planner, robot.kind):
        raise ConfigurationError(
            f'planner {options.planner} has no weights', where='--untrained', value=True,
            allowed='a learned planner, for example --planner diffuser')


def _store(options: EvaluateOptions) -> RowStore:
    """Return the rows in a folder named after what was evaluated, so that it can be resumed."""
    name = options.tier
    for file in (options.scenes, options.layout):
        name = name if file is None else file.stem
    robot = Path(options.robot).stem
    folder = options.out / f'evaluate_{options.task}-{robot}-{name}-{options.planner}'
    return RowStore(folder, options.settings(), resume=options.resume, key=_key)


def _key(row: dict[str, Any]) -> Key:
    """Return what names a row."""
    return row['tier'], row['episode'], row['planner']


def _keys(task: Task) -> list[Key]:
    """Return the names of a task's rows."""
    return [(task.tier, task.episode, planner) for planner in task.planners]


def _tasks(options: EvaluateOptions, done: set[Hashable]) -> Iterator[Task]:
    """Yield every scene with the planners that have no row in `done`."""
    def left(tier: str | None, episode: int) -> tuple[str, ...]:
        return tuple(name for name in options.planners if (tier, episode, name) not in done)

    if options.scenes is not None:
        for index, scene in enumerate(load_scenes(options.scenes)[:options.count]):
            yield Task(index, scene.tier, scene.seed, scene, left(scene.tier, index))
        return
    if options.layout is not None:
        for index in range(options.count):
            yield Task(index, None, options.seed + index, None, left(None, index))
        return
    for tier in (tuple(options.kind.usual.success) if options.tier == BOTH else (options.tier,)):
        for index in range(options.count):
            yield Task(index, tier, options.seed + index, None, left(tier, index))


def run_task(options: EvaluateOptions, folder: Path, task: Task) -> list[dict[str, Any]]:
    """Run one scene with each of the task's planners and return the rows."""
    robot = warm_robot(options.robot)
    scene, rows = _scene(options, robot, task), []
    for name in task.planners:
        planner, loop = name, options.loop()
        if name == UNTRAINED:
            planner, loop = options.planner, replace(loop, model=str(folder / UNTRAINED))
        elif name != options.planner:
            loop = replace(loop, model='')
        kept = name == options.planner and task.episode < options.keep_runs
        keep = folder / 'runs' if kept else None
        episode = run_episode(robot, scene, planner, loop, episode=task.episode, keep=keep)
        rows.append({**episode.row(), 'planner': name})
    return rows


def _scene(options: EvaluateOptions, robot: Arm | Base, task: Task) -> Scene:
    """Return the scene of a task: from a file, in a layout, or of a tier."""
    walls = () if options.layout is None else read_layout(options.layout)
    if task.scene is not None:
        return replace(task.scene, layout=walls) if walls else task.scene
    if walls and isinstance(robot, Base):
        return layout_world(robot, walls, task.seed)
    assert task.tier is not None
    return options.kind.generate(robot, task.seed, task.tier)
