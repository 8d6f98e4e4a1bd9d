# SPDX-License-Identifier: Apache-2.0
"""The safety monitor of a base: arcs, twists, and what the receiver does on silence."""
