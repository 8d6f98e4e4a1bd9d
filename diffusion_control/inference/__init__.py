# SPDX-License-Identifier: Apache-2.0
"""Running exported samplers: reserved for the diffusion engine."""
