# SPDX-License-Identifier: Apache-2.0
"""Solvers answer whatever they are given, check themselves, and agree with each other."""

from __future__ import annotations

import numpy as np
import pytest
from tracking_world import HOME, LIMITS

from diffusion_control.solvers.daqp import DaqpSolver
from diffusion_control.solvers.osqp import OsqpSolver
from diffusion_control.solvers.protocol import (
    FAILED,
    INACCURATE,
    INFEASIBLE,
    ITERATION_LIMIT,
    SOLVED,
    SUBOPTIMAL,
    QuadraticProgram,
    judge,
)
from diffusion_control.tracking.bounds import HorizonBounds
from diffusion_control.tracking.condensed import CondensedFormulation
from diffusion_control.tracking.cost import TrackingCost, Weights
from diffusion_control.tracking.prediction import HorizonProblem, Prediction
from diffusion_control.tracking.sparse import SparseFormulation

STEPS, DT = 20, 0.02
SCALED = LIMITS.scaled(0.9)
INPUTS, JOINTS = STEPS - 1, 7


@pytest.fixture(scope='module')
def formulations():
    prediction = Prediction(STEPS, DT)
    cost = TrackingCost(prediction, Weights())
    bounds = HorizonBounds(SCALED, STEPS, DT)
    return (
        prediction, cost, CondensedFormulation(prediction, cost, SCALED, bounds),
        SparseFormulation(prediction, cost, SCALED, bounds, max_iterations=4000))


def problem(rng, scale, mass_scale=1.0):
    prediction = Prediction(STEPS, DT)
    velocity = rng.uniform(-1, 1, JOINTS) * SCALED.velocity_rad_s * scale
    acceleration = rng.uniform(-1, 1, JOINTS) * SCALED.acceleration_rad_s2 * scale
    t = prediction.times_s[:, None]
    push = rng.uniform(-1, 1, JOINTS) * 6 * scale
    mass = (np.diag([1.2, 1.5, 0.9, 0.9, 0.05, 0.05, 0.02]) + 0.01) * mass_scale
    return HorizonProblem(
        HOME + rng.uniform(-0.1, 0.1, JOINTS), velocity, acceleration,
        HOME + velocity * t + push * t**2 / 2, velocity + push * t, np.zeros((INPUTS, JOINTS)),
        mass, np.array([0.0, -30.0, -3.0, 15.0, 1.0, 1.0, 0.0]))


def program(rng, count=12, rows=20):
    root = rng.normal(size=(count, count))
    return QuadraticProgram(root @ root.T + np.eye(count), rng.normal(size=(rows, count)))


@pytest.mark.parametrize('kind', [DaqpSolver, OsqpSolver])
def test_solution_satisfies_the_optimality_conditions(kind):
    rng = np.random.default_rng(0)
    posed = program(rng)
    solver = kind(posed, max_iterations=4000)
    for _ in range(20):
        f = 5 * rng.normal(size=12)
        bound = rng.uniform(0.1, 0.5, 32)
        solution = solver.solve(f, -bound, bound)
        assert solution.accepted and solution.status == SOLVED
        values = np.concatenate((solution.x, posed.rows @ solution.x))
        assert (np.abs(values) <= bound + 1e-4).all()
        gradient = posed.hessian @ solution.x + f + solution.multipliers[:12]
        gradient += posed.rows.T @ solution.multipliers[12:]
        assert np.abs(gradient).max() < 1e-3
        at_bound = np.abs(np.abs(values) - bound) < 1e-3
        assert (np.abs(solution.multipliers[~at_bound]) < 1e-3).all()


@pytest.mark.parametrize('kind', [DaqpSolver, OsqpSolver])
def test_infeasible_is_said_and_survived(kind):
    posed = program(np.random.default_rng(1))
    solver = kind(posed, max_iterations=2000)
    wide = np.full(32, 5.0)
    low, high = -wide, wide.copy()
    rows = QuadraticProgram(posed.hessian, np.vstack((posed.rows[:19], posed.rows[:1])))
    solver = kind(rows, max_iterations=2000)
    low[12], high[31] = 2.0, 1.0
    refused = solver.solve(np.zeros(12), low, high)
    assert refused.status in (INFEASIBLE, FAILED, ITERATION_LIMIT) and not refused.accepted
    again = solver.solve(np.ones(12), -wide, wide)
    assert again.accepted


@pytest.mark.parametrize('kind', [DaqpSolver, OsqpSolver])
def test_not_a_number_is_never_accepted(kind):
    solver = kind(program(np.random.default_rng(2)), max_iterations=200)
    wide = np.full(32, 5.0)
    assert not solver.solve(np.full(12, np.nan), -wide, wide).accepted
    assert solver.solve(np.ones(12), -wide, wide).accepted


def test_iterations_are_capped():
    rng = np.random.default_rng(3)
    solver = DaqpSolver(program(rng), max_iterations=10)
    osqp = OsqpSolver(program(rng), max_iterations=10)
    bound = np.full(32, 0.01)
    f = 100 * rng.normal(size=12)
    assert solver.solve(f, -bound, bound).iterations <= 10
    capped = osqp.solve(f, -bound, bound)
    assert capped.iterations <= 10 and capped.status in (ITERATION_LIMIT, SUBOPTIMAL)


def test_a_lying_solver_is_found_out():
    posed = program(np.random.default_rng(4))
    f, bound = np.ones(12), np.full(32, 1.0)
    tolerances = {'primal_tolerance': 1e-6, 'dual_tolerance': 1e-6}
    wrong = np.full(12, 0.01)
    lie = judge(posed, f, -bound, bound, wrong, np.zeros(32), SOLVED, 1, **tolerances)
    assert lie.status == INACCURATE and lie.dual_residual > 1e-3
    outside = judge(posed, f, -bound, bound, 2 * bound[:12], np.zeros(32), ITERATION_LIMIT, 1,
                    **tolerances)
    assert outside.status == ITERATION_LIMIT and outside.primal_residual >= 1.0
    broken = judge(posed, f, -bound, bound, wrong * np.nan, np.zeros(32), SOLVED, 1, **tolerances)
    assert broken.status == FAILED and np.isfinite(broken.x).all()


def test_warm_start_saves_iterations_and_changes_nothing(formulations):
    _, _, condensed, _ = formulations
    rng = np.random.default_rng(5)
    cold, warm = 0, 0
    for _ in range(30):
        posed = problem(rng, 1.0)
        first = condensed.solve(posed, None)
        second = condensed.solve(posed, first.acceleration)
        np.testing.assert_allclose(first.acceleration, second.acceleration, atol=1e-6)
        cold, warm = cold + first.iterations, warm + second.iterations
    assert cold > 0 and warm < 0.7 * cold


@pytest.mark.parametrize(('scale', 'mass_scale'), [(0.2, 1.0), (1.0, 1.0), (1.0, 5.0)])
def test_both_formulations_find_the_same_motion(formulations, scale, mass_scale):
    prediction, cost, condensed, sparse = formulations
    rng = np.random.default_rng(6)
    for _ in range(5):
        posed = problem(rng, scale, mass_scale)
        dense = condensed.solve(posed, None)
        split = sparse.solve(posed, dense.acceleration)
        assert dense.status in ('unconstrained', 'solved')
        linear = cost.linear(posed)
        best = cost.value(linear, dense.acceleration)
        if dense.slack_nm < 1e-9:
            assert cost.value(linear, split.acceleration) == pytest.approx(
                best, rel=2e-2, abs=1e-5)


def test_torque_limits_hold_where_they_bind(formulations):
    _, _, condensed, _ = formulations
    rng = np.random.default_rng(7)
    bound = 0
    for _ in range(40):
        posed = problem(rng, 1.0, 5.0)
        answer = condensed.solve(posed, None)
        assert answer.status in ('unconstrained', 'solved')
        torque = np.abs(answer.acceleration @ posed.mass.T + posed.bias) - SCALED.torque_nm
        assert torque.max() <= answer.slack_nm + 1e-4
        bound += answer.torque_active and answer.slack_nm < 1e-9
    assert bound >= 5, 'the case must occur for the test to mean something'


def test_slack_only_where_the_drive_cannot_hold(formulations):
    """With a bias beyond the limit the torque row gives way, by no more than it must."""
    _, _, condensed, _ = formulations
    posed = problem(np.random.default_rng(8), 0.1)
    heavy = HorizonProblem(**{**vars(posed), 'bias': np.array([0, -100.0, 0, 0, 0, 0, 0])})
    answer = condensed.solve(heavy, None)
    excess = 100.0 - SCALED.torque_nm[1]
    assert answer.status == 'solved' and answer.torque_active
    assert answer.slack_nm < excess, 'accelerating downwards helps'
    torque = np.abs(answer.acceleration @ heavy.mass.T + heavy.bias) - SCALED.torque_nm
    assert torque.max() <= answer.slack_nm + 1e-4
