# SPDX-License-Identifier: Apache-2.0
"""The maze tasks: layouts, worlds, scripted experts, demonstrations and their evaluation."""
