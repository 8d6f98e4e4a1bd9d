# SPDX-License-Identifier: Apache-2.0
"""The trajectory value type, sampling, stops and timing."""
