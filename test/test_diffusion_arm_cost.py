# SPDX-License-Identifier: Apache-2.0
"""The arm's collision cost in a graph: against the kernel, finite differences and the export."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('onnx')
ort = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

from diffusion_control import robots  # noqa: E402
from diffusion_control.diffusion import sampling  # noqa: E402
from diffusion_control.diffusion.arm_cost import SCALE, ArmSpheres  # noqa: E402
from diffusion_control.diffusion.arm_cost_body import ArmBody  # noqa: E402
from diffusion_control.diffusion.arm_cost_inputs import obstacle_inputs  # noqa: E402
from diffusion_control.diffusion.arm_cost_obstacles import ArmObstacles  # noqa: E402
from diffusion_control.diffusion.denoisers import make_denoiser  # noqa: E402
from diffusion_control.diffusion.export import export_sampler  # noqa: E402
from diffusion_control.diffusion.graph_step import SamplerStep, StepSpec  # noqa: E402
from diffusion_control.diffusion.prediction import Prediction  # noqa: E402
from diffusion_control.diffusion.samplers import make_sampler  # noqa: E402
from diffusion_control.diffusion.schedules import make_schedule  # noqa: E402
from diffusion_control.diffusion.table import ALPHA, SIGMA, tabulate  # noqa: E402
from diffusion_control.errors import ConfigurationError  # noqa: E402
from diffusion_control.planners.problem import Start  # noqa: E402
from diffusion_control.planners.spline_problem import (  # noqa: E402
    COLLISION_WEIGHT,
    FREE,
    FREE_POINTS,
    SplineProblem,
)
from diffusion_control.planners.world import OWN_EXTRA_M, World  # noqa: E402
from diffusion_control.robots import batch_cost  # noqa: E402
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays  # noqa: E402
from diffusion_control.trajectory.spline import basis, smoothness  # noqa: E402

pytestmark = pytest.mark.filterwarnings('ignore')
NAMES, SHAPES = ('panda', 'ur5'), ('sphere', 'box', 'cylinder')
INSTANTS, PLACES, MARGINS = 12, 5, (0.1, 0.06)
SIZES = {'sphere': (0.15,), 'box': (0.2, 0.3, 0.4), 'cylinder': (0.12, 0.4)}


@cache
def arm(name: str) -> robots.Arm:
    return robots.load(name)


def some_obstacles(shapes: tuple[str, ...], seed: int, speed: float = 0.0) -> ObstacleArrays:
    """Return obstacles in any orientation, in reach of an arm."""
    rng, found = np.random.default_rng(seed), []
    for shape in shapes:
        turn = rng.normal(size=4)
        found.append(Obstacle(
            shape, SIZES[shape], rng.uniform([-0.5, -0.5, 0.2], [0.5, 0.5, 0.8]),
            turn / np.linalg.norm(turn), speed * rng.normal(size=3)))
    return ObstacleArrays.pack(tuple(found))


def postures(name: str, count: int, seed: int) -> np.ndarray:
    limits = arm(name).limits
    rng = np.random.default_rng(seed)
    return rng.uniform(limits.lower_rad, limits.upper_rad, (count, arm(name).dof))


def in_torch(body: ArmBody, dtype: Any = torch.float32) -> ArmBody:
    return ArmBody(*(torch.as_tensor(value, dtype=dtype) for value in asdict(body).values()))


def direct(name: str, obstacles: ObstacleArrays, times_s: np.ndarray) -> ArmSpheres:
    """Return the cost of joint positions themselves: matrix 1, offset 0, scale 1."""
    given = {key: torch.as_tensor(value) for key, value in obstacle_inputs(
        obstacles, times_s, PLACES).items()}
    instants, dof = len(times_s), arm(name).dof
    return ArmSpheres(
        in_torch(ArmBody.of(arm(name))), ArmObstacles(*given.values()), torch.zeros(instants, dof),
        torch.eye(instants), torch.ones(dof), torch.tensor(MARGINS))


def beside_a_face(cost: ArmSpheres, x: Any) -> np.ndarray:
    """Return where a centre is so little outside of a box or cylinder that the kernel softens."""
    point = cost.body.posed(x).centre.transpose(-1, -2)
    distance, _ = cost.obstacles._distance(cost.obstacles._local(point))
    soft = (distance > -1e-6) & (distance < 5e-3) & (cost.obstacles.code > 1.5)
    return soft.any(-1).any(-1).reshape(-1).numpy()


@pytest.mark.parametrize('shapes', [(), *((shape,) for shape in SHAPES), SHAPES])
@pytest.mark.parametrize('name', NAMES)
def test_cost_and_gradient_are_the_kernels(name: str, shapes: tuple[str, ...]) -> None:
    """At random configurations, at rest and with obstacles that move from instant to instant."""
    times = np.linspace(0.0, 0.5, INSTANTS)
    for seed, speed in ((1, 0.0), (2, 0.5)):
        obstacles = some_obstacles(shapes, seed, speed)
        cost, batch = direct(name, obstacles, times), 20
        position = postures(name, batch * INSTANTS, seed).astype(np.float32)
        wanted, _, slope = arm(name).collision.cost(
            position, np.tile(times, batch), obstacles, *MARGINS, True)
        x = torch.as_tensor(position.reshape(batch, INSTANTS, -1))
        wanted = SCALE * wanted.reshape(batch, INSTANTS).mean(1)
        assert wanted.min() > 0.0
        assert cost.value(x).numpy() == pytest.approx(wanted, rel=1e-4)
        gradient = cost.gradient(x).numpy() * INSTANTS / SCALE
        apart, soft = np.abs(gradient.reshape(slope.shape) - slope), beside_a_face(cost, x)
        assert soft.mean() < 0.2
        assert apart[~soft].max() < min(2e-5, 1e-3 * np.abs(slope).max())


def test_spheres_that_obstacles_do_not_count_for() -> None:
    """A robot whose first links obstacles are not checked for."""
    robot, obstacles = arm('panda'), some_obstacles(SHAPES, 1)
    parts = ('joint', 'spheres', 'radius', 'pairs', 'first', 'floor_m', 'floor_first')
    shape = SimpleNamespace(
        obstacle_first=30, **{name: getattr(robot.collision, name) for name in parts})
    cost = replace(direct('panda', obstacles, np.zeros(60)), body=in_torch(ArmBody.of(
        SimpleNamespace(chain=robot.chain, collision=shape))))
    position = postures('panda', 60, 1).astype(np.float32)
    wanted, _, _ = batch_cost.evaluate(
        position, np.zeros(60), batch_cost.pack(obstacles),
        replace(robot.collision._batch, obstacle_first=30), *MARGINS, False)
    every = direct('panda', obstacles, np.zeros(60)).value(torch.as_tensor(position)[None])
    value = cost.value(torch.as_tensor(position)[None])
    assert value.item() == pytest.approx(SCALE * wanted.mean(), rel=1e-4)
    assert value.item() < 0.95 * every.item()


def in_double(cost: ArmSpheres) -> ArmSpheres:
    """Return the same cost in float64."""
    parts, there = vars(cost), vars(cost.obstacles)
    return ArmSpheres(
        in_torch(cost.body, torch.float64),
        ArmObstacles(*(value.double() for value in there.values())),
        *(parts[key].double() for key in ('offset', 'matrix', 'scale', 'margins')))


@pytest.mark.parametrize('shapes', [(), *((shape,) for shape in SHAPES)])
@pytest.mark.parametrize('name', NAMES)
def test_gradient_is_the_slope_of_the_value(name: str, shapes: tuple[str, ...]) -> None:
    """Central differences through any decode, in float64."""
    rng, knots, instants = np.random.default_rng(3), 4, 6
    plain = in_double(direct(name, some_obstacles(shapes, 4), np.zeros(instants)))
    cost = ArmSpheres(
        plain.body, plain.obstacles, torch.as_tensor(postures(name, instants, 5)),
        torch.as_tensor(rng.normal(size=(instants, knots))),
        torch.as_tensor(rng.uniform(0.1, 0.5, arm(name).dof)), plain.margins)
    x = torch.as_tensor(rng.normal(size=(3, knots, arm(name).dof)))
    gradient, found, step = cost.gradient(x), torch.zeros_like(x), 1e-6
    for k in np.ndindex(*x.shape[1:]):
        ahead = torch.zeros_like(x)
        ahead[(slice(None), *k)] = step
        found[(slice(None), *k)] = (cost.value(x + ahead) - cost.value(x - ahead)) / (2 * step)
    assert gradient.abs().max() > 1.0
    assert (gradient - found).abs().max() < 1e-5 * gradient.abs().max()


def test_deep_inside_and_on_planes_of_symmetry() -> None:
    """A way out exists at the centre of every shape, and is the kernel's where it has one."""
    name, times = 'panda', np.zeros(1)
    centres = arm(name).collision.centres(arm(name).home_rad)
    x = torch.as_tensor(arm(name).home_rad, dtype=torch.float32)[None, None]
    for shape in SHAPES:
        for shift in (0.0, 0.02):
            obstacles = ObstacleArrays.pack((
                Obstacle(shape, SIZES[shape], centres[-1] + [shift, 0.3 * shift, 0.5 * shift]),))
            cost = direct(name, obstacles, times)
            wanted, _, slope = arm(name).collision.cost(
                x[0].numpy(), times, obstacles, *MARGINS, True)
            assert cost.value(x).numpy() == pytest.approx(SCALE * wanted, rel=1e-3)
            assert torch.isfinite(cost.gradient(x)).all()
            if shift:
                assert cost.gradient(x)[0].numpy() == pytest.approx(
                    SCALE * slope, rel=1e-3, abs=1e-2)
    exact = ArmObstacles(
        torch.tensor([1.0, 2.0, 3.0]), torch.zeros(1, 3, 3), torch.eye(3).expand(3, 3, 3),
        torch.tensor([[0.1, 0.0, 0.0], [0.1, 0.2, 0.3], [0.1, 0.0, 0.3]]))
    for k in range(3):
        one = ArmObstacles(exact.code[k:k + 1], exact.centre[:, k:k + 1],
                           exact.rotation[k:k + 1], exact.half[k:k + 1])
        value, slope = one.cost(torch.zeros(1, 1, 3, 1), torch.zeros(1), torch.tensor(0.0))
        assert value.item() == pytest.approx(0.01, rel=1e-4)
        assert slope.norm().item() == pytest.approx(0.2, rel=1e-4)


def test_empty_places_cost_nothing_and_too_many_obstacles_are_refused() -> None:
    obstacles, times = some_obstacles(SHAPES, 6), np.zeros(INSTANTS)
    x = torch.as_tensor(postures('ur5', INSTANTS, 7).astype(np.float32))[None]
    padded = direct('ur5', obstacles, times)
    tight = obstacle_inputs(obstacles, times, 3)
    assert tight['arm_obstacle_centre'].shape == (INSTANTS, 3, 3)
    full = ArmSpheres(
        padded.body, ArmObstacles(*map(torch.as_tensor, tight.values())), padded.offset,
        padded.matrix, padded.scale, padded.margins)
    assert torch.allclose(padded.value(x), full.value(x), rtol=1e-6)
    assert torch.allclose(padded.gradient(x), full.gradient(x), rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigurationError, match='places'):
        obstacle_inputs(obstacles, times, 2)


@dataclass(frozen=True)
class Task:
    """Spline motions of the panda from a start to a goal, and their codes."""

    problem: SplineProblem
    goal: np.ndarray
    given: dict[str, Any]

    def cost(self, code: np.ndarray) -> np.ndarray:
        """Return the collision cost of codes by the kernel, shape [B]."""
        free = self.problem.line(self.goal[None]) + (
            smoothness().noise @ code) * self.given['arm_scale']
        duration = np.ones(len(code))
        points = self.problem.assemble(free, np.repeat(self.goal[None], len(code), 0), duration)
        summed, _ = self.problem.clearance(points, duration, INSTANTS, extra_m=0.02)
        return COLLISION_WEIGHT * 48 / INSTANTS * summed


@pytest.fixture(scope='module')
def task() -> Task:
    """Return a motion past a sphere, a box and a cylinder that stand in the way."""
    robot, at = arm('panda'), basis(INSTANTS)
    start, goal = robot.home_rad.copy(), robot.home_rad.copy()
    start[0], goal[0] = start[0] - 0.8, goal[0] + 0.8
    tool = robot.collision.centres(robot.home_rad)[-1]
    obstacles = tuple(
        Obstacle(shape, SIZES[shape], tool + shift) for shape, shift in zip(
            SHAPES, ([0.1, 0.0, 0.0], [0.0, 0.3, 0.2], [0.1, -0.3, 0.1]), strict=True))
    world = World(robot, obstacles, margin_m=0.02)
    still = Start(start, np.zeros(7), np.zeros(7), 0.0)
    problem = SplineProblem(world, still, world.limits, samples=INSTANTS)
    straight = problem.assemble(problem.line(goal[None]), goal[None], np.ones(1))[0]
    scale = np.full(7, 0.4)
    given = {
        'arm_offset': at.position @ straight,
        'arm_matrix': at.position[:, FREE] @ smoothness().noise, 'arm_scale': scale,
        'arm_margins': np.array([0.02 + 0.02, 0.005 + OWN_EXTRA_M + 0.5 * 0.02]),
        **obstacle_inputs(world.all, np.zeros(INSTANTS), PLACES)}
    return Task(problem, goal, {key: value.astype(np.float32) for key, value in given.items()})


SPEC = StepSpec(
    FREE_POINTS, 7, 4, costs=('arm_spheres',), obstacles=PLACES, instants=INSTANTS)


@pytest.fixture(scope='module')
def step() -> SamplerStep:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    denoiser = make_denoiser('mixer', FREE_POINTS, 7, 4, width=16, depth=1)
    return SamplerStep(denoiser, SPEC, arm=ArmBody.of(arm('panda')))


def inputs(task: Task, batch: int, strength: float, cap: float) -> tuple[dict[str, Any], Any]:
    """Return all inputs of a run with guidance but row and noise, and the table."""
    table = tabulate(make_sampler('ddim'), make_schedule('flow'), Prediction('flow'), 5)
    shapes = {name: tuple(batch if side == 'batch' else side for side in shape)
              for name, shape in SPEC.shapes.items() if name not in ('row', 'noise')}
    given: dict[str, Any] = {
        name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    rng = np.random.default_rng(8)
    noise = rng.normal(size=shapes['x']).astype(np.float32)
    state = sampling.begin(
        np.float32(table.rows[0, ALPHA]), np.float32(table.rows[0, SIGMA]), noise)
    told = {'clip_bound': 5.0, 'cost_weights': 1.0, 'guidance_strength': strength,
            'guidance_cap': cap}
    given |= {'x': state.x, 'base': state.base, 'clean': state.clean, **task.given}
    given |= {name: np.full(1, value, np.float32) for name, value in told.items()}
    given['condition'] = rng.normal(size=shapes['condition']).astype(np.float32)
    assert {name: value.shape for name, value in given.items()} == shapes
    return given, table


def eager(step: SamplerStep, given: dict[str, Any], table: Any) -> np.ndarray:
    """Return the samples of the step in torch, row by row."""
    told = {key: torch.as_tensor(value) for key, value in given.items()}
    told['noise'] = torch.zeros_like(told['x'])
    with torch.no_grad():
        for row in table.rows.astype(np.float32):
            told['row'] = torch.as_tensor(row)
            told['x'], told['base'], told['clean'] = step(*(told[key] for key in SPEC.shapes))
    return told['x'].numpy()


def test_a_weight_of_one_is_the_term_of_the_spline_problem(task: Task, step: SamplerStep) -> None:
    code = np.random.default_rng(9).normal(size=(6, FREE_POINTS, 7)).astype(np.float32)
    (cost,) = step._costs({key: torch.as_tensor(value) for key, value in task.given.items()})
    wanted = task.cost(code)
    assert wanted.min() > 0.0
    assert cost.value(torch.as_tensor(code)).numpy() == pytest.approx(wanted, rel=1e-3)


def test_the_exported_graph_is_the_eager_step(task: Task, step: SamplerStep) -> None:
    """To 1e-5 after a whole run, and every input of the cost matters."""
    session = ort.InferenceSession(
        export_sampler(step).SerializeToString(), providers=['CPUExecutionProvider'])
    for batch in (1, 4):
        given, table = inputs(task, batch, strength=0.1, cap=1.0)
        told = {'table': table.rows.astype(np.float32),
                'fresh_noise': np.zeros((table.evaluations, *given['x'].shape), np.float32)}
        found = session.run(['x_out'], {**given, **told})[0]
        assert np.abs(found - eager(step, given, table)).max() < 1e-5
    for name in task.given:
        changed = {**given, name: 0.7 * given[name]}
        apart = np.abs(session.run(['x_out'], {**changed, **told})[0] - found).max()
        assert apart > 1e-4, name


def test_guidance_lowers_the_collision_cost(task: Task, step: SamplerStep) -> None:
    """Of each sample, by the kernel, and by more than half in the mean."""
    given, table = inputs(task, 16, strength=1.0, cap=1.0)
    guided = task.cost(eager(step, given, table))
    given['guidance_strength'] = np.zeros(1, np.float32)
    free = task.cost(eager(step, given, table))
    assert free.min() > 0.0 and (guided < free).all()
    assert guided.mean() < 0.5 * free.mean()


def test_an_arm_is_there_where_it_is_needed() -> None:
    denoiser, body = make_denoiser('mixer', FREE_POINTS, 6, 4), ArmBody.of(arm('panda'))
    for costs, given in ((('arm_spheres',), None), (('arm_spheres',), body), ((), body)):
        with pytest.raises(ConfigurationError, match='a joint for each channel'):
            SamplerStep(denoiser, StepSpec(FREE_POINTS, 6, 4, costs=costs), arm=given)
