# SPDX-License-Identifier: Apache-2.0
"""The middleware's environment for runs that stay on this machine."""

from __future__ import annotations

from diffusion_control.share import share_directory

PROFILES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')


def local_environment() -> dict[str, str]:
    """Return the variables that keep Fast DDS on this machine, by UDP over the loopback.

    Shared memory is avoided: when a reader is killed or stopped, writers can wait 1 to 3 s for
    it, which no command may. The discovery range LOCALHOST would bring it back whatever
    FASTDDS_BUILTIN_TRANSPORTS says, so the profile limits the reach instead.
    """
    profile = str(share_directory() / 'config' / 'fastdds_local.xml')
    return {
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SYSTEM_DEFAULT', **dict.fromkeys(PROFILES, profile)}
