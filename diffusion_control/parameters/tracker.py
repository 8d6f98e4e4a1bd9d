# SPDX-License-Identifier: Apache-2.0
"""Parameters of the tracker."""

from __future__ import annotations

from diffusion_control.parameters.common import AUTOSTART, COMMON, SURROUNDINGS, real_time
from diffusion_control.parameters.table import Parameter

TRACKER: tuple[Parameter, ...] = (
    *COMMON,
    *SURROUNDINGS,
    AUTOSTART,
    Parameter(
        'type', 'string', 'mpc',
        'Condensed MPC solved by daqp; sparse MPC solved by osqp; condensed MPC with torque '
        'limits linearised about the predicted path; or no MPC but a PD law.',
        choices=('mpc', 'mpc_osqp', 'mpc_torque', 'pd')),
    Parameter('rate_hz', 'float', 100.0, 'Rate of the loop.', 'Hz', 50.0, 500.0),
    Parameter(
        'warm_start', 'string', 'best',
        'First guess of the solver: the plan, the shifted last solution, the better of both, '
        'or nothing.', choices=('best', 'plan', 'shifted', 'cold')),
    Parameter(
        'mpc.horizon_steps', 'int', 20, 'Knots of the prediction.', minimum=20, maximum=36),
    Parameter(
        'mpc.dt_s', 'float', 0.02,
        'Time between knots. This and the weights are those of an arm: a base has its own (0.05) '
        'where a value is left as it is here.', 's', 0.005, 0.1),
    Parameter(
        'mpc.weight_position', 'float', 1.0, 'Weight of the squared position error.', '1/rad^2',
        0.0, 1e9),
    Parameter(
        'mpc.weight_velocity', 'float', 1e-3, 'Weight of the squared velocity error.',
        's^2/rad^2', 0.0, 1e9),
    Parameter(
        'mpc.weight_input', 'float', 1e-9, 'Weight of the squared acceleration error.',
        's^4/rad^2', 0.0, 1e9),
    Parameter(
        'mpc.weight_smooth', 'float', 2e-7,
        'Weight of the squared distance to the last solution.', 's^4/rad^2', 0.0, 1e9),
    Parameter(
        'mpc.limits_scale', 'float', 0.9,
        "Share of the robot's velocity, acceleration, jerk and torque limits that is used.",
        minimum=0.05, maximum=1.0),
    Parameter(
        'braking_fraction', 'float', 0.75,
        "Share of the acceleration limits that safety's stops use.", minimum=0.1, maximum=1.0),
    Parameter(
        'command_delay_s', 'float', 0.01,
        'Time from publishing a command until the robot moves by it.', 's', 0.0, 0.2),
    Parameter(
        'observer', 'bool', True,
        'Correct the reference for payload and friction by a disturbance observer.'),
    Parameter(
        'follow_goals', 'bool', False,
        'Where no plan has ever come, go straight to goal_pose or goal_joints by the tracker '
        'alone; it keeps all limits and knows no obstacles, safety does. False: hold.'),
    *real_time(),
)
