# SPDX-License-Identifier: Apache-2.0
"""Fit spheres that contain a robot's collision geometry; prints the `spheres:` of a robot file.

Each convex body (a mesh's hull, or the hull of the primitives of one link) is covered by a given
number of spheres with the least protrusion. With depth(c) the distance from c to the nearest face
of the body, a sphere of radius depth(c) + e sticks out of it by exactly e; so the task is
    min over c_1 .. c_k of  max over surface points p of  min over i of  |p - c_i| - depth(c_i),
a k-centre problem (Gonzalez 1985) with a penalty. Lloyd's alternation solves it: give every point
to its best centre, then move each centre to where its own points need least (a convex problem in
three variables), from many starts. Radii then shrink to what the points need, plus what makes
the cover exact: a triangle is covered if one sphere holds its three corners (balls are convex);
others are split, and radii grow until no triangle is left.

Run: python benchmarks/fit_spheres.py panda, or mine.yaml --per-link 5
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial import ConvexHull

from diffusion_control.robots.config import find_file
from diffusion_control.robots.cover import link_bodies, uncovered
from diffusion_control.robots.urdf import build_geometry, build_model, resolve

Array = NDArray[np.float64]
STARTS, ROUNDS, GROWTH_M = 24, 12, 0.0003
COUNTS: dict[str, dict[str, int]] = {
    'panda': {
        'panda_link0': 4, 'panda_link1': 3, 'panda_link2': 3, 'panda_link3': 3, 'panda_link4': 3,
        'panda_link5': 4, 'panda_link6': 5, 'panda_link7': 5, 'panda_hand': 10,
        'panda_leftfinger': 4},
    'ur5': {
        'base_link': 4, 'shoulder_link': 2, 'upper_arm_link': 8, 'forearm_link': 8,
        'wrist_1_link': 2, 'wrist_2_link': 2, 'wrist_3_link': 2, 'ee_link': 1},
}
MERGED = {'panda_rightfinger': 'panda_leftfinger'}


@dataclass(frozen=True)
class Body:
    """A convex body: inner side a . x <= b of its faces, and points on its surface."""

    normals: Array
    offsets: Array
    points: Array
    triangles: Array

    @classmethod
    def of(cls, vertices: Array, step_m: float) -> Body:
        """Return the hull of some vertices, its triangles sampled at a step."""
        hull = ConvexHull(vertices)
        triangles = vertices[hull.simplices]
        points = np.concatenate([list(samples(triangle, step_m)) for triangle in triangles])
        return cls(hull.equations[:, :3], -hull.equations[:, 3], points, triangles)

    def depth(self, centre: Array) -> float:
        """Return the distance from a point inside to the nearest face."""
        return float((self.offsets - self.normals @ centre).min())


def samples(triangle: Array, step_m: float) -> Iterator[Array]:
    """Yield points of a triangle on a barycentric grid."""
    edges = triangle - np.roll(triangle, 1, axis=0)
    count = int(np.ceil(np.linalg.norm(edges, axis=1).max() / step_m))
    for i in range(count + 1):
        for j in range(count + 1 - i):
            yield (triangle[0] * i + triangle[1] * j + triangle[2] * (count - i - j)) / count


def fit(body: Body, count: int, generator: np.random.Generator) -> tuple[Array, float]:
    """Return spheres [count, 4] that cover a body, and how far they stick out of it."""
    best, least = np.zeros((count, 3)), np.inf
    for _ in range(STARTS):
        centres = 0.7 * body.points[generator.choice(len(body.points), count, replace=False)]
        centres += 0.3 * body.points.mean(axis=0)
        for _ in range(ROUNDS):
            need = needs(body, centres)
            owner = need.argmin(axis=1)
            worst = float(need.min(axis=1).max())
            if worst < least - 1e-5:
                best, least = centres.copy(), worst
            for i in range(count):
                own = body.points[owner == i]
                if len(own):
                    centres[i] = settle(body, own, centres[i])
    owner = needs(body, best).argmin(axis=1)
    radii = [
        np.linalg.norm(body.points[owner == i] - best[i], axis=1).max(initial=1e-3)
        for i in range(count)]
    spheres = np.column_stack([best, radii])
    while len(uncovered(body.triangles, spheres)):
        spheres[:, 3] += GROWTH_M
    spheres = np.round(spheres + [0, 0, 0, 0.0005], 4)
    out = max(row[3] - body.depth(row[:3]) for row in spheres)
    return spheres, float(out)


def needs(body: Body, centres: Array) -> Array:
    """Return |p - c| - depth(c) of all points and centres."""
    depth = np.array([body.depth(centre) for centre in centres])
    distance = np.linalg.norm(body.points[:, None] - centres[None], axis=2)
    return np.asarray(distance - depth)


def settle(body: Body, points: Array, start: Array) -> Array:
    """Return the centre that covers some points with the least protrusion."""
    def worst(centre: Array) -> float:
        return float(np.linalg.norm(points - centre, axis=1).max() - body.depth(centre))

    found = minimize(worst, start, method='Nelder-Mead',
                     options={'xatol': 2e-4, 'fatol': 2e-4, 'maxfev': 120})
    return np.asarray(found.x)


def main() -> None:
    """Fit every link of a robot and print the section of its file."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('robot', help='a name in config/robots, or a robot file')
    parser.add_argument('--per-link', type=int, choices=range(1, 21), metavar='1..20', default=4,
                        help='spheres of a link that COUNTS does not list')
    options = parser.parse_args()
    name = options.robot
    content: dict[str, Any] = yaml.safe_load(find_file(name).read_text())
    locked = content.get('locked_joints', {})
    text = resolve(content['urdf'], name).read_text()
    model = build_model(text, content['joint_names'], locked, name)
    bodies = link_bodies(model, build_geometry(text, model, locked), merged=MERGED)
    generator = np.random.default_rng(0)
    total = 0
    for link, vertices in bodies.items():
        step = 0.12 * float(np.ptp(vertices, axis=0).min())
        body = Body.of(vertices, max(step, 0.003))
        spheres, out = fit(body, COUNTS.get(name, {}).get(link, options.per_link), generator)
        total += len(spheres)
        print(f'    {link}:  # {1e3 * out:.0f} mm')
        for row in spheres:
            print('    - [' + ', '.join(f'{value:.4f}' for value in row) + ']', flush=True)
    print(f'{total} spheres', file=sys.stderr)


if __name__ == '__main__':
    main()
