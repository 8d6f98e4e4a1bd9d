# SPDX-License-Identifier: Apache-2.0
"""Crocoddyl's BoxFDDP as a tracker, in a process of its own: it needs another pinocchio than ours.

Started by `bench tracking` (part `quality`) with the python that `DIFFUSION_CONTROL_CROCODDYL`
names. One JSON line on stdin says the robot and the weights, one on stdout answers `{"ok": true}`
or `{"error": ...}`. Then frames of float64: question and answer, see `Solver.answer`.

Per node of dt: x = (q, v), u the torques in their box,

    W_q |q - r|^2 + W_v |v - r'|^2 + W_u |u - u_r|^2 + W_x (excess of q and v over their limits)^2

with u_r the inverse dynamics of the reference; the dynamics are the robot's own (forward dynamics,
Euler). The first guess is the last solution, shifted.

Original: C. Mastalli et al., "A feasibility-driven approach to control-limited DDP", Autonomous
Robots 46 (2022).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import crocoddyl
import numpy as np
import pinocchio as pin
from numpy.typing import NDArray

Array = NDArray[np.float64]
AGREES = 1e-6


def model_of(asked: dict[str, Any]) -> pin.Model:
    """Return the model of the driven joints, the others locked where ours has them."""
    whole = pin.buildModelFromXML(asked['urdf'])
    names = asked['joint_names']
    locked = [name for name in whole.names[1:] if name not in names]
    q = pin.neutral(whole)
    for name in locked:
        q[whole.joints[whole.getJointId(name)].idx_q] = asked['locked'].get(name, 0.0)
    return pin.buildReducedModel(whole, [whole.getJointId(name) for name in locked], q)


def check(model: pin.Model, asked: dict[str, Any]) -> None:
    """Refuse a crocoddyl whose dynamics are not those of pinocchio's rnea, and of our model.

    Its 3.2.1 wheel beside a pinocchio that it was not built for loses gravity without a word.

    Raises:
        ValueError: They differ.
    """
    data, q = model.createData(), np.array(asked['position'])
    gravity = pin.rnea(model, data, q, np.zeros(model.nv), np.zeros(model.nv))
    action = crocoddyl.DifferentialActionModelFreeFwdDynamics(
        *parts(model), crocoddyl.CostModelSum(crocoddyl.StateMultibody(model), model.nv))
    known = action.createData()
    action.calc(known, np.concatenate((q, np.zeros(model.nv))), np.zeros(model.nv))
    own = -pin.crba(model, data, q) @ known.xout
    for name, other in (('crocoddyl', own), ('ours', np.array(asked['gravity_nm']))):
        apart = float(np.abs(other - gravity).max())
        if not apart < AGREES:
            raise ValueError(f'gravity of {name} is {apart:.3g} Nm from that of pin.rnea')


def parts(model: pin.Model) -> tuple[Any, Any]:
    """Return state and full actuation of a model."""
    state = crocoddyl.StateMultibody(model)
    return state, crocoddyl.ActuationModelFull(state)


class Solver:
    """One shooting problem whose references are replaced in each tick.

    Args:
        model: The robot.
        asked: What the first line said.
    """

    def __init__(self, model: pin.Model, asked: dict[str, Any]) -> None:
        self._model, self._data = model, model.createData()
        self._steps, self._dt = int(asked['steps']), float(asked['dt_s'])
        self._iterations = int(asked['iterations'])
        state, actuation = parts(model)
        self._nodes = [self._node(state, actuation, asked, last=k == self._steps)
                       for k in range(self._steps + 1)]
        x0 = np.zeros(2 * model.nv)
        problem = crocoddyl.ShootingProblem(
            x0, [node[0] for node in self._nodes[:-1]], self._nodes[-1][0])
        problem.nthreads = 1  # two threads spin where the second core is busy
        self._solver = crocoddyl.SolverBoxFDDP(problem)
        self._last: tuple[Array, Array] | None = None

    def _node(self, state: Any, actuation: Any, asked: dict[str, Any], *, last: bool) -> Any:
        n, weights = self._model.nv, asked['weights']
        tracked = crocoddyl.ResidualModelState(state, np.zeros(2 * n), n)
        pulled = crocoddyl.ResidualModelControl(state, np.zeros(n))
        shares = np.concatenate((np.full(n, weights['position']), np.full(n, weights['velocity'])))
        bounds = crocoddyl.ActivationBounds(
            np.array([*asked['lower_rad'], *(-v for v in asked['velocity_rad_s'])]),
            np.array([*asked['upper_rad'], *asked['velocity_rad_s']]))
        costs = crocoddyl.CostModelSum(state, n)
        costs.addCost('track', crocoddyl.CostModelResidual(
            state, crocoddyl.ActivationModelWeightedQuad(shares), tracked), 2.0)
        costs.addCost('limits', crocoddyl.CostModelResidual(
            state, crocoddyl.ActivationModelQuadraticBarrier(bounds),
            crocoddyl.ResidualModelState(state, np.zeros(2 * n), n)), 2.0 * weights['limits'])
        if not last:
            costs.addCost('input', crocoddyl.CostModelResidual(state, pulled),
                          2.0 * weights['input'])
        action = crocoddyl.DifferentialActionModelFreeFwdDynamics(state, actuation, costs)
        torque = np.array(asked['torque_nm'])
        model = crocoddyl.IntegratedActionModelEuler(action, 0.0 if last else self._dt)
        model.u_lb, model.u_ub = -torque, torque
        return model, tracked, pulled

    def answer(self, frame: Array) -> Array:
        """Return iterations, thread time [s] and the accelerations of the N intervals [N, n].

        Args:
            frame: Time since the last question [s] (negative: start cold), q [n], v [n], and the
                reference's position, velocity and acceleration at knots 0..N, [N+1, n] each.
        """
        n, knots = self._model.nv, self._steps + 1
        elapsed, x0 = float(frame[0]), frame[1:1 + 2 * n]
        position, velocity, acceleration = frame[1 + 2 * n:].reshape(3, knots, n)
        begin = time.thread_time()
        states = np.concatenate((position, velocity), axis=1)
        torques = np.array([pin.rnea(self._model, self._data, *row) for row in zip(
            position, velocity, acceleration, strict=True)])[:-1]
        for k, (_, tracked, pulled) in enumerate(self._nodes):
            tracked.reference = states[k]
            if k < self._steps:
                pulled.reference = torques[k]
        xs, us = (states, torques) if self._last is None or elapsed < 0 else self._shifted(elapsed)
        self._solver.problem.x0 = x0
        xs[0] = x0
        self._solver.solve(list(xs), list(us), self._iterations, False)
        found = np.array(self._solver.xs), np.array(self._solver.us)
        self._last = found
        spent = time.thread_time() - begin
        rates = np.diff(found[0][:, n:], axis=0) / self._dt
        return np.concatenate(([self._solver.iter, spent], rates.ravel()))

    def _shifted(self, elapsed_s: float) -> tuple[Array, Array]:
        """Return the last states and torques, read `elapsed_s` later; the ends are held."""
        assert self._last is not None
        moved = []
        for rows in self._last:
            at = np.clip(np.arange(len(rows)) + elapsed_s / self._dt, 0, len(rows) - 1)
            low = np.minimum(at.astype(int), len(rows) - 2)
            share = (at - low)[:, None]
            moved.append((1 - share) * rows[low] + share * rows[low + 1])
        return moved[0], moved[1]


def main() -> int:
    """Answer until stdin ends."""
    asked = json.loads(sys.stdin.buffer.readline())
    out = sys.stdout.buffer
    try:
        model = model_of(asked)
        check(model, asked)
        solver = Solver(model, asked)
    except Exception as error:
        out.write(json.dumps({'error': f'{type(error).__name__}: {error}'}).encode() + b'\n')
        return 1
    out.write(b'{"ok": true}\n')
    out.flush()
    size = 8 * (1 + 2 * model.nv + 3 * (solver._steps + 1) * model.nv)
    while len(data := sys.stdin.buffer.read(size)) == size:
        out.write(solver.answer(np.frombuffer(data)).tobytes())
        out.flush()
    return 0


if __name__ == '__main__':
    sys.exit(main())
