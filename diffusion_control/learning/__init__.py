# SPDX-License-Identifier: Apache-2.0
"""From demonstrations to a model in `models/`: experts, data sets, training, export.

Nothing that drives a robot imports this; only training and export import torch.
"""
