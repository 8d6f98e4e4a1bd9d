# SPDX-License-Identifier: Apache-2.0
"""Judging: scenes, scores, and rates and violations recomputed from what was recorded."""
