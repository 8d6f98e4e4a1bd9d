# SPDX-License-Identifier: Apache-2.0
"""One step of our safety filter, of pink's barriers and of cbfpy, on the same states in one run.

Usage: pip install pin-pink cbfpy
       OMP_NUM_THREADS=1 python benchmarks/safety_peers.py [--count 1500]

The Panda among eight obstacles at states that are at least 3 cm clear of everything, asked for
random velocities. Ours is the whole filter (joint, torque, obstacle and self rows, bounds on the
stop). pink: `solve_ik` with a posture task, configuration and velocity limits and its
`SelfCollisionBarrier` over one capsule a link and all obstacles, the nearest 20 pairs, Daqp.
cbfpy: joint limits and the least distance of every sphere to the obstacles, differentiated and
compiled by JAX; it has no rows for own links. A peer that is not installed is named as absent.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numbers_given import positive
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from diffusion_control import robots
from diffusion_control.evaluation.safety_timing import obstacles_around
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.obstacles import ObstacleArrays
from diffusion_control.safety import SafetyParameters
from diffusion_control.safety.committed import stand
from diffusion_control.safety.step_filter import StepFilter
from diffusion_control.safety.verify import Surroundings

Array = NDArray[np.float64]
Step = Callable[[Array, Array], Array]
OBSTACLES, CLEAR_M, STATES, WARM = 8, 0.03, 300, 200
MARGIN_M, GAIN, STEP_S = 0.02, 5.0, 0.06


def states(arm: Arm, packed: ObstacleArrays, random: np.random.Generator) -> Array:
    """Return positions that are clear of everything, shape [STATES, 7]."""
    found: list[Array] = []
    while len(found) < STATES:
        q = random.uniform(arm.limits.lower_rad + 0.1, arm.limits.upper_rad - 0.1)
        if min(arm.collision.clearance(q, packed)) > CLEAR_M:
            found.append(q)
    return np.array(found)


def ours(arm: Arm, packed: ObstacleArrays) -> Step:
    """Return the filter at rest in a state."""
    made = StepFilter(arm, SafetyParameters(rate_hz=100.0))
    around = Surroundings(packed, 0.02)
    names = tuple(arm.joint_names)

    def step(q: Array, asked: Array) -> Array:
        found = made.filter(stand(q, 0.0, names, ''), 0.0, STEP_S, asked, around)
        assert found.velocity is not None
        return found.velocity
    return step


def pinks(arm: Arm) -> Step:
    """Return pink's differential inverse kinematics with its barrier."""
    import coal
    import pinocchio as pin
    from pink import Configuration, solve_ik
    from pink.barriers import SelfCollisionBarrier
    from pink.limits import ConfigurationLimit, VelocityLimit
    from pink.tasks import PostureTask
    geometry, collision = pin.GeometryModel(), arm.collision
    centres, data = collision.centres(np.zeros(arm.dof)), arm.model.createData()
    pin.forwardKinematics(arm.model, data, np.zeros(arm.dof))
    links = []
    for link in range(len(collision.links)):
        mine = np.flatnonzero(collision.link == link)
        joint = int(collision.joint[mine[0]])
        a, b = centres[mine[0]], centres[mine[-1]] + 1e-6
        turn = pin.Quaternion.FromTwoVectors(np.array([0.0, 0.0, 1.0]), b - a).toRotationMatrix()
        shape = coal.Capsule(float(collision.radius[mine].max()), float(np.linalg.norm(b - a)))
        place = data.oMi[joint].actInv(pin.SE3(turn, (a + b) / 2))
        links.append((joint, geometry.addGeometryObject(
            pin.GeometryObject(collision.links[link], joint, place, shape))))
    for obstacle in obstacles_around(OBSTACLES, 1):
        size = obstacle.size_m
        shape = {'sphere': lambda s: coal.Sphere(*s), 'box': lambda s: coal.Box(*s),
                 'cylinder': lambda s: coal.Cylinder(*s)}[obstacle.shape](size)
        index = geometry.addGeometryObject(pin.GeometryObject(
            str(obstacle.key), 0, pin.SE3(np.eye(3), obstacle.position_m), shape))
        for joint, link in links:
            if joint > 0:
                geometry.addCollisionPair(pin.CollisionPair(link, index))
    for k, (joint, link) in enumerate(links):
        for other, last in links[k + 1:]:
            if other > joint + 1:
                geometry.addCollisionPair(pin.CollisionPair(link, last))
    configuration = Configuration(
        arm.model, data, np.zeros(arm.dof), collision_model=geometry)
    task = PostureTask(1.0)
    barriers = [SelfCollisionBarrier(20, gain=GAIN, d_min=MARGIN_M)]
    limits = [ConfigurationLimit(arm.model), VelocityLimit(arm.model)]

    def step(q: Array, asked: Array) -> Array:
        configuration.update(q)
        task.set_target(q + 0.01 * asked)
        found: Array = solve_ik(
            configuration, [task], 0.01, 'daqp', barriers=barriers, limits=limits,
            safety_break=False)
        return found
    return step


def cbfpys(arm: Arm) -> Step:
    """Return cbfpy's filter for single integrators; JAX reads its settings when it is imported."""
    os.environ['XLA_FLAGS'] = '--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1'
    os.environ['JAX_ENABLE_X64'], os.environ['JAX_PLATFORMS'] = '1', 'cpu'
    import jax.numpy as jnp
    from cbfpy import CBF, CBFConfig
    collision, limits = arm.collision, arm.limits
    chain = arm.chain.placements
    moved = collision.joint > 0

    class Config(CBFConfig):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(n=arm.dof, m=arm.dof, u_min=-limits.velocity_rad_s,
                             u_max=limits.velocity_rad_s)

        def f(self, z: Any) -> Any:
            return jnp.zeros(arm.dof)

        def g(self, z: Any) -> Any:
            return jnp.eye(arm.dof)

        def alpha(self, h: Any) -> Any:
            return GAIN * h

        def h_1(self, z: Any) -> Any:
            turn, place, points = jnp.eye(3), jnp.zeros(3), []
            for j in range(arm.dof):
                place = place + turn @ chain[j, :3]
                cos, sin = jnp.cos(z[j]), jnp.sin(z[j])
                turn = turn @ chain[j, 3:].reshape(3, 3) @ jnp.array(
                    [[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
                points.append(collision.spheres[collision.joint == j + 1, :3] @ turn.T + place)
            x = jnp.concatenate(points)
            far = jnp.stack([_distance(jnp, x, o) for o in obstacles_around(OBSTACLES, 1)])
            return jnp.concatenate([far.min(0) - collision.radius[moved] - MARGIN_M,
                                    limits.upper_rad - z, z - limits.lower_rad])

    made = CBF.from_config(Config())

    def step(q: Array, asked: Array) -> Array:
        return np.asarray(made.safety_filter(q, asked))
    return step


def _distance(jnp: Any, x: Any, obstacle: Any) -> Any:
    """Return the signed distances of points to an upright obstacle."""
    y = x - obstacle.position_m
    if obstacle.shape == 'sphere':
        return jnp.sqrt((y**2).sum(1)) - obstacle.size_m[0]
    if obstacle.shape == 'box':
        beyond = jnp.abs(y) - jnp.array(obstacle.size_m) / 2
    else:
        aside = jnp.sqrt(y[:, 0]**2 + y[:, 1]**2 + 1e-12) - obstacle.size_m[0]
        beyond = jnp.stack([aside, jnp.abs(y[:, 2]) - obstacle.size_m[1] / 2], axis=1)
    outside = jnp.sqrt((jnp.maximum(beyond, 0.0)**2).sum(1) + 1e-12)
    return outside + jnp.minimum(beyond.max(1), 0.0)


def measure(step: Step, at: Array, asked: Array, count: int) -> tuple[Array, int]:
    """Return processor times [s], and how many answers were exceptions or not finite."""
    spent, bad = np.empty(count), 0
    for k in range(-WARM, count):
        q, u = at[k % len(at)], asked[k % len(asked)]
        begin = time.process_time_ns()
        try:
            fine = bool(np.isfinite(step(q, u)).all())
        except Exception:
            fine = False
        if k >= 0:
            spent[k] = (time.process_time_ns() - begin) * 1e-9
            bad += not fine
    return spent, bad


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--count', type=positive, default=1500)
    options = parser.parse_args()
    arm, random = robots.load_arm('panda'), np.random.default_rng(0)
    arm.warm_up()
    packed = ObstacleArrays.pack(obstacles_around(OBSTACLES, 1))
    at = states(arm, packed, random)
    asked = 0.7 * random.uniform(-1, 1, (STATES, arm.dof)) * arm.limits.velocity_rad_s
    table = Table(title=f'processor time of one step, {options.count} steps')
    for name in ('filter', 'made in', 'p50', 'p99', 'p99.9', 'no answer'):
        table.add_column(name)
    makers: dict[str, Callable[[], Step]] = {
        'diffusion_control': lambda: ours(arm, packed), 'pink': lambda: pinks(arm),
        'cbfpy': lambda: cbfpys(arm)}
    for name, make in makers.items():
        begin = time.perf_counter()
        try:
            step = make()
        except ImportError as error:
            table.add_row(name, 'absent', str(error), '', '', '')
            continue
        step(at[0], asked[0])
        made_s = time.perf_counter() - begin
        spent, bad = measure(step, at, asked, options.count)
        table.add_row(
            name, f'{made_s:.1f} s',
            *(f'{1e6 * value:.0f} us' for value in np.percentile(spent, [50, 99, 99.9])),
            str(bad))
    Console(width=100).print(table)


if __name__ == '__main__':
    main()
