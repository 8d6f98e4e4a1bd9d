# SPDX-License-Identifier: Apache-2.0
"""Planners of a point mass among the cells of a map."""
