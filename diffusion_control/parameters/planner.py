# SPDX-License-Identifier: Apache-2.0
"""Parameters of the planner."""

from __future__ import annotations

from diffusion_control.parameters.common import AUTOSTART, COMMON, SURROUNDINGS, real_time
from diffusion_control.parameters.table import Parameter

PLANNER: tuple[Parameter, ...] = (
    *COMMON,
    *SURROUNDINGS,
    AUTOSTART,
    Parameter(
        'type', 'string', 'auto',
        'Planner: a name of `diffusion_control.planners.available()`, or auto: diffuser where a '
        'model of the robot is shipped and ONNX Runtime installed, else training_free.'),
    Parameter(
        'model', 'string', '',
        'Trained model: a folder, or a name in models/; empty is the shipped one of the planner '
        'for this robot.'),
    Parameter(
        'backend', 'string', 'onnx',
        'What runs the model; `inference.available_backends()` says which can.',
        choices=(
            'onnx', 'onnx_cuda', 'tensorrt', 'torch', 'torch_compiled', 'torch_cuda_graphs')),
    Parameter(
        'backend_require_gpu', 'bool', False,
        'Refuse to run the model on a CPU.'),
    Parameter(
        'rate_hz', 'float', 5.0, 'How often a new plan is made.', 'Hz', 0.5, 50.0),
    Parameter(
        'deadline_s', 'float', 0.15,
        'Time after which the best plan so far is returned.', 's', 0.005, 10.0,
        read_only=False),
    Parameter(
        'num_candidates', 'int', 6,
        'Candidate futures that are checked and published.', minimum=1, maximum=64),
    Parameter(
        'num_inference_steps', 'int', 0,
        'Denoising steps of one plan from noise; 0 is what the planner has by itself.',
        minimum=0, maximum=500),
    Parameter(
        'guidance_scale', 'float', 1.0,
        'Strength of guidance: weight of the collision cost in the score; of networks for maps '
        'the step along the value.', minimum=0.01, maximum=100.0),
    Parameter(
        'warm_start_level', 'float', 0.0,
        'Noise level that the shifted previous plan is raised to before it is denoised again, '
        'as a share of the schedule, at least 0.05; 0 is what the planner has by itself.',
        minimum=0.0, maximum=1.0),
    Parameter(
        'seed', 'int', 0, "Seed of the planner's noise.", minimum=0, maximum=2**31 - 1),
    *real_time(nice=10),
)
