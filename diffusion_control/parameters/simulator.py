# SPDX-License-Identifier: Apache-2.0
"""Parameters of the simulator."""

from __future__ import annotations

from diffusion_control.parameters.common import AUTOSTART, COMMON, real_time
from diffusion_control.parameters.table import Parameter

PROFILES = ('jtc', 'forward_position', 'forward_velocity', 'isaac', 'gz', 'diff_drive')
_AS_PRESET = ' (negative: as plant.preset says)'

_BASE_PLANT: tuple[tuple[str, str, str, float], ...] = (
    ('left_wheel_scale', 'radius of the left wheel over the robot file', '', 2.0),
    ('right_wheel_scale', 'radius of the right wheel over the robot file', '', 2.0),
    ('separation_scale', 'distance of the wheels over the robot file', '', 2.0),
    ('grip_scale', 'friction of wheels on the floor over the robot file; less slips', '', 10.0),
    ('lag_scale', 'time constant of the motors over the robot file', '', 100.0),
    ('slope_rad', 'slope of the floor', 'rad', 0.3),
    ('slope_direction_rad', 'direction in which it falls, in map', 'rad', 6.3),
    ('odom_drift_scale', "share by which the odometry's way is too long", '', 0.5),
    ('odom_drift_rad_m', 'heading that the odometry adds per metre', 'rad/m', 1.0),
    ('scan_noise_m', 'standard deviation of a range', 'm', 1.0),
    ('scan_drop_rate', 'share of the rays that return nothing', '', 0.9),
    ('localisation_noise_m', 'standard deviation of x and y of map_to_odom', 'm', 1.0),
    ('localisation_noise_rad', 'standard deviation of the yaw of map_to_odom', 'rad', 1.0))
BASE_PLANT = tuple(name for name, _, _, _ in _BASE_PLANT)

SIMULATOR: tuple[Parameter, ...] = (
    *COMMON,
    AUTOSTART,
    Parameter(
        'profile', 'string', '',
        'Receiver of the command that is emulated; empty is jtc for an arm, diff_drive for a '
        'base.', choices=('', *PROFILES)),
    Parameter(
        'command_type', 'string', '',
        "A base: message of the command; empty takes the robot file's.",
        choices=('', 'twist_stamped', 'twist')),
    Parameter(
        'command_topic', 'string', '',
        "Topic that the emulated receiver listens to; empty takes the robot file's."),
    Parameter(
        'scene', 'string', '',
        'YAML file of one scene; empty generates one of the tier from the seed.'),
    Parameter(
        'layout', 'string', '',
        'A base: text file with the walls, rows of # (wall), O, G and . (free).'),
    Parameter(
        'tier', 'string', 'demo', "The demo's scene, or the difficulty of a generated one.",
        choices=('demo', 'easy', 'hard')),
    Parameter(
        'seed', 'int', 0, 'Seed of scene, plant and noise.', minimum=0, maximum=2**31 - 1),
    Parameter(
        'joint_states_rate_hz', 'float', 200.0, 'Rate of joint_states (a base: of odom).', 'Hz',
        20.0, 1000.0),
    Parameter('obstacles_rate_hz', 'float', 25.0, 'Rate of obstacles.', 'Hz', 20.0, 500.0),
    Parameter('scan_rate_hz', 'float', 15.0, 'A base: rate of scan.', 'Hz', 1.0, 100.0),
    Parameter(
        'map_to_odom_rate_hz', 'float', 10.0, 'A base: rate of the localisation.', 'Hz', 0.1,
        100.0),
    Parameter(
        'real_time_factor', 'float', 1.0, 'Simulated seconds per second.', minimum=0.05,
        maximum=10.0),
    Parameter('publish_clock', 'bool', False, 'Publish /clock at 200 Hz.'),
    Parameter(
        'out', 'string', '', 'Folder for the ground truth; empty writes none.'),
    Parameter(
        'plant.preset', 'string', 'default',
        'The plant that the seed draws: default (perturbed), nominal, or a YAML file.'),
    Parameter(
        'plant.mass_scale', 'float_array', (-1.0,),
        "Mass of the links over the model's, one for all or one per link" + _AS_PRESET + '.',
        minimum=-1.0, maximum=10.0),
    Parameter(
        'plant.friction_scale', 'float_array', (-1.0,),
        "Joint friction over the model's, one for all or one per joint" + _AS_PRESET + '.',
        minimum=-1.0, maximum=10.0),
    Parameter(
        'plant.delay_s', 'float', -1.0, 'Delay of the actuators' + _AS_PRESET + '.', 's',
        -1.0, 0.2),
    Parameter(
        'plant.payload_kg', 'float', -1.0, 'Mass held by the tool' + _AS_PRESET + '.', 'kg',
        -1.0, 20.0),
    Parameter(
        'plant.noise_rad', 'float', -1.0,
        'Standard deviation of the encoders' + _AS_PRESET + '.', 'rad', -1.0, 0.1),
    Parameter(
        'plant.drop_rate', 'float', -1.0,
        'Share of joint_states messages that are lost' + _AS_PRESET + '.',
        minimum=-1.0, maximum=0.9),
    *(Parameter(f'plant.{name}', 'float', -1.0, f'A base: {what}{_AS_PRESET}.', unit, -1.0, most)
      for name, what, unit, most in _BASE_PLANT),
    *real_time(),
)
