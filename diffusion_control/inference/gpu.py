# SPDX-License-Identifier: Apache-2.0
"""The name of the first NVIDIA GPU, asked of the driver itself: no CUDA package is needed."""

from __future__ import annotations

import ctypes

from diffusion_control.errors import MissingDependencyError

DRIVER = 'libcuda.so.1'
LONGEST_NAME = 256


def gpu_name(driver: str = DRIVER) -> str:
    """Return the name of GPU 0, as the driver gives it.

    Args:
        driver: The driver's library.

    Raises:
        MissingDependencyError: No driver, or a driver without a GPU.
    """
    try:
        cuda = ctypes.CDLL(driver)
    except OSError as error:
        raise _missing(f'{error}') from error
    device, name = ctypes.c_int(), ctypes.create_string_buffer(LONGEST_NAME)
    for call, arguments in (
            ('cuInit', (0,)), ('cuDeviceGet', (ctypes.byref(device), 0)),
            ('cuDeviceGetName', (name, LONGEST_NAME, device))):
        try:
            result = getattr(cuda, call)(*arguments)
        except AttributeError as error:
            raise _missing(f'{driver} has no {call}') from error
        if result != 0:
            raise _missing(f'{call} returned {result}')
    return name.value.decode('utf-8', 'replace')


def _missing(value: str) -> MissingDependencyError:
    return MissingDependencyError(
        'no NVIDIA GPU', where=DRIVER, value=value,
        remedy="install NVIDIA's driver; or planner.backend: onnx with "
               'planner.backend_require_gpu: false')
