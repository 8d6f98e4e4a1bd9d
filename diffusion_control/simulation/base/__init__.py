# SPDX-License-Identifier: Apache-2.0
"""A simulated mobile base: wheels on a floor between walls, odometry and laser."""
