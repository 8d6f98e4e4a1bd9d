# SPDX-License-Identifier: Apache-2.0
"""Planner, fallback, tracker, safety and simulator in one process, on a simulated clock.

The loop does what the nodes do, with the same library calls and the same default parameters, but
in a fixed order and without waiting: tracker and safety every 10 ms, obstacles every 20 ms, the
planner at its rate. For 0.5 s before an episode begins the robot stands and sees the obstacles
stand, as in a cell that is switched on before it is given work. A plan is computed at once and
arrives `latency_s` later on the simulated clock, whatever the processor took. So the same seeds
give the same episode, as far as a planner does not look at the processor's clock.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_control import parameters
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.episode import EPISODE_S, Episode
from diffusion_control.evaluation.kept_run import KeptRun
from diffusion_control.evaluation.loop_parts import admission_of, monitor_of, tracker_of
from diffusion_control.evaluation.loop_truth import Judged, sent
from diffusion_control.evaluation.planner_side import PlannerSide, Seen
from diffusion_control.evaluation.side import Side, Sight
from diffusion_control.planners import registry
from diffusion_control.planners.protocol import Planner
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base
from diffusion_control.robots.state import RobotState
from diffusion_control.safety import Health, SafetyDecision
from diffusion_control.simulation.scene import Scene
from diffusion_control.tracking.hand_over import PlanSlots
from diffusion_control.tracking.protocol import Reference
from diffusion_control.trajectory.trajectory import Trajectory

START_S = 10.0
SETTLE_S = 0.5
TICK_S = 0.01
OBSTACLE_TICKS = 2
GOAL_HOLD_S = 0.3
AFTERWARDS_S = 0.05
REFUSALS = 10
NODES = ('planner', 'fallback', 'tracker', 'safety', 'simulator')
IDEAL = 'ideal'
EXPERT = 'expert'


@dataclass(frozen=True)
class LoopOptions:
    """How the loop is put together.

    Attributes:
        fallback: Name of the fallback.
        tracker: Name of a tracker, or `ideal`: the robot is where the motion says.
        safety: False sends the tracker's motion unchecked.
        plant: `default`, `nominal` or a file.
        latency_s: Simulated time from observation to plan [s]; None = the planner's period.
        duration_s: Longest episode [s].
        model: Model of a learned planner; '' = the shipped one.
        planner_parameters: Of the planner, beside those that its node gives it.
        deadline_s: Processor time that the planner is given [s]; None = the node's.
        naive: Plans begin at the measured state, see `PlannerSide`, and are adopted as they come.
    """

    fallback: str = 'hold'
    tracker: str = 'mpc'
    safety: bool = True
    plant: str = 'default'
    latency_s: float | None = None
    duration_s: float = EPISODE_S
    model: str = ''
    planner_parameters: dict[str, Any] = field(default_factory=dict)
    deadline_s: float | None = None
    naive: bool = False


def run_episode(
    robot: Arm | Base, scene: Scene, planner: str, options: LoopOptions, *, episode: int = 0,
    keep: Path | None = None,
) -> Episode:
    """Run one planner in one scene until all goals are reached or time is up.

    Args:
        robot: The nominal robot.
        scene: Scene with at least one goal.
        planner: A planner's name, or `expert`: ground truth, ideal tracking, no safety monitor.
        options: The loop.
        episode: Number for the row.
        keep: Folder in which a full run folder is left.
    """
    loop = ClosedLoop(robot, scene, planner, options)
    if keep is not None:
        loop.kept = loop.side.keep(keep)
    loop.run()
    if loop.kept is not None:
        loop.simulation.step(None, AFTERWARDS_S)
        loop.kept.close(
            loop.arrays, planner=planner, seed=scene.seed, plant=asdict(loop.simulation.plant),
            params={name: {'ros__parameters': parameters.defaults(name)} for name in NODES})
    return loop.episode(episode)


class ClosedLoop:
    """One episode.

    Args:
        robot: The nominal robot.
        scene: Scene.
        planner: Name, see `run_episode`.
        options: The loop.
    """

    def __init__(
        self, robot: Arm | Base, scene: Scene, planner: str, options: LoopOptions
    ) -> None:
        """Make all parts and put the robot at the scene's start."""
        self.robot, self.scene, self.name, self.options = robot, scene, planner, options
        expert = self._expert = planner == EXPERT
        self._ideal = expert or options.tracker == IDEAL
        settings = parameters.defaults('planner')
        self._period_s = 1.0 / float(settings['rate_hz'])  # type: ignore[arg-type]
        latency_s = self._period_s if options.latency_s is None else options.latency_s
        deadline_s: Any = settings['deadline_s'] if options.deadline_s is None else (
            options.deadline_s)
        self.side = side_of(robot, scene, options.plant, ideal=self._ideal)
        self._planner = PlannerSide(
            self._proposer(planner), latency_s=0.0 if expert else latency_s,
            deadline_s=None if expert else float(deadline_s), naive=options.naive)
        self._fallback = PlannerSide(
            registry.make_fallback(options.fallback, robot=robot, seed=scene.seed),
            latency_s=latency_s, deadline_s=latency_s)
        self.simulation = self.side.simulation
        self.tracker = tracker_of(robot, options.tracker, ideal=self._ideal)
        self.monitor = monitor_of(robot, options.fallback) if options.safety and not expert else (
            None)
        self._admission = admission_of(robot, naive=options.naive)
        self._slots = PlanSlots()
        self._start()

    def _proposer(self, name: str) -> Planner:
        """Return a planner with the parameters that its node gives it, timed by its thread."""
        if name == EXPERT:
            return self.side.expert(START_S)
        options, kind = self.options, self.robot.kind
        settings = {**parameters.defaults('planner'), 'model': options.model}
        if 'model' not in registry.parameters_of(name, kind):
            settings.pop('model')
        chosen = {**registry.settings_for(name, settings, kind), 'seed': self.scene.seed,
                  **registry.clocked(name, time.thread_time, kind), **options.planner_parameters}
        return registry.make(name, robot=self.robot, **chosen)

    def _start(self) -> None:
        """Set everything that changes in a run."""
        self.now_s = START_S - SETTLE_S
        self.state: RobotState = self.simulation.reset(
            time_s=self.now_s, obstacles_move=False)
        self.started = False
        self._sight = Sight()
        self._seen_s = self.now_s
        self._motion: Trajectory | None = None
        self._committed: Trajectory | None = None
        self.decision: SafetyDecision | None = None
        self.goal_index, self._at_goal_s = 0, np.inf
        self.reached_s: list[float] = []
        self._accepted_s, self._fallback_s = -np.inf, -np.inf
        self._rejected_in_row = 0
        self._confidence: float | None = None
        self.rejected: Counter[str] = Counter()
        self._state_ticks: Counter[str] = Counter()
        self.plans: list[Command] = []
        self.kept: KeptRun | None = None

    @property
    def done(self) -> bool:
        """Whether all goals are reached."""
        return self.goal_index >= len(self.scene.goals)

    def run(self) -> None:
        """Tick until all goals are reached, time is up, or the planner refuses for good."""
        for tick in range(-round(SETTLE_S / TICK_S), round(self.options.duration_s / TICK_S)):
            if tick == 0:
                self.begin()
            self.tick(tick)
            if self.done or self._planner.refused_in_row >= (1 if self._expert else REFUSALS):
                return

    def begin(self) -> None:
        """Set the first goal and let the movers start."""
        self.started = True
        self.simulation.activate_obstacles()
        if self.kept is not None:
            self.kept.goal(self.scene.goals[0], self.now_s)

    def tick(self, number: int) -> None:
        """Run one period of 10 ms; before the start nobody is asked for a plan."""
        if number % OBSTACLE_TICKS == 0:
            self._observe()
        self._take_plans()
        if self.started and number % round(self._period_s / TICK_S) == 0:
            has_plan = self._expert and self._slots.select().plan is not None
            if not (has_plan or self._planner.busy):
                self._planner.ask(self._look())
            if self._mode == 'fallback' and not self._fallback.busy:
                self._fallback.ask(self._look())
            self._take_plans()
        self.state = self.side.advance(self._control(), self.decision, TICK_S)
        self.now_s = self.simulation.time_s
        if self.started:
            self._follow_goals()

    @property
    def _mode(self) -> str:
        """Whom the tracker follows."""
        return 'planner' if self.decision is None else self.decision.mode

    def _observe(self) -> None:
        """See what is around."""
        self._sight, self._seen_s = self.side.see(self.now_s), self.now_s

    def _look(self) -> Seen:
        """Return what a planner sees now."""
        return Seen(self.now_s, self.state, self._motion, self.side.goal(self.goal_index),
                    self._sight, self._seen_s, self._mode == 'stop')

    def _take_plans(self) -> None:
        """Admit what arrives."""
        for delivery in self._planner.arrived(self.now_s):
            self._confidence = delivery.confidence
            if self.kept is not None:
                self.kept.report('planner/report', delivery.report(), self.now_s)
            if delivery.plan is not None and self._admit('planner', delivery.plan):
                self._accepted_s, self._rejected_in_row = self.now_s, 0
                self._planner.accepted(delivery.plan)
                self.plans.append(sent(delivery.plan, self.now_s))
            elif delivery.plan is not None:
                self._rejected_in_row += 1
        for delivery in self._fallback.arrived(self.now_s):
            if delivery.plan is not None and self._admit('fallback', delivery.plan):
                self._fallback_s = self.now_s
                self._fallback.accepted(delivery.plan)

    def _admit(self, source: str, plan: Trajectory) -> bool:
        """Offer a plan to the tracker if it passes the admission."""
        if self._expert:
            self._slots.offer(source, plan)
            return True
        sight = self._sight
        around = self.robot.pack(sight.obstacles, map=sight.map, scan=sight.scan)
        verdict = self._admission.judge(plan, self.now_s, self._motion, around)
        if self.kept is not None:
            self.kept.report('tracker/report', {
                'event': 'verdict', 'source': source, 'plan_stamp': plan.stamp_s,
                'accepted': verdict.accepted, 'reason_code': verdict.reason_code,
                'detail': verdict.detail}, self.now_s)
        if verdict.plan is None:
            self.rejected[verdict.reason_code] += 1
            return False
        self._slots.offer(source, verdict.plan)
        if self.kept is not None:
            self.kept.motion(f'{source}/plan', verdict.plan, self.now_s)
        return True

    def _control(self) -> Trajectory | None:
        """Return this tick's command."""
        self._slots.set_mode(self._mode)
        scale = 1.0 if self.decision is None else self.decision.time_scale
        chosen = self._slots.select(scale)
        self._motion = self.tracker.step(
            self.state,
            Reference(chosen.plan, self._committed, chosen.time_scale, self._sight.obstacles),
            self.now_s).motion
        command: Trajectory | None = self._motion
        if self.monitor is not None:
            sight = self._sight
            self.decision = self.monitor.step(
                self.state, self._motion, sight.obstacles, self.now_s, map=sight.map,
                scan=sight.scan, health=self._health())
            self._state_ticks[self.decision.state] += int(self.started)
            command = self.decision.command if self.decision.send else None
        else:
            command = self.side.unmonitored(self._motion, self.state, self.now_s)
        self._committed = command
        if self.kept is not None:
            self._keep(self.kept)
        return command

    def _health(self) -> Health:
        """Return what the safety node would know."""
        now = self.now_s
        return Health(
            state_age_s=now - self.state.stamp_s, motion_age_s=0.0,
            obstacles_age_s=now - self._seen_s, accepted_plan_age_s=now - self._accepted_s,
            planner_period_s=self._period_s, confidence=self._confidence,
            rejected_in_row=self._rejected_in_row, goal_active=self.started and not self.done,
            planner_alive=True, fallback_alive=True,
            fallback_plan_age_s=now - self._fallback_s, own_gap_s=TICK_S,
            scan_age_s=self.side.scan_age_s(now), map_age_s=self.side.map_age_s(now))

    def _keep(self, kept: KeptRun) -> None:
        """Write this tick's state, motion and command to the run folder."""
        kept.joints(self.state, self.now_s)
        if self._motion is not None:
            kept.motion('tracker/motion', self._motion, self.now_s)
        if self._committed is not None:
            sample = None if self.decision is None else self.decision.sample
            kept.command(self._committed, sample, self.now_s)
        if self.decision is not None:
            kept.status(self.decision, self.now_s)

    def _follow_goals(self) -> None:
        """Count a goal once the true state has been at it for 0.3 s; take the next one."""
        if not self.side.at_goal(self.goal_index):
            self._at_goal_s = np.inf
        self._at_goal_s = min(self._at_goal_s, self.now_s)
        if self.now_s - self._at_goal_s < GOAL_HOLD_S - 1e-9:
            return
        self.reached_s.append(self.now_s - START_S)
        self.goal_index, self._at_goal_s = self.goal_index + 1, np.inf
        if self.kept is not None and not self.done:
            self.kept.goal(self.scene.goals[self.goal_index], self.now_s)
        self._planner.forget()
        self._fallback.forget()
        if self._expert:
            self._slots.reset()

    @cached_property
    def judged(self) -> Judged:
        """What the ground truth says about the run, once it is over."""
        return self.side.judge(verified=self.monitor is not None)

    @property
    def arrays(self) -> dict[str, Any]:
        """Ground truth so far, keys as in `truth.npz`."""
        recorded: dict[str, Any] = self.simulation.recorder.arrays()
        return recorded

    def episode(self, number: int) -> Episode:
        """Return the row of the run."""
        judged = self.judged
        latency = self._planner.latencies_s
        end = 'reached' if self.done else self._planner.refusal or 'time'
        return Episode(
            number, self.scene.seed, self.name, self.done,
            self.reached_s[-1] if self.done else None, judged.contact_moving,
            judged.contacts_at_rest, judged.violations, judged.clearance_min_m,
            float(np.mean(self._planner.evaluations)) if latency else 0.0,
            float(np.median(latency)) if latency else None, self.scene.tier,
            [float(value) for value in latency], len(latency), dict(self.rejected),
            '' if self.decision is None else self.decision.state,
            {state: round(ticks * TICK_S, 2) for state, ticks in self._state_ticks.items()}, end,
            self.goal_index)


def side_of(robot: Arm | Base, scene: Scene, plant: str, *, ideal: bool) -> Side:
    """Return the simulated robot of the robot's kind."""
    if isinstance(robot, Base):
        from diffusion_control.evaluation.base.side import BaseSide
        return BaseSide(robot, scene, plant, ideal=ideal)
    from diffusion_control.evaluation.arm_side import ArmSide
    return ArmSide(robot, scene, plant, ideal=ideal)
