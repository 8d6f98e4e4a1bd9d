# SPDX-License-Identifier: Apache-2.0
"""What is driven: limits, kinematics, dynamics and collision shapes."""

from diffusion_control.robots.arm import Arm, load
from diffusion_control.robots.config import available
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.limits import JointLimits
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.robots.state import RobotState

__all__ = [
    'Arm', 'Goal', 'JointLimits', 'Obstacle', 'ObstacleArrays', 'RobotState', 'available', 'load']
