# SPDX-License-Identifier: Apache-2.0
"""What is driven: limits, kinematics, dynamics and collision shapes."""

from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base
from diffusion_control.robots.config import available
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.limits import JointLimits
from diffusion_control.robots.load import kind_of, load, load_arm, load_base
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.robots.state import RobotState

__all__ = [
    'Arm', 'Base', 'Goal', 'JointLimits', 'Obstacle', 'ObstacleArrays', 'RobotState', 'available',
    'kind_of', 'load', 'load_arm', 'load_base']
