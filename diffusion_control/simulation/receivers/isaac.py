# SPDX-License-Identifier: Apache-2.0
"""Isaac Sim's articulation controller behind `joint_command`: positions by name, freezes."""

from __future__ import annotations

import numpy as np

from diffusion_control.simulation.receivers.forward_position import ForwardPosition
from diffusion_control.simulation.receivers.messages import Message, SampleMessage
from diffusion_control.simulation.receivers.samples import ordered_values
from diffusion_control.trajectory.trajectory import Array


class Isaac(ForwardPosition):
    """Take positions by joint name from a JointState, some or all of the joints.

    Joints that a message does not name keep their target; an unknown name refuses the whole
    message (ROS 2 bridge and OmniGraph 'Articulation Controller' of Isaac Sim). Between samples
    the drive interpolates as `ForwardPosition` does; on silence it stands at the last sample.
    """

    profile = 'isaac'

    def _checked(self, message: Message) -> Array | str:
        if isinstance(message, SampleMessage) and not message.names:
            return 'names'
        values = ordered_values(message, self.names)
        if isinstance(values, str):
            return values
        return np.where(np.isnan(values), self._target, values)
