# SPDX-License-Identifier: Apache-2.0
"""The diffusion engine: schedules, samplers, guidance and conditioning; denoisers for training.

What runs at inference (`levels`, `schedules`, `prediction`, `samplers`, `table`, `sampling`,
`inpainting`, `warm_start`, `costs`, `guidance`, `selection`) is arithmetic on arrays and imports
no torch. The networks (`denoisers`, `conditioning`, `value`), `loss`, `ema` and `export` do.
"""
