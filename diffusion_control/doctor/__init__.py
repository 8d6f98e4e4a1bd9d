# SPDX-License-Identifier: Apache-2.0
"""What `diffusion_control doctor` looks at without ROS: interpreter, packages, host, robot."""

from __future__ import annotations

from diffusion_control.doctor.finding import Finding, print_findings, summary
from diffusion_control.doctor.host import check_host
from diffusion_control.doctor.robot import check_robot
from diffusion_control.doctor.software import check_software

__all__ = ['Finding', 'check_host', 'check_robot', 'check_software', 'print_findings', 'summary']
