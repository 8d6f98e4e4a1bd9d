# SPDX-License-Identifier: Apache-2.0
"""Trackers: admit plans, follow them inside all limits, hand over between them."""

from diffusion_control.tracking.protocol import (
    Reference,
    Tracker,
    TrackerOutput,
    TrackerReport,
)
from diffusion_control.tracking.registry import available, make, settings_for

__all__ = ['Reference', 'Tracker', 'TrackerOutput', 'TrackerReport', 'available', 'make',
           'settings_for']
