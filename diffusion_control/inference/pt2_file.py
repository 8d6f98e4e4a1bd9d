# SPDX-License-Identifier: Apache-2.0
"""Refuse pickles in a program that `torch.export.save` wrote.

`torch.export.load` unpickles weights, constants and objects where the archive's own tables ask
for it, which runs whatever the file says. So only the members of a plain program are let in, none
of whose tables asks for a pickle; the sample inputs are torch's own restricted format, which the
backend tries first without leave to run anything.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib

from diffusion_control.errors import ConfigurationError

PT2_FILE = 'model.pt2'
TABLE = re.compile(r'[^/]+/data/(?:weights|constants)/model_(?:weights|constants)_config\.json')
SAMPLES = re.compile(r'[^/]+/data/sample_inputs/model\.pt')
PLAIN = re.compile(
    r'[^/]+/(?:data/weights/weight_\d+|data/constants/tensor_\d+|models/model\.json'
    r'|archive_format|archive_version|byteorder|\.data/version|\.data/serialization_id)')
TENSOR_FILE = re.compile(r'(?:weight|tensor)_\d+')


def sample_inputs(data: bytes, where: str) -> bytes:
    """Return the sample inputs of an archive in which nothing asks for a pickle.

    Args:
        data: The bytes of `model.pt2`.
        where: Its path, for messages.

    Raises:
        ConfigurationError: It is no such archive, holds other members, or asks for a pickle.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _samples(archive, where)
    except (zipfile.BadZipFile, ValueError, KeyError, AttributeError, TypeError, OSError,
            NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise _refused(f'{type(error).__name__}: {error}', where) from error


def _samples(archive: zipfile.ZipFile, where: str) -> bytes:
    names, samples = archive.namelist(), []
    if len({name.lower() for name in names}) != len(names):
        raise _refused('a member occurs twice', where)
    for name in names:
        if TABLE.fullmatch(name):
            for key, entry in json.loads(archive.read(name))['config'].items():
                if entry['use_pickle'] is not False or not TENSOR_FILE.fullmatch(
                        entry['path_name']):
                    raise _refused(f'{name}: {key} asks for a pickle', where)
        elif SAMPLES.fullmatch(name):
            samples.append(archive.read(name))
        elif not PLAIN.fullmatch(name):
            raise _refused(f'unexpected member {name}', where)
    if len(samples) != 1:
        raise _refused(f'{len(samples)} sets of sample inputs', where)
    return samples[0]


def _refused(value: str, where: str) -> ConfigurationError:
    return ConfigurationError(
        'not a program that can be opened without running what is in it', where=where,
        value=value, allowed='expected what torch.export.save writes, without custom objects',
        remedy='export it again, or planner.backend: onnx')
