# SPDX-License-Identifier: Apache-2.0
"""The demo: all nodes as processes, faults on request, and the judgement of the run."""
