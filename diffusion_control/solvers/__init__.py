# SPDX-License-Identifier: Apache-2.0
"""Quadratic-programme solvers behind one protocol, one file each."""
