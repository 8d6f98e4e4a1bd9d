# SPDX-License-Identifier: Apache-2.0
"""The spheres contain the URDF's collision geometry: every distance is on the safe side."""

import coal
import numpy as np
import pinocchio as pin
import pytest
from scipy.spatial import ConvexHull

from diffusion_control import robots
from diffusion_control.robots.cover import link_bodies, uncovered
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays

NAMES = ('panda', 'ur5')
NOTHING = ObstacleArrays.pack(())
MERGED = {'panda_rightfinger': 'panda_leftfinger'}


class Oracle:
    """Distances of the hulls of the URDF's meshes, by coal."""

    def __init__(self, arm: robots.Arm) -> None:
        self.arm, self.data = arm, arm.model.createData()
        self.geometry = arm.collision_geometry()
        self.shapes, self.links = [], []
        for body in self.geometry.geometryObjects:
            shape = body.geometry
            if hasattr(shape, 'vertices'):
                shape.buildConvexHull(True, 'Qt')
                shape = shape.convex
            name = arm.model.frames[body.parentFrame].name
            self.shapes.append(shape)
            self.links.append(MERGED.get(name, name))
        self.placed = pin.GeometryData(self.geometry)

    def place(self, position: np.ndarray) -> None:
        pin.updateGeometryPlacements(
            self.arm.model, self.data, self.geometry, self.placed, position)

    def to_obstacle(self, obstacle: Obstacle) -> float:
        sizes = obstacle.size_m
        shape = {'sphere': coal.Sphere, 'box': coal.Box, 'cylinder': coal.Cylinder}[
            obstacle.shape](*sizes)
        x, y, z, w = obstacle.quaternion
        rotation = pin.Quaternion(w, x, y, z).toRotationMatrix()
        there = coal.Transform3s(rotation, obstacle.position_m)
        return min(coal.distance(
            mine, coal.Transform3s(pose.rotation, pose.translation), shape, there,
            coal.DistanceRequest(), coal.DistanceResult())
            for mine, pose in zip(self.shapes, self.placed.oMg, strict=True))

    def touching(self, pairs: list[tuple[int, int]]) -> bool:
        return any(coal.collide(
            self.shapes[a], self.pose(a), self.shapes[b], self.pose(b),
            coal.CollisionRequest(), coal.CollisionResult()) for a, b in pairs)

    def pose(self, index: int) -> coal.Transform3s:
        placement = self.placed.oMg[index]
        return coal.Transform3s(placement.rotation, placement.translation)

    def checked_pairs(self) -> list[tuple[int, int]]:
        """Return the pairs of bodies that the collision model says it looks at."""
        model, bodies = self.arm.collision, self.geometry.geometryObjects
        chosen = []
        for a in range(len(bodies)):
            for b in range(a + 1, len(bodies)):
                links = [model.links.index(self.links[k]) for k in (a, b)]
                apart = abs(bodies[a].parentJoint - bodies[b].parentJoint) > 1
                if apart and frozenset(links) not in model.ignored_links:
                    chosen.append((a, b))
        return chosen


def postures(arm: robots.Arm, count: int) -> np.ndarray:
    rng = np.random.default_rng(4)
    return rng.uniform(arm.limits.lower_rad, arm.limits.upper_rad, (count, arm.dof))


@pytest.mark.parametrize('name', NAMES)
def test_every_face_lies_in_the_spheres(name: str) -> None:
    arm = robots.load(name)
    shapes = {shape.link: shape.spheres for shape in arm.config.shape.links}
    bodies = link_bodies(arm.model, arm.collision_geometry(), merged=MERGED)
    assert set(bodies) == set(shapes)
    for link, corners in bodies.items():
        faces = corners[ConvexHull(corners).simplices]
        assert len(uncovered(faces, shapes[link])) == 0, link
        assert len(uncovered(faces, shapes[link] - [0, 0, 0, 0.008])), f'{link} is not tight'


@pytest.mark.parametrize(('name', 'most'), [('panda', 45), ('ur5', 33)])
def test_the_spheres_are_few_and_stick_out_little(name: str, most: int) -> None:
    arm = robots.load(name)
    bodies = link_bodies(arm.model, arm.collision_geometry(), merged=MERGED)
    first = arm.config.shape.links[0].link
    for shape in arm.config.shape.links:
        hull = ConvexHull(bodies[shape.link]).equations
        depth = (-hull[:, 3] - shape.spheres[:, :3] @ hull[:, :3].T).min(axis=1)
        assert (shape.spheres[:, 3] - depth).max() < (0.05 if shape.link == first else 0.036)
    assert len(arm.collision.radius) <= most


def test_a_hole_in_the_cover_is_found() -> None:
    triangle = np.array([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    ends = np.array([[0.0, 0.0, 0.0, 0.6], [1.0, 0.0, 0.0, 0.6], [0.0, 1.0, 0.0, 0.6]])
    left = uncovered(triangle, ends)
    assert len(left)
    corners = np.linalg.norm(left.reshape(-1, 1, 3) - ends[:, :3], axis=2)
    assert (corners > 0.6).all(axis=1).any()
    assert len(uncovered(triangle, np.vstack([ends, [0.5, 0.5, 0.0, 0.2]]))) == 0


@pytest.mark.parametrize('name', NAMES)
def test_distance_to_obstacles_is_never_too_large(name: str) -> None:
    arm = robots.load(name)
    oracle, rng, slack = Oracle(arm), np.random.default_rng(5), []
    for position in postures(arm, 100):
        oracle.place(position)
        quaternion = rng.normal(size=4)
        quaternion /= np.linalg.norm(quaternion)
        place = rng.uniform([-0.7, -0.7, 0.0], [0.7, 0.7, 1.0])
        for shape, size in (('sphere', (0.05,)), ('box', (0.1, 0.2, 0.3)),
                            ('cylinder', (0.05, 0.3))):
            obstacle = Obstacle(shape, size, place, quaternion)
            mine = arm.collision.clearance(position, ObstacleArrays.pack((obstacle,)))[0]
            true = oracle.to_obstacle(obstacle)
            if true > 0.0:
                assert mine <= true + 1e-6
                slack.append(true - mine)
            else:
                assert mine < 0.0
    print(f'{name}: slack mean {1e3 * np.mean(slack):.1f} mm, max {1e3 * np.max(slack):.1f} mm')
    assert np.mean(slack) < 0.025


@pytest.mark.parametrize(('name', 'bound'), [('panda', 0.20), ('ur5', 0.35)])
def test_no_self_collision_is_missed(name: str, bound: float) -> None:
    arm = robots.load(name)
    oracle = Oracle(arm)
    pairs, spheres = oracle.checked_pairs(), all_pairs(arm)
    alarms = hits = 0
    for position in postures(arm, 500):
        oracle.place(position)
        alarm = self_distance(arm, spheres, position) < 0.0
        touching = oracle.touching(pairs)
        assert alarm or not touching
        hits += touching
        alarms += alarm and not touching
    print(f'{name}: {hits / 5:.1f} % in self-collision, {alarms / 5:.1f} % false alarms')
    assert hits
    assert alarms / 500 < bound


@pytest.mark.parametrize('name', NAMES)
def test_ignored_links_never_touch_but_where_hulls_overlap(name: str) -> None:
    arm = robots.load(name)
    oracle, model = Oracle(arm), arm.collision
    overlapping = {frozenset(pair) for pair in (
        ('panda_link5', 'panda_link7'), ('base_link', 'upper_arm_link'),
        ('forearm_link', 'wrist_2_link'))}
    ignored = {frozenset(model.links[k] for k in pair) for pair in model.ignored_links}
    pairs = [
        (a, b) for a in range(len(oracle.links)) for b in range(a + 1, len(oracle.links))
        if frozenset((oracle.links[a], oracle.links[b])) in ignored - overlapping]
    assert len(pairs) >= len(ignored - overlapping)
    for position in postures(arm, 500):
        oracle.place(position)
        assert not oracle.touching(pairs)


@pytest.mark.parametrize('name', NAMES)
def test_own_distance_is_that_of_all_pairs_and_the_floor(name: str) -> None:
    arm = robots.load(name)
    model, spheres = arm.collision, all_pairs(arm)
    assert 50 < len(model.pairs) < len(spheres)
    for position in postures(arm, 3000):
        height = (model.centres(position)[:, 2] - model.radius)[model.floor_first:].min()
        wanted = min(self_distance(arm, spheres, position), height - model.floor_m)
        own = model.clearance(position, NOTHING)[1]
        assert own == pytest.approx(wanted, abs=1e-12) or min(own, wanted) > 0.07


def all_pairs(arm: robots.Arm) -> np.ndarray:
    """Return all pairs of spheres of checked links, those out of reach of each other too."""
    model = arm.collision
    return np.array([
        (a, b) for a in range(len(model.radius)) for b in range(a + 1, len(model.radius))
        if model.joint[b] - model.joint[a] > 1
        and frozenset((int(model.link[a]), int(model.link[b]))) not in model.ignored_links])


def self_distance(arm: robots.Arm, pairs: np.ndarray, position: np.ndarray) -> float:
    """Return the least distance of some pairs of spheres."""
    centres, radius = arm.collision.centres(position), arm.collision.radius
    gap = np.linalg.norm(centres[pairs[:, 0]] - centres[pairs[:, 1]], axis=1)
    return float((gap - radius[pairs].sum(axis=1)).min())


@pytest.mark.parametrize('name', NAMES)
def test_home_and_common_postures_are_free(name: str) -> None:
    arm = robots.load(name)
    common = [arm.home_rad]
    if name == 'panda':
        common += [
            [0.0, 0.0, 0.0, -1.5708, 0.0, 1.5708, 0.7854],
            [0.5, 0.3, -0.3, -2.0, 0.2, 2.3, 1.0],
            [-1.2, -0.3, 0.4, -2.2, -0.3, 2.0, -0.5]]
    else:
        common += [[1.0, -1.2, 1.3, -1.7, -1.57, 0.5], [-0.5, -2.0, 2.0, -1.5, -1.4, 1.0]]
    for position in common:
        assert arm.collision.clearance(np.array(position), NOTHING)[1] > 0.015
