# SPDX-License-Identifier: Apache-2.0
"""Thin rclpy shells: messages in, library call, messages out."""
