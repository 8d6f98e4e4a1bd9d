# SPDX-License-Identifier: Apache-2.0
"""What the verbs `demo`, `faults` and `record` are asked to do."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from diffusion_control.errors import ConfigurationError, require_known, require_within
from diffusion_control.parameters.safety import OUTPUT_TYPES

ROBOTS = ('arm', 'base')
DEFAULT_ROBOT = {'arm': 'panda', 'base': 'base'}
OUTPUTS = {'arm': OUTPUT_TYPES[:3], 'base': OUTPUT_TYPES[3:]}
LEVELS = ('process',)
INJECT_NAMES: tuple[str, ...] = (
    'planner_kill',
    'planner_hang',
    'fallback_kill',
    'plan_nan',
    'plan_nan_3',
    'tracker_kill',
    'tracker_hang',
    'safety_kill',
    'safety_hang',
    'emergency_stop',
    'joint_states_stop',
    'obstacles_stop',
    'obstacle_jump',
    'robot_frozen',
    'clock_pause',
    'cpu_hog',
)


@dataclass(frozen=True)
class Injection:
    """One fault, and the time of motion [s] after which it fires."""

    name: str
    time_s: float

    @classmethod
    def parse(cls, text: str) -> Injection:
        """Return the fault that `NAME@TIMEs` asks for, for example `planner_kill@5s`.

        Raises:
            ConfigurationError: Not of that form, an unknown name, or a bad time.
        """
        name, separator, time_text = text.partition('@')
        check_choice('--inject', name, INJECT_NAMES)
        time_s = _number(time_text.removesuffix('s'))
        if not separator or time_s is None or time_s < 0:
            raise ConfigurationError(
                'the time of a fault is missing or wrong', where='--inject', value=text,
                allowed='NAME@TIMEs with TIME >= 0 [s] of motion',
                remedy=f'for example --inject {name}@5s')
        return cls(name, time_s)


@dataclass(frozen=True)
class DemoOptions:
    """What `diffusion_control demo` is asked to do.

    Attributes:
        robot: `arm` or `base`.
        robot_config: Name of a file in `config/robots`, or the path of such a file; empty is
            the one of the kind.
        duration_s: Duration of motion [s].
        planner: Value of `planner.type`; auto is the trained one where there is one.
        fallback: Value of `fallback.type`.
        inject: Faults, in the order given.
        scene: YAML file of one scene; None generates one from the seed.
        layout: Text file of walls for a base; None takes those of the scene.
        plant: `default` (perturbed by seed), `nominal`, or a YAML file.
        output_type: Value of `safety.command_out_type`; empty takes the robot file's.
        real_time_factor: Simulated seconds per second.
        record: Write `run.mcap`.
        headless: Print no live table.
        seed: Seed of scene, plant, planner and faults.
        out: Folder in place of `runs/`.
        json: Print the summary as JSON alone on stdout.
    """

    robot: str = 'arm'
    robot_config: str = ''
    duration_s: float = 30.0
    planner: str = 'auto'
    fallback: str = 'classical'
    inject: tuple[Injection, ...] = ()
    scene: Path | None = None
    layout: Path | None = None
    plant: str = 'default'
    output_type: str = ''
    real_time_factor: float = 1.0
    record: bool = True
    headless: bool = False
    seed: int = 0
    out: Path = Path('runs')
    json: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be run, before any process starts."""
        check_choice('--robot', self.robot, ROBOTS)
        require_within('--duration-s', self.duration_s, 1.0, 86400.0, unit='s')
        require_within('--real-time-factor', self.real_time_factor, 0.05, 10.0)
        check_seed(self.seed)
        if self.output_type:
            check_choice('--output-type', self.output_type, OUTPUTS[self.robot])
        check_file('--scene', self.scene)
        check_file('--layout', self.layout)
        if self.layout is not None and self.robot != 'base':
            raise ConfigurationError(
                'only a base has a layout', where='--layout', value=str(self.layout),
                allowed='with --robot base', remedy='add --robot base, or use --scene')
        if self.plant not in ('default', 'nominal'):
            check_file('--plant', Path(self.plant))
        for injection in self.inject:
            if injection.time_s > self.duration_s:
                raise ConfigurationError(
                    f'{injection.name} would fire after the end', where='--inject',
                    value=injection.time_s, allowed=f'at most --duration-s {self.duration_s:g} s')

    @property
    def robot_name(self) -> str:
        """Name or file of the robot."""
        return self.robot_config or DEFAULT_ROBOT[self.robot]

    @property
    def use_sim_time(self) -> bool:
        """True when the nodes must follow `/clock`: time is scaled, or it will be paused."""
        paused = any(injection.name == 'clock_pause' for injection in self.inject)
        return paused or self.real_time_factor != 1.0


@dataclass(frozen=True)
class FaultsOptions:
    """What `diffusion_control faults` is asked to do.

    Attributes:
        robot: `arm` or `base`.
        robot_config: Name or file of the robot; empty is the usual one.
        planner: Planner by name.
        faults: Inject names; empty means all.
        seeds: First seed, and the seed after the last one.
        level: `process`: real processes with real signals, one run after the other.
        resume: Keep the finished runs of an earlier, interrupted call with the same `out`.
        out: Folder in place of `runs/`.
        json: Print the result as JSON alone on stdout.
    """

    robot: str = 'arm'
    robot_config: str = ''
    planner: str = 'auto'
    faults: tuple[str, ...] = ()
    seeds: tuple[int, int] = (0, 10)
    level: str = 'process'
    resume: bool = False
    out: Path = Path('runs')
    json: bool = False

    def __post_init__(self) -> None:
        """Refuse unknown names and an empty range of seeds."""
        check_choice('--robot', self.robot, ROBOTS)
        check_choice('--level', self.level, LEVELS)
        for fault in self.faults:
            check_choice('--fault', fault, INJECT_NAMES)
        if not 0 <= self.seeds[0] < self.seeds[1] <= 2**31:
            raise ConfigurationError(
                'the range of seeds is empty or negative', where='--seeds', value=self.seeds,
                allowed='A:B with 0 <= A < B')

    @property
    def names(self) -> tuple[str, ...]:
        """The faults to inject, all of the table unless some were named."""
        return self.faults or INJECT_NAMES


@dataclass(frozen=True)
class RecordOptions:
    """What `diffusion_control record` is asked to do.

    Attributes:
        robot_config: Robot whose command topic is recorded.
        topics: Topics to record; empty means those of the package.
        duration_s: Time to record [s]; None records until Ctrl-C.
        namespace: Namespace of the topics.
        out: Folder in place of `runs/`.
        json: Print what was written as JSON alone on stdout.
    """

    robot_config: str = 'panda'
    topics: tuple[str, ...] = ()
    duration_s: float | None = None
    namespace: str = ''
    out: Path = Path('runs')
    json: bool = False

    def __post_init__(self) -> None:
        """Refuse a duration that is not positive."""
        if self.duration_s is not None:
            require_within('--duration-s', self.duration_s, 0.1, 1e6, unit='s')


def parse_seeds(text: str) -> tuple[int, int]:
    """Return (A, B) of `A:B`, the seeds A <= s < B.

    Raises:
        ConfigurationError: Not of that form.
    """
    match = re.fullmatch(r'(\d+):(\d+)', text.strip())
    if match is None:
        raise ConfigurationError(
            'not a range of seeds', where='--seeds', value=text, allowed='A:B with A < B',
            remedy='for example --seeds 0:10')
    return int(match[1]), int(match[2])


def check_choice(where: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise a ConfigurationError unless the value is one of the allowed names."""
    require_known(f'unknown value of {where}', where, value, allowed)


def check_seed(seed: int) -> None:
    """Raise a ConfigurationError unless the seed is one that every generator takes."""
    require_within('--seed', seed, 0, 2**31 - 1)


def check_file(where: str, path: Path | None) -> None:
    """Raise a ConfigurationError if a file is named that does not exist, or is none."""
    if path is not None and not path.is_file():
        raise ConfigurationError(
            'this is no file' if path.exists() else 'no such file', where=where, value=str(path),
            allowed='an existing file')


def _number(text: str) -> float | None:
    """Return the finite number that a text holds, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
