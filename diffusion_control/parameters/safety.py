# SPDX-License-Identifier: Apache-2.0
"""Parameters of the safety monitor."""

from __future__ import annotations

from diffusion_control.parameters.common import AUTOSTART, COMMON, SURROUNDINGS, real_time
from diffusion_control.parameters.table import Parameter

OUTPUT_TYPES = (
    'joint_trajectory', 'float64_multi_array', 'joint_state', 'twist_stamped', 'twist')

SAFETY: tuple[Parameter, ...] = (
    *COMMON,
    *SURROUNDINGS,
    AUTOSTART,
    Parameter('rate_hz', 'float', 100.0, 'Rate of the loop.', 'Hz', 100.0, 500.0),
    Parameter(
        'margin_m', 'float', 0.01, 'Least distance that a verified motion keeps to everything.',
        'm', 0.0, 0.5, read_only=False),
    Parameter(
        'braking_fraction', 'float', 0.75,
        'Share of the acceleration limits that a stop may use.', minimum=0.1, maximum=1.0,
        read_only=False),
    Parameter(
        'class_k_gain', 'float', 15.0,
        'Gain of the class K function of the barriers: at a distance h beyond the margin a link '
        'approaches at no more than class_k_gain * h.', '1/s', 0.1, 20.0, read_only=False),
    Parameter(
        'filter', 'bool', True,
        'Filter each step by the barriers (CBF-QP); without, motions are only verified.'),
    Parameter(
        'speed_scale', 'float', 1.0, "Share of the joints' speed limits that is used.",
        minimum=0.01, maximum=1.0, read_only=False),
    Parameter(
        'tool_speed_max_m_s', 'float', 0.0, 'Highest speed of the tool; 0 for none.', 'm/s',
        0.0, 10.0, read_only=False),
    Parameter(
        'workspace.lower_m', 'float_array', (-100.0, -100.0, -100.0),
        'Lower corner of the box that the tool stays in, in the base frame; -100 is no side.',
        'm', -100.0, 100.0),
    Parameter(
        'workspace.upper_m', 'float_array', (100.0, 100.0, 100.0),
        'Upper corner of the box that the tool stays in, in the base frame; 100 is no side.',
        'm', -100.0, 100.0),
    Parameter(
        'separation.person_speed_m_s', 'float', 0.0,
        'Speed and separation monitoring: speed of a person; 0 turns it off.', 'm/s', 0.0, 3.0,
        read_only=False),
    Parameter(
        'separation.reaction_s', 'float', 0.1,
        'Speed and separation monitoring: time until the robot brakes.', 's', 0.0, 1.0,
        read_only=False),
    Parameter(
        'separation.intrusion_m', 'float', 0.1,
        'Speed and separation monitoring: intrusion distance and uncertainties.', 'm', 0.0, 2.0,
        read_only=False),
    Parameter(
        'command_delay_s', 'float', 0.01,
        'Time from publishing a command until the robot moves by it.', 's', 0.0, 0.2),
    Parameter(
        'settle_s', 'float', 0.25,
        'Time after the end of a motion in which the robot creeps to its set-point: until then '
        'no obstacle may arrive that goes on as it was seen.', 's', 0.0, 0.5, read_only=False),
    Parameter(
        'command_out_topic', 'string', '',
        "Topic of the command; empty takes the robot file's."),
    Parameter(
        'command_out_type', 'string', '',
        "Message of the command; empty takes the robot file's.", choices=('', *OUTPUT_TYPES)),
    Parameter(
        'command_interface', 'string', 'position',
        'What a float64_multi_array receiver takes.', choices=('position', 'velocity')),
    Parameter(
        'receiver_timeout_s', 'float', -1.0,
        "For how long a base's receiver keeps the last twist when nothing more is sent; "
        "negative takes the robot file's.", 's', -1.0, 10.0),
    Parameter(
        'accept_no_timeout', 'bool', False,
        'Consent to a velocity receiver that runs on when nothing more is sent.'),
    Parameter(
        'planner_rate_hz', 'float', 5.0,
        "The planner's rate_hz: DEGRADED follows after 2 / planner_rate_hz + 0.05 s "
        'without an accepted plan.', 'Hz', 0.5, 50.0),
    Parameter(
        'fallback_type', 'string', 'classical',
        "The fallback's type: with hold there is nothing to follow, and HOLD follows FALLBACK.",
        choices=('classical', 'retreat', 'training_free', 'hold')),
    Parameter(
        'confidence_min', 'float', 0.1,
        'DEGRADED below this confidence of the planner.', minimum=0.0, maximum=1.0),
    Parameter(
        'plan_lost_s', 'float', 1.0, 'FALLBACK after this time in DEGRADED.', 's', 0.1, 10.0),
    Parameter(
        'rejected_limit', 'int', 3,
        "FALLBACK after so many of the planner's plans in a row were rejected.",
        minimum=1, maximum=100),
    Parameter(
        'degraded_time_scale', 'float', 0.5,
        'Speed along the last valid plan in DEGRADED, as a share of the planned one.',
        minimum=0.05, maximum=1.0),
    Parameter(
        'recovery_cycles', 'int', 10,
        'Good cycles in a row before a state is left for a better one.', minimum=1, maximum=1000),
    Parameter(
        'emergency_s', 'float', 0.2,
        'EMERGENCY when joint states or the tracker are lost for longer, or when the monitor '
        'itself was not run for longer.', 's', 0.05, 0.2),
    Parameter(
        'unverified_s', 'float', 0.1, 'STOPPING after this time without a verified step.', 's',
        0.0, 1.0),
    Parameter(
        'lead_s', 'float', 0.04,
        "How much of the tracker's motion is taken before the stop is planned.", 's', 0.01, 0.2),
    Parameter(
        'follow_error_rad', 'float', 0.1,
        'A robot farther than this from its command does not follow.', 'rad', 0.005, 1.0),
    Parameter(
        'shadow', 'bool', False, 'Compute everything, send nothing.'),
    Parameter(
        'obstacles.max_speed_m_s', 'float', 0.5, 'Bound on the speed of an obstacle.', 'm/s',
        0.0, 5.0, read_only=False),
    Parameter(
        'obstacles.max_acceleration_m_s2', 'float', 2.0,
        'Bound on the acceleration of an obstacle.', 'm/s^2', 0.0, 50.0, read_only=False),
    Parameter(
        'obstacles.velocity_error_m_s', 'float', 0.1,
        'Error of the velocity that is seen of an obstacle.', 'm/s', 0.0, 5.0, read_only=False),
    Parameter(
        'silence.turning_s', 'float', 0.0,
        'For how long movers may still turn after the last twist of a monitor that died; '
        '0: they keep the velocity they have then.', 's', 0.0, 10.0, read_only=False),
    Parameter(
        'obstacles.stale_s', 'float', 0.2, 'Obstacles older than this stop the robot.', 's',
        0.02, 1.0),
    Parameter(
        'state.stale_s', 'float', 0.05, 'Joint states older than this stop the robot.', 's',
        0.005, 0.2),
    Parameter(
        'motion.stale_s', 'float', 0.04,
        'A tracker silent for longer than this stops the robot.', 's', 0.01, 0.2),
    *real_time(),
)
