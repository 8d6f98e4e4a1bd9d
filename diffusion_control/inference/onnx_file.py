# SPDX-License-Identifier: Apache-2.0
"""Find references to external data in an ONNX file, without the `onnx` package.

A tensor of an ONNX file may keep its numbers in another file, named by the tensor: a way to read
any file of the machine. An ONNX file is a protobuf message; this walks the few message types that
can hold a tensor (onnx.proto3: ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto,
...) and looks at TensorProto's fields 13 (external_data) and 14 (data_location), and for nodes of
the kind EPContext, which name a compiled engine instead. All other fields are skipped by their
length.
"""

from __future__ import annotations

from collections.abc import Iterator

from diffusion_control.errors import ConfigurationError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
DEEPEST = 64
MESSAGES: dict[str, dict[int, str]] = {
    'model': {7: 'graph', 20: 'training', 25: 'function'},
    'training': {1: 'graph', 2: 'graph'},
    'function': {7: 'node', 11: 'attribute'},
    'graph': {1: 'node', 5: 'tensor', 15: 'sparse'},
    'node': {5: 'attribute'},
    'attribute': {5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse'},
    'sparse': {1: 'tensor', 2: 'tensor'},
    'tensor': {},
}
"""Message -> field number -> the message in it, of those that can lead to a tensor."""
TENSOR_NAME, EXTERNAL_DATA, DATA_LOCATION = 8, 13, 14
OPERATOR, ENGINE = 4, b'EPContext'


def refuse_external_data(data: bytes, where: str) -> None:
    """Refuse a model that keeps numbers in another file, inside or outside its folder.

    Args:
        data: The bytes of the ONNX file.
        where: Its path, for messages.

    Raises:
        ConfigurationError: There is external data or a compiled engine, or the bytes are no
            protobuf message (a truncated file), or have no graph.
    """
    found = _model(memoryview(data), where)
    if found:
        raise ConfigurationError(
            'the model keeps data in another file', where=where, value=found[:4],
            allowed='expected all tensors inside model.onnx',
            remedy='export it again without external data')


def _model(data: memoryview, where: str) -> list[str]:
    waiting, found, graphs = [('model', data, 0)], [], 0
    while waiting:
        kind, message, depth = waiting.pop()
        if depth > DEEPEST:
            raise _broken(where, f'nested deeper than {DEEPEST}')
        try:
            fields = list(_fields(message))
        except ValueError as error:
            raise _broken(where, f'{kind}: {error}') from error
        if kind == 'tensor':
            found += _external(fields)
        if kind == 'node' and any(number == OPERATOR and isinstance(value, memoryview)
                                  and bytes(value) == ENGINE for number, value in fields):
            found.append('EPContext: a compiled engine')
        graphs += kind == 'graph'
        inner = MESSAGES[kind]
        waiting += [(inner[number], value, depth + 1) for number, value in fields
                    if number in inner and isinstance(value, memoryview)]
    if not graphs:
        raise _broken(where, 'no graph')
    return found


def _broken(where: str, value: str) -> ConfigurationError:
    return ConfigurationError(
        'not an ONNX file', where=where, value=value, allowed='expected one whole ONNX model',
        remedy='the file is truncated or of another kind: export it again')


def _external(fields: list[tuple[int, int | memoryview]]) -> list[str]:
    """Return the tensor's name and the file it asks for, or nothing."""
    entries = [value for number, value in fields
               if number == EXTERNAL_DATA and isinstance(value, memoryview)]
    moved = any(number == DATA_LOCATION and value != 0 for number, value in fields)
    if not entries and not moved:
        return []
    name = next((bytes(value).decode('utf-8', 'replace') for number, value in fields
                 if number == TENSOR_NAME and isinstance(value, memoryview)), '')
    return [f'{name}: ' + b' '.join(_strings(entry) for entry in entries).decode(
        'ascii', 'backslashreplace')]


def _strings(entry: memoryview) -> bytes:
    try:
        return b'='.join(bytes(value) for _, value in _fields(entry)
                         if isinstance(value, memoryview))
    except ValueError:
        return bytes(entry)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field: numbers as int, everything with a length as bytes."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == BYTES:
            length, at = _varint(message, at)
        elif wire in (FIXED32, FIXED64):
            length = 4 if wire == FIXED32 else 8
        else:
            raise ValueError(f'wire type {wire} at byte {at}')
        if at + length > end:
            raise ValueError(f'ends at byte {end}, needs {at + length}')
        yield number, message[at:at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError(f'ends at byte {at} within a number')
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f'a number of more than 10 bytes at byte {at}')
