# SPDX-License-Identifier: Apache-2.0
"""Time-optimal timing of a path under limits of speed and acceleration (TOPP-RA).

H. Pham, Q.-C. Pham, "A New Approach to Time-Optimal Path Parameterization Based on Reachability
Analysis", IEEE Transactions on Robotics 2018.
"""

from __future__ import annotations

import logging

import numpy as np
import toppra
import toppra.algorithm
import toppra.constraint
from numpy.typing import NDArray

from diffusion_control.planners.stop_first import rest
from diffusion_control.robots.limits import JointLimits
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
PERIOD_S = 0.005
MARGIN = 0.95

logging.getLogger('toppra').setLevel(logging.ERROR)


def time_path(
    waypoints: Array, limits: JointLimits, *, stamp_s: float, names: tuple[str, ...],
    frame_id: str = '', speed: float = 0.0,
) -> Trajectory | None:
    """Return the motion along a cubic spline through way-points, to rest.

    Args:
        waypoints: Shape [W, n]; repeated ones are left out.
        limits: Limits of speed and acceleration; 95 % of them are used, because the grid on
            which they are enforced is finite.
        stamp_s: ROS time of the start [s].
        names: Joint names.
        frame_id: Frame of the positions.
        speed: At the start, along the path; 0 is from rest.

    Returns:
        A motion with a knot every 5 ms, or None if the path cannot be timed.
    """
    step = np.linalg.norm(np.diff(waypoints, axis=0), axis=1)
    keep = np.concatenate([[True], step > 1e-6])
    waypoints = waypoints[keep]
    if len(waypoints) < 2:
        return rest(waypoints[0], stamp_s, names, frame_id)
    length = np.concatenate([[0.0], np.cumsum(step[keep[1:]])])
    path = toppra.SplineInterpolator(length, waypoints, bc_type='natural')
    most, force = MARGIN * limits.velocity_rad_s, MARGIN * limits.acceleration_rad_s2
    solver = toppra.algorithm.TOPPRA(
        [toppra.constraint.JointVelocityConstraint(np.stack([-most, most], 1)),
         toppra.constraint.JointAccelerationConstraint(np.stack([-force, force], 1))],
        path, parametrizer='ParametrizeConstAccel')
    timed = solver.compute_trajectory(speed / float(np.linalg.norm(path(0.0, 1))), 0.0)
    if timed is None:
        return None
    times = np.linspace(0.0, timed.duration, max(int(timed.duration / PERIOD_S), 2) + 1)
    velocity = timed(times, 1)
    velocity[-1] = 0.0
    return Trajectory(
        stamp_s, times, timed(times), velocity, timed(times, 2), names, frame_id)
