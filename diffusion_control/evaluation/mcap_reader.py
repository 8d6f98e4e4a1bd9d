# SPDX-License-Identifier: Apache-2.0
"""Read a run's MCAP file: streams of messages by topic, decoded when asked for.

The file is read record by record, not by its index, so that a file that ends in the middle (its
recorder was killed) still gives all that was written before.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from mcap.exceptions import EndOfFile, InvalidMagic, McapError
from mcap.records import Channel, McapRecord, Message, Metadata, Schema
from mcap.stream_reader import StreamReader
from mcap_ros2.decoder import DecoderFactory
from numpy.typing import NDArray
from zstandard import ZstdError

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.mcap_writer import RUN_METADATA, WRITERS_TOPIC

Array = NDArray[np.float64]
NANO = 1e-9


@dataclass
class Stream:
    """All messages of one topic, in the order in which they were received.

    Attributes:
        topic: Name as recorded.
        schema: Message type and definition.
        log_ns: Receive times [ns], shape [m].
        publish_ns: Send times [ns], shape [m].
        sequence: Publication number of the writer, shape [m]; 0 = unknown.
        writer: Identity of the writer, '' = unknown.
        data: Serialized messages.
    """

    topic: str
    schema: Schema | None = None
    log_ns: list[int] = field(default_factory=list)
    publish_ns: list[int] = field(default_factory=list)
    sequence: list[int] = field(default_factory=list)
    writer: list[str] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self.data)

    @property
    def log_s(self) -> Array:
        """Receive times [s], shape [m]."""
        return np.array(self.log_ns, dtype=np.int64).astype(np.float64) * NANO

    @property
    def publish_s(self) -> Array:
        """Send times [s], shape [m]."""
        return np.array(self.publish_ns, dtype=np.int64).astype(np.float64) * NANO

    @property
    def sent_s(self) -> Array:
        """Send times [s], never later than the receive times, shape [m]."""
        return np.minimum(self.publish_s, self.log_s)

    @cached_property
    def messages(self) -> list[Any]:
        """Decoded messages: attributes as in the message definition, JSON as dict."""
        if not self.data:
            return []
        if self.schema is not None and self.schema.encoding == 'jsonschema':
            return [json.loads(item) for item in self.data]
        decode = DecoderFactory().decoder_for('cdr', self.schema)
        if decode is None:
            raise ConfigurationError(
                f'the messages of {self.topic} cannot be decoded', where='run.mcap',
                value=self.schema.encoding if self.schema else None, allowed='ros2msg, cdr')
        return [decode(item) for item in self.data]

    @cached_property
    def reports(self) -> list[dict[str, Any]]:
        """JSON objects of a std_msgs/String topic; texts that are no object become {}."""
        return [_as_object(getattr(message, 'data', message)) for message in self.messages]


@dataclass(frozen=True)
class Recording:
    """A run's messages.

    Attributes:
        path: The file.
        streams: By recorded topic name.
        metadata: What the recorder noted of the run.
        complete: False if the file ends in the middle.
    """

    path: Path
    streams: dict[str, Stream]
    metadata: dict[str, Any]
    complete: bool = True

    def stream(self, topic: str) -> Stream:
        """Return a topic's messages, empty if there are none; a namespace before it is ignored.

        The exact name wins; else the shortest recorded name that ends with `/topic`.
        """
        name = topic.strip('/')
        found = sorted(
            (key for key in self.streams if key.strip('/') == name or key.endswith('/' + name)),
            key=lambda key: (key.strip('/') != name, len(key)))
        return self.streams[found[0]] if found else Stream(topic)

    def writers(self, topic: str) -> dict[str, str]:
        """Return gid -> node of all that ever offered a topic while it was recorded."""
        seen: dict[str, str] = {}
        for entry in self.stream(WRITERS_TOPIC).messages:
            if str(entry.get('topic', '')).strip('/').endswith(topic.strip('/')):
                seen.update({w.get('gid', ''): w.get('node', '') for w in entry['writers']})
        return seen


def read_recording(path: str | Path) -> Recording:
    """Return all that a run's MCAP file holds.

    Raises:
        ConfigurationError: There is no such file, or it is no MCAP file.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigurationError(
            'the recording of the run is missing', where=str(path), allowed='an MCAP file',
            remedy='run the demo with --record')
    collector = _Collector()
    with path.open('rb') as stream:
        try:
            for record in StreamReader(stream).records:
                collector.take(record)
            complete = True
        except InvalidMagic as error:
            if not collector.streams:
                raise ConfigurationError(
                    'not an MCAP file', where=str(path), value=str(error),
                    allowed='a file that begins with the MCAP magic') from error
            complete = False
        except (EndOfFile, McapError, struct.error, zlib.error, ZstdError, ValueError):
            complete = False
    return Recording(path, collector.sorted(), collector.metadata, complete)


class _Collector:
    """Sorts records into streams."""

    def __init__(self) -> None:
        self.streams: dict[str, Stream] = {}
        self.metadata: dict[str, Any] = {}
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}

    def take(self, record: McapRecord) -> None:
        """Keep what a record says."""
        if isinstance(record, Message):
            channel = self._channels[record.channel_id]
            stream = self.streams[channel.topic]
            stream.log_ns.append(record.log_time)
            stream.publish_ns.append(record.publish_time)
            stream.sequence.append(record.sequence)
            stream.writer.append(channel.metadata.get('writer', ''))
            stream.data.append(record.data)
        elif isinstance(record, Schema):
            self._schemas[record.id] = record
        elif isinstance(record, Channel):
            self._channels[record.id] = record
            stream = self.streams.setdefault(record.topic, Stream(record.topic))
            stream.schema = self._schemas.get(record.schema_id)
        elif isinstance(record, Metadata) and record.name == RUN_METADATA:
            self.metadata.update({k: json.loads(v) for k, v in record.metadata.items()})

    def sorted(self) -> dict[str, Stream]:
        """Return the streams with each in the order of its receive times."""
        for stream in self.streams.values():
            order = np.argsort(np.array(stream.log_ns, dtype=np.int64), kind='stable')
            for name in ('log_ns', 'publish_ns', 'sequence', 'writer', 'data'):
                values = getattr(stream, name)
                setattr(stream, name, [values[k] for k in order])
        return self.streams


def _as_object(text: Any) -> dict[str, Any]:
    """Return the JSON object in a text, {} for anything else."""
    if isinstance(text, dict):
        return text
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
