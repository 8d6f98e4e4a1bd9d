# SPDX-License-Identifier: Apache-2.0
"""Safety of a base: what its receiver of twists does on silence is what is verified."""
