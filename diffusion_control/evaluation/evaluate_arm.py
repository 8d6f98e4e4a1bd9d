# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control evaluate arm`: a planner over many scenes, beside its peers.

Each scene is run in closed loop on a simulated clock, once with each planner; the rows go to
`rows.jsonl` as they come, so that an interrupted evaluation can be resumed.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from diffusion_control import planners, robots, tracking
from diffusion_control.errors import ConfigurationError, require_known
from diffusion_control.evaluation.arm_checks import EXPERT, SUCCESS_BOUND, result_of
from diffusion_control.evaluation.closed_loop import IDEAL, LoopOptions, run_episode
from diffusion_control.evaluation.episode import Episode
from diffusion_control.evaluation.evaluation_table import print_comparison
from diffusion_control.evaluation.row_store import RowStore
from diffusion_control.evaluation.run_folder import finite
from diffusion_control.evaluation.scene_tiers import generate_scene, tier_named
from diffusion_control.evaluation.workers import run_tasks, warm_robot
from diffusion_control.inference.card import CARD_FILE
from diffusion_control.inference.untrained import write_untrained
from diffusion_control.planners import registry
from diffusion_control.planners.models import TRAINED, model_directory
from diffusion_control.robots.arm import Arm
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.scene import Scene
from diffusion_control.simulation.scene_file import load_scenes

PEERS = ('straight_line', 'random', 'multi_start')
NO_PEERS = 'none'
UNTRAINED = 'untrained'
BOTH = 'both'
EPISODES_ASKED = 100
Key = tuple[str | None, int, str]


@dataclass(frozen=True)
class EvaluateArmOptions:
    """What to evaluate.

    Attributes:
        robot_config: Name in config/robots, or a file.
        planner: The planner that is judged.
        fallback: Fallback of the closed loop.
        episodes: Scenes per tier (of a file: at most so many).
        jobs: Processes side by side.
        resume: Keep the rows that `out` already has.
        scenes: YAML of scenes in place of generated ones.
        tier: `easy`, `hard` or `both`.
        plant: `default`, `nominal` or a file.
        tracker: A tracker's name, `ideal`, or '' for the default one.
        safety: Whether the safety monitor is in the loop.
        latency_ms: Time from observation to plan [ms]; None = 1000 / planner.rate_hz.
        keep_runs: Full run folders to keep.
        seed: Seed of the first scene.
        out: Folder of the results.
        peers: Planners beside the judged one and the expert.
        model: Model of the judged planner; '' = the shipped one.
        untrained: Run the judged planner with random weights, too.
        commit: Version of the code, for the result.
        command: Command line, for the result.
    """

    robot_config: str = 'panda'
    planner: str = 'training_free'
    fallback: str = 'hold'
    episodes: int = EPISODES_ASKED
    jobs: int = 1
    resume: bool = False
    scenes: Path | None = None
    tier: str = 'easy'
    plant: str = 'default'
    tracker: str = ''
    safety: bool = True
    latency_ms: float | None = None
    keep_runs: int = 0
    seed: int = 0
    out: Path = Path('runs')
    peers: tuple[str, ...] = PEERS
    model: str = ''
    untrained: bool = False
    commit: str = ''
    command: str = field(default_factory=lambda: ' '.join(sys.argv))

    @property
    def planners(self) -> tuple[str, ...]:
        """The expert first, because the others are compared with it; then the judged planner."""
        random = (UNTRAINED,) if self.untrained else ()
        return tuple(dict.fromkeys((EXPERT, self.planner, *random, *self.peers)))

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
        return {**values, 'scenes': None if self.scenes is None else str(self.scenes)}


def peers(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the planners to compare with: the given ones, the usual ones, or (`none`) nobody."""
    if not names:
        return PEERS
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


def evaluate_arm(options: EvaluateArmOptions) -> dict[str, Any]:
    """Run the evaluation, print its table and return the result of the contract.

    Raises:
        ConfigurationError: Unknown names, malformed files, or rows of other settings in `out`.
    """
    _check(options)
    store = _store(options)
    tasks = [task for task in _tasks(options, set(store.rows)) if task.planners]
    run = partial(run_task, options, store.folder)
    for found in run_tasks(run, tasks, options.jobs, 'evaluate arm', 'scenes'):
        store.add(found)
    wanted = [store.rows[key] for task in _tasks(options, set()) for key in _keys(task)]
    episodes = [Episode.of(row) for row in wanted]
    print_comparison(episodes)
    result: dict[str, Any] = finite(result_of(
        wanted, options.planner, commit=options.commit, command=options.command))
    store.write_result(result)
    return result


def _check(options: EvaluateArmOptions) -> None:
    """Refuse bad options before anything runs."""
    robot = robots.load_arm(options.robot_config)
    if options.tier != BOTH:
        tier_named(options.tier)
    known = (EXPERT, *planners.available())
    for name in (options.planner, *options.peers):
        require_known('unknown planner', '--planner', name, known)
    for kind, name, names in (
        ('fallback', options.fallback, tuple(registry.available_fallbacks())),
        ('tracker', options.loop().tracker, (IDEAL, *tracking.available())),
    ):
        require_known(f'unknown {kind}', f'--{kind}', name, names)
    Plant.make(options.plant, seed=0, links=robot.dof)
    _check_model(options, robot)
    if options.scenes is not None:
        for index, scene in enumerate(load_scenes(options.scenes)):
            scene.check(robot, f'{options.scenes}: [{index}]')
            scene.require_goal(f'{options.scenes}: [{index}]')


def _check_model(options: EvaluateArmOptions, robot: Arm) -> None:
    """Refuse a model for a planner that takes none, and one that cannot be opened."""
    if options.planner == EXPERT:
        return
    settings = {'model': options.model}
    registry.make(
        options.planner, robot=robot, **registry.settings_for(options.planner, settings))
    if options.untrained and 'model' not in registry.parameters_of(options.planner):
        raise ConfigurationError(
            f'planner {options.planner} has no weights', where='--untrained', value=True,
            allowed='a learned planner, for example --planner diffuser')


def _store(options: EvaluateArmOptions) -> RowStore:
    """Return the rows in a folder named after what was evaluated, so that it can be resumed."""
    name = 'scenes' if options.scenes is not None else options.tier
    robot = Path(options.robot_config).stem
    return RowStore(
        options.out / f'evaluate_arm-{robot}-{name}-{options.planner}', options.settings(),
        resume=options.resume, key=_key)


def _key(row: dict[str, Any]) -> Key:
    """Return what names a row."""
    return row['tier'], row['episode'], row['planner']


def _keys(task: Task) -> list[Key]:
    """Return the names of a task's rows."""
    return [(task.tier, task.episode, planner) for planner in task.planners]


def _tasks(options: EvaluateArmOptions, done: set[Hashable]) -> Iterator[Task]:
    """Yield every scene with the planners that have no row in `done`."""
    def left(tier: str | None, episode: int) -> tuple[str, ...]:
        return tuple(name for name in options.planners if (tier, episode, name) not in done)

    if options.scenes is not None:
        for index, scene in enumerate(load_scenes(options.scenes)[:options.episodes]):
            yield Task(index, scene.tier, scene.seed, scene, left(scene.tier, index))
        return
    for tier in (tuple(SUCCESS_BOUND) if options.tier == BOTH else (options.tier,)):
        for index in range(options.episodes):
            yield Task(index, tier, options.seed + index, None, left(tier, index))


def run_task(options: EvaluateArmOptions, folder: Path, task: Task) -> list[dict[str, Any]]:
    """Run one scene with each of the task's planners and return the rows."""
    robot = warm_robot(options.robot_config)
    scene = task.scene
    if scene is None:
        assert task.tier is not None
        scene = generate_scene(robot, task.seed, task.tier)
    rows = []
    for name in task.planners:
        planner, loop = name, options.loop()
        if name == UNTRAINED:
            planner = options.planner
            loop = replace(loop, model=str(_untrained(options, robot, folder)))
        kept = name == options.planner and task.episode < options.keep_runs
        keep = folder / 'runs' if kept else None
        episode = run_episode(robot, scene, planner, loop, episode=task.episode, keep=keep)
        rows.append({**episode.row(), 'planner': name})
    return rows


def _untrained(options: EvaluateArmOptions, robot: Arm, folder: Path) -> Path:
    """Return the judged planner's model with random weights, made once."""
    out = folder / UNTRAINED
    if not (out / CARD_FILE).exists():
        write_untrained(model_directory(options.model, TRAINED, robot), out)
    return out
