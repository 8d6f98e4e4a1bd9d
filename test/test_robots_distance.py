# SPDX-License-Identifier: Apache-2.0
"""Distances and costs: against coal, against finite differences, against dense sampling."""

import coal
import numpy as np
import pytest

from diffusion_control import robots
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays, rotation_matrix

NAMES = ('panda', 'ur5')
NOTHING = ObstacleArrays.pack(())


def random_obstacles(rng: np.random.Generator, count: int, speed: float = 0.0) -> list[Obstacle]:
    """Return obstacles of all shapes in any orientation, moving where a speed is given."""
    obstacles = []
    for k in range(count):
        shape = ('sphere', 'box', 'cylinder')[k % 3]
        size = {'sphere': (0.1,), 'box': (0.1, 0.2, 0.3), 'cylinder': (0.06, 0.3)}[shape]
        quaternion, velocity = rng.normal(size=4), rng.normal(size=3)
        obstacles.append(Obstacle(
            shape, size, rng.uniform([-0.7, -0.7, 0.0], [0.7, 0.7, 1.0]),
            quaternion / np.linalg.norm(quaternion), speed * velocity / np.linalg.norm(velocity),
            may_move=speed > 0.0))
    return obstacles


def postures(arm: robots.Arm, count: int, seed: int = 7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(arm.limits.lower_rad, arm.limits.upper_rad, (count, arm.dof))


def sphere_distance(centre: np.ndarray, radius: float, obstacle: Obstacle) -> float:
    """Return coal's distance of a sphere to an obstacle (outside of it)."""
    shape = {'sphere': coal.Sphere, 'box': coal.Box, 'cylinder': coal.Cylinder}[obstacle.shape](
        *obstacle.size_m)
    return float(coal.distance(
        coal.Sphere(radius), coal.Transform3s(np.eye(3), centre), shape,
        coal.Transform3s(rotation_matrix(obstacle.quaternion), obstacle.position_m),
        coal.DistanceRequest(), coal.DistanceResult()))


@pytest.mark.parametrize('name', NAMES)
def test_obstacle_distance_is_coals(name: str) -> None:
    arm, rng = robots.load(name), np.random.default_rng(0)
    model = arm.collision
    for position in postures(arm, 20):
        for obstacle in random_obstacles(rng, 3):
            wanted = min(
                sphere_distance(centre, radius, obstacle)
                for centre, radius in zip(model.centres(position), model.radius, strict=True))
            mine = model.clearance(position, ObstacleArrays.pack((obstacle,)))[0]
            if wanted > 0.0:
                assert mine == pytest.approx(wanted, abs=1e-5)
            else:
                assert mine < 1e-5


def test_distance_inside_is_to_the_nearest_face() -> None:
    arm = robots.load('panda')
    model = arm.collision
    centre = model.centres(arm.home_rad)[-1]
    turned = np.array([0.0, 0.0, np.sin(0.3), np.cos(0.3)])
    box = Obstacle('box', (8.0, 9.0, 7.0), centre + np.array([0.0, 0.0, 3.0]), turned)
    deepest = model.clearance(arm.home_rad, ObstacleArrays.pack((box,)))[0]
    lowest = (model.centres(arm.home_rad) @ [0.0, 0.0, 1.0] + model.radius)
    assert deepest <= -0.5 - model.radius[-1] + 1e-12
    assert deepest == pytest.approx(-(lowest - centre[2] + 0.5).max(), abs=1e-9)
    tube = Obstacle('cylinder', (0.5, 20.0), centre - np.array([0.1, 0.0, 0.0]))
    axis = np.linalg.norm((model.centres(arm.home_rad) - tube.position_m)[:, :2], axis=1)
    inside = model.clearance(arm.home_rad, ObstacleArrays.pack((tube,)))[0]
    assert inside == pytest.approx((axis - 0.5 - model.radius).min())


def test_nothing_around_is_nine_metres() -> None:
    arm = robots.load('panda')
    assert arm.collision.clearance(arm.home_rad, NOTHING)[0] == 9.0
    home, now = arm.home_rad[None], np.zeros(1)
    cost, near, slope = arm.collision.cost(home, now, NOTHING, 0.0, 0.0, True)
    assert cost[0] == 0.0
    assert near[0] == pytest.approx(arm.collision.clearance(arm.home_rad, NOTHING)[1], abs=1e-5)
    assert slope is not None and not slope.any()


@pytest.mark.parametrize('name', NAMES)
def test_path_advances_obstacles(name: str) -> None:
    arm, rng = robots.load(name), np.random.default_rng(1)
    obstacles = random_obstacles(rng, 6, speed=0.4)
    positions, times = postures(arm, 40), rng.uniform(0.0, 2.0, 40)
    pack = ObstacleArrays.pack(tuple(obstacles))
    near, own = arm.collision.path_clearance(positions, times, pack)
    for k in range(40):
        moved = tuple(Obstacle(o.shape, o.size_m, o.position_m + times[k] * o.velocity_m_s,
                               o.quaternion) for o in obstacles)
        wanted = arm.collision.clearance(positions[k], ObstacleArrays.pack(moved))
        assert (near[k], own[k]) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize('name', NAMES)
def test_batch_cost_is_the_sum_of_hinges(name: str) -> None:
    arm, rng = robots.load(name), np.random.default_rng(2)
    model, margin, own_margin = arm.collision, 0.06, 0.03
    obstacles = random_obstacles(rng, 7, speed=0.3)
    positions, times = postures(arm, 70), rng.uniform(0.0, 1.0, 70)
    pack = ObstacleArrays.pack(tuple(obstacles))
    cost, near, none = model.cost(positions, times, pack, margin, own_margin, False)
    assert none is None
    assert (model.cost(positions, times, pack, margin, own_margin, True)[0] == cost).all()
    wanted = np.minimum(*model.path_clearance(positions, times, pack))
    assert near == pytest.approx(wanted, abs=2e-5)
    for k in range(0, 70, 7):
        centres = model.centres(positions[k])
        moved = [o.position_m + times[k] * o.velocity_m_s for o in obstacles]
        total = 0.0
        for obstacle, place in zip(obstacles, moved, strict=True):
            there = Obstacle(obstacle.shape, obstacle.size_m, place, obstacle.quaternion)
            for s, centre in enumerate(centres[model.obstacle_first:], model.obstacle_first):
                total += max(0.0, margin - point_distance(centre, there) + model.radius[s]) ** 2
        height = (centres[:, 2] - model.radius - model.floor_m)[model.floor_first:]
        gap = np.linalg.norm(centres[model.pairs[:, 0]] - centres[model.pairs[:, 1]], axis=1)
        gap -= model.radius[model.pairs].sum(axis=1)
        total += (np.maximum(0.0, own_margin - np.concatenate([height, gap])) ** 2).sum()
        assert cost[k] == pytest.approx(total, rel=2e-4, abs=1e-6)


def point_distance(point: np.ndarray, obstacle: Obstacle) -> float:
    """Return the signed distance of a point, by the formulas as one writes them down."""
    local = rotation_matrix(obstacle.quaternion).T @ (point - obstacle.position_m)
    size = np.array(obstacle.size_m)
    if obstacle.shape == 'sphere':
        return float(np.linalg.norm(local) - size[0])
    if obstacle.shape == 'box':
        over = np.abs(local) - size / 2
    else:
        over = np.array([np.hypot(*local[:2]) - size[0], abs(local[2]) - size[1] / 2])
    return float(np.linalg.norm(np.maximum(over, 0.0)) + min(over.max(), 0.0))


@pytest.mark.parametrize('name', NAMES)
def test_gradient_is_the_derivative_of_the_cost(name: str) -> None:
    arm, rng, h = robots.load(name), np.random.default_rng(3), 2e-3
    positions, times = postures(arm, 400), rng.uniform(0.0, 1.0, 400)
    pack = ObstacleArrays.pack(tuple(random_obstacles(rng, 9, speed=0.3)))

    def cost(shift: np.ndarray) -> np.ndarray:
        values = arm.collision.cost(positions + shift, times, pack, 0.1, 0.05, False)[0]
        return values.astype(float)

    slope = arm.collision.cost(positions, times, pack, 0.1, 0.05, True)[2]
    assert slope is not None and slope.shape == positions.shape
    for j in range(arm.dof):
        step = h * np.eye(arm.dof)[j]
        wanted = (cost(step) - cost(-step)) / (2 * h)
        error = np.abs(slope[:, j] - wanted) / (0.02 + np.abs(wanted))
        assert np.quantile(error, 0.97) < 0.02
        assert np.median(error) < 1e-3
        assert np.abs(wanted).max() > 0.1 or j == arm.dof - 1


def test_not_finite_never_counts_as_free() -> None:
    arm = robots.load('panda')
    pack = ObstacleArrays.pack(tuple(random_obstacles(np.random.default_rng(4), 3)))
    for bad in (np.nan, np.inf):
        positions = np.tile(arm.home_rad, (3, 1))
        positions[1, 4] = bad
        times = np.array([0.0, 0.1, 0.2])
        assert arm.collision.clearance(positions[1], pack) == (-9.0, -9.0)
        for near in arm.collision.path_clearance(positions, times, pack):
            assert near[1] == -9.0 and near[0] > -1 and near[2] > -1
        for near in arm.collision.reach_clearance(positions, times, pack, velocity_error_m_s=0.0):
            assert near[0] > -1 and (near[1:] == -9.0).all()
        cost, near, slope = arm.collision.cost(positions, times, pack, 0.02, 0.01, True)
        assert np.isinf(cost[1]) and near[1] == -9.0 and np.isfinite(cost[[0, 2]]).all()
        assert slope is not None and np.isfinite(slope).all()
        assert arm.collision.path_clearance(
            positions[:1], np.array([bad]), pack)[0][0] == -9.0
    late = arm.collision.reach_clearance(
        np.tile(arm.home_rad, (2, 1)), np.array([0.1, 0.1]), pack, velocity_error_m_s=0.0)
    assert (late[0][1], late[1][1]) == (-9.0, -9.0)


def test_equal_input_gives_equal_bits() -> None:
    arm = robots.load('panda')
    pack = ObstacleArrays.pack(tuple(random_obstacles(np.random.default_rng(5), 8, speed=0.2)))
    positions, times = postures(arm, 64), np.linspace(0.0, 1.0, 64)
    other = robots.load('panda')
    for _ in range(3):
        for first, second in (
            (arm.collision.path_clearance(positions, times, pack),
             other.collision.path_clearance(positions, times, pack)),
            (arm.collision.reach_clearance(positions, times, pack, velocity_error_m_s=0.1),
             other.collision.reach_clearance(positions, times, pack, velocity_error_m_s=0.1)),
            (arm.collision.cost(positions, times, pack, 0.05, 0.02, True),
             other.collision.cost(positions, times, pack, 0.05, 0.02, True)),
        ):
            for a, b in zip(first, second, strict=True):
                assert a.tobytes() == b.tobytes()


def test_order_and_number_of_configurations_change_nothing() -> None:
    arm = robots.load('ur5')
    pack = ObstacleArrays.pack(tuple(random_obstacles(np.random.default_rng(6), 5)))
    positions = postures(arm, 75)
    cost, near, slope = arm.collision.cost(positions, np.zeros(75), pack, 0.05, 0.02, True)
    for part in (slice(0, 1), slice(3, 40), slice(74, 75)):
        again = arm.collision.cost(positions[part], np.zeros(75)[part], pack, 0.05, 0.02, True)
        for a, b in zip((cost, near, slope), again, strict=True):
            assert (a[part] == b).all()


def swing(arm: robots.Arm, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a quick motion in joint space, 20 knots of 20 ms."""
    rng = np.random.default_rng(seed)
    velocity = arm.limits.velocity_rad_s * rng.uniform(-1.0, 1.0, arm.dof)
    times = 0.02 * np.arange(20)
    middle = 0.5 * (arm.limits.lower_rad + arm.limits.upper_rad)
    return arm.home_rad + 0.3 * (middle - arm.home_rad) + np.outer(times, velocity), times


@pytest.mark.parametrize('name', NAMES)
def test_reach_bounds_the_distance_between_knots(name: str) -> None:
    arm = robots.load(name)
    for seed in range(6):
        positions, times = swing(arm, seed)
        pack = ObstacleArrays.pack(tuple(random_obstacles(np.random.default_rng(seed), 6)))
        near, own = arm.collision.reach_clearance(positions, times, pack, velocity_error_m_s=0.1)
        at_knots = arm.collision.path_clearance(positions, times, pack)
        assert (near[0], own[0]) == pytest.approx((at_knots[0][0], at_knots[1][0]))
        least = np.array([near[0], own[0]])
        for k in range(1, len(times)):
            share = np.linspace(0.0, 1.0, 25)[:, None]
            between = positions[k - 1] + share * (positions[k] - positions[k - 1])
            dense = arm.collision.path_clearance(between, np.zeros(25), pack)
            assert near[k] <= dense[0].min() + 1e-9
            assert own[k] <= dense[1].min() + 1e-9
            least = np.minimum(least, [dense[0].min(), dense[1].min()])
            assert near[k] > least[0] - 0.06
            assert own[k] > least[1] - 0.06


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('seed', range(4))
def test_obstacles_that_are_left_out_change_nothing(name: str, seed: int) -> None:
    """Obstacle by obstacle and segment by segment, where nothing is left out, gives the same."""
    arm = robots.load(name)
    rng = np.random.default_rng(100 + seed)
    positions, times = swing(arm, seed)
    positions += 0.3 * np.sin(7.0 * times)[:, None] * rng.normal(size=arm.dof)
    obstacles = random_obstacles(rng, 10, speed=0.3)
    near, own = arm.collision.reach_clearance(
        positions, 0.05 + times, ObstacleArrays.pack(tuple(obstacles)), velocity_error_m_s=0.1,
        turning_s=0.2, spread_s=0.01)
    least, least_own = np.full(len(times), np.inf), np.full(len(times), np.inf)
    for obstacle in obstacles:
        pack = ObstacleArrays.pack((obstacle,))
        for k in range(1, len(times)):
            found = arm.collision.reach_clearance(
                positions[k - 1:k + 1], 0.05 + times[k - 1:k + 1], pack, velocity_error_m_s=0.1,
                turning_s=0.2, spread_s=0.01)
            least[k], least_own[k] = min(least[k], found[0][1]), min(least_own[k], found[1][1])
            least[k - 1], least_own[k - 1] = (
                min(least[k - 1], found[0][0]), min(least_own[k - 1], found[1][0]))
    np.testing.assert_allclose(near, np.minimum.accumulate(least), atol=1e-12)
    np.testing.assert_allclose(own, np.minimum.accumulate(least_own), atol=1e-12)
    assert len(set(near)) > 3


def mover(rng: np.random.Generator, velocity: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the displacement of a hostile mover within 0.5 m/s and 2 m/s^2, shape [T, 3]."""
    place, path = np.zeros(3), []
    push = rng.normal(size=3)
    for k, time in enumerate(times):
        path.append(place.copy())
        if k + 1 < len(times):
            step = times[k + 1] - time
            wanted = velocity + 2.0 * step * push / np.linalg.norm(push)
            velocity = wanted * min(1.0, 0.5 / np.linalg.norm(wanted))
            place = place + step * velocity
        if rng.random() < 0.02:
            push = rng.normal(size=3)
    return np.array(path)


def test_reach_contains_whatever_a_mover_does() -> None:
    arm = robots.load('panda')
    rng = np.random.default_rng(8)
    least = np.inf
    for seed in range(12):
        positions, times = swing(arm, seed)
        obstacle = random_obstacles(rng, 3, speed=rng.uniform(0.05, 0.4))[seed % 3]
        near, _ = arm.collision.reach_clearance(
            positions, times, ObstacleArrays.pack((obstacle,)), velocity_error_m_s=0.1)
        error = rng.normal(size=3)
        true = obstacle.velocity_m_s + 0.1 * error / np.linalg.norm(error)
        fine = np.linspace(0.0, times[-1], 10 * (len(times) - 1) + 1)
        for _ in range(8):
            shift = mover(rng, true, fine)
            knots = np.minimum((np.arange(len(fine)) - 1) // 10 + 1, len(times) - 1)
            line = np.array([np.interp(fine, times, column) for column in positions.T]).T
            for k in range(len(fine)):
                there = Obstacle(obstacle.shape, obstacle.size_m, obstacle.position_m + shift[k],
                                 obstacle.quaternion)
                true_m = arm.collision.clearance(line[k], ObstacleArrays.pack((there,)))[0]
                assert near[knots[k]] <= true_m + 1e-9
                least = min(least, true_m - near[knots[k]])
    assert least < 0.05


def test_reach_grows_only_for_movers_and_by_their_bounds() -> None:
    arm = robots.load('panda')
    positions, times = np.tile(arm.home_rad, (30, 1)), np.linspace(0.0, 0.6, 30)
    place, speed = np.array([0.8, 0.0, 0.6]), np.array([0.3, 0.0, 0.0])
    still = Obstacle('sphere', (0.05,), place, velocity_m_s=speed)
    resting = Obstacle('sphere', (0.05,), place, may_move=True)
    leaving = Obstacle('sphere', (0.05,), place, velocity_m_s=speed, may_move=True)
    clearance = arm.collision.clearance(arm.home_rad, ObstacleArrays.pack((still,)))[0]

    def bound(obstacle: Obstacle) -> np.ndarray:
        return arm.collision.reach_clearance(
            positions, times, ObstacleArrays.pack((obstacle,)), velocity_error_m_s=0.1)[0]

    assert bound(still) == pytest.approx(np.full(30, clearance), abs=1e-12)
    assert (bound(resting) >= clearance - 0.5 * times - 1e-12).all()
    assert (np.diff(bound(resting)) < 0.0).all()
    reach = times**2 + 0.1 * times
    nearby = times < 0.3
    assert bound(resting)[nearby] == pytest.approx(clearance - reach[nearby], abs=1e-9)
    assert (bound(leaving)[2:] > bound(resting)[2:]).all()
    assert bound(leaving)[5] > clearance - 0.005


def test_warm_up_runs_and_home_is_still_free() -> None:
    arm = robots.load('ur5')
    arm.warm_up()
    assert arm.collision.clearance(arm.home_rad, NOTHING)[1] > 0.0
