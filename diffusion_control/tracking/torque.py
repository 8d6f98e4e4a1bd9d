# SPDX-License-Identifier: Apache-2.0
"""The linear time-varying formulation: torque limits about the predicted path.

The input is the torque. With the torques T(q, v, a) = M(q) a + h(q, v) of the inverse dynamics
linearised about a predicted path (bars), at knots k = 1..N-1,

    tau_k = T_k + dT/dq_k (q_k - q_k') + dT/dv_k (v_k - v_k') + M_k (a_k - a_k'),

the map from accelerations to torques is affine and, M being invertible, one to one: tau = G a + g
with G lower block-triangular and M_k on its diagonal. So the programme in torques is solved in
accelerations, where the Hessian is constant and the double integrator exact, with the rows
|G a + g| <= torque + slack. Each linearisation is one step of sequential quadratic programming:
the first is about the optimum without torque rows, which is this tick's answer wherever its true
torques fit; the next about the solution before, until those fit or `LINEARISATIONS` are done.

Where the condensed formulation freezes M and h at the start of the prediction, this one knows
that an arm which stretches out needs more torque later.

Originals: M. Diehl, H. G. Bock, J. P. Schloeder, "A real-time iteration scheme for nonlinear
optimization in optimal feedback control", SIAM Journal on Control and Optimization 43, 2005;
derivatives by J. Carpentier, N. Mansard, Robotics: Science and Systems 2018 (pinocchio).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.limits import JointLimits
from diffusion_control.solvers.protocol import USABLE
from diffusion_control.tracking.bounds import HorizonBounds
from diffusion_control.tracking.condensed import (
    TOLERANCE,
    CondensedFormulation,
)
from diffusion_control.tracking.cost import TrackingCost
from diffusion_control.tracking.coupled import TorqueRows
from diffusion_control.tracking.formulation import HorizonSolution
from diffusion_control.tracking.prediction import HorizonProblem, Prediction

Array = NDArray[np.float64]
LINEARISATIONS = 2
TORQUE_TOLERANCE = 1e-3


class TorqueFormulation(CondensedFormulation):
    """Solve the horizon problem with torques linearised about the predicted path.

    Args:
        prediction: The prediction maps.
        cost: The tracking cost.
        limits: Scaled limits.
        bounds: Their bounds over the horizon.
        robot: Needs inverse_dynamics(q, v, a) and torque_slopes(q, v, a).
        max_iterations: Cap of each solve.

    Raises:
        ConfigurationError: The robot has no such dynamics.
    """

    def __init__(
        self, prediction: Prediction, cost: TrackingCost, limits: JointLimits,
        bounds: HorizonBounds, *, robot: Any, max_iterations: int = 200,
    ) -> None:
        super().__init__(prediction, cost, limits, bounds, max_iterations=max_iterations)
        if not (hasattr(robot, 'inverse_dynamics') and hasattr(robot, 'torque_slopes')):
            raise ConfigurationError(
                'this tracker needs the dynamics of an arm', where='tracker.type',
                value='mpc_torque', allowed='a robot with inverse_dynamics and torque_slopes',
                remedy='choose mpc')
        self._robot = robot
        to_a = self._coupled.to_a
        self._z_to_q = prediction.position_map[:-1] @ to_a
        self._z_to_v = prediction.velocity_map[:-1] @ to_a

    def torques(self, problem: HorizonProblem, acceleration: Array) -> Array:
        """Return the torques of the nominal model at knots 1..N-1 [Nm], shape [N-1, n]."""
        position, velocity, whole = self._prediction.motion(problem, acceleration)
        return np.array([
            self._robot.inverse_dynamics(*knot) for knot in zip(
                position[1:-1], velocity[1:-1], whole[1:-1], strict=True)])

    def _fits(self, problem: HorizonProblem, acceleration: Array) -> bool:
        torque = np.abs(self.torques(problem, acceleration))
        return bool((torque <= self._torque * (1 + TORQUE_TOLERANCE)).all())

    def _rows_about(self, problem: HorizonProblem, acceleration: Array) -> TorqueRows:
        """Return the linearisation about the path of accelerations [N-1, n]."""
        path = self._prediction.motion(problem, acceleration)
        found = [self._robot.torque_slopes(*knot) for knot in zip(
            *(rows[1:-1] for rows in path), strict=True)]
        torque, by_q, by_v, mass = (np.array(part) for part in zip(*found, strict=True))
        steps, joints = acceleration.shape
        size = steps * joints
        body = (
            np.einsum('kij,kl->ikjl', mass, self._coupled.to_a, optimize=False)
            + np.einsum('kij,kl->ikjl', by_q, self._z_to_q, optimize=False)
            + np.einsum('kij,kl->ikjl', by_v, self._z_to_v, optimize=False)).reshape(size, size)
        about = self._coupled.to_z(acceleration)
        return TorqueRows(body, torque.T.ravel() - body @ about)

    def _together(
        self, problem: HorizonProblem, linear: Array, limit: tuple[Array, Array, Array],
        acceleration: Array, iterations: int, outside: NDArray[np.bool_],
    ) -> HorizonSolution:
        about, slack = acceleration, 0.0
        for _ in range(LINEARISATIONS):
            solution = self._coupled.solve(
                self._rows_about(problem, about), self._scale * linear, *limit, about)
            iterations += solution.iterations
            about, slack = self._coupled.unpack(solution.x)
            if solution.status not in USABLE or self._fits(problem, about):
                break
        moved = (np.abs(about - acceleration) > TOLERANCE).any(axis=0)
        return HorizonSolution(
            about, solution.status, iterations, outside | moved, True, slack)
