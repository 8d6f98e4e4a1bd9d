# SPDX-License-Identifier: Apache-2.0
"""Planners of a mobile base: ways through the plane, pursued by the unicycle model."""
