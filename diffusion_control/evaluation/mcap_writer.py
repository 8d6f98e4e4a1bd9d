# SPDX-License-Identifier: Apache-2.0
"""Write a run's messages, as they came over the wire, into an MCAP file that Foxglove opens.

Messages stay the bytes that rclpy's raw subscriptions deliver (CDR with its encapsulation
header); schemas are the installed definitions; chunks are compressed with zstd. Two times stand
with every message, both nanoseconds of the system clock: `log_time` is when the recorder's
middleware received it, `publish_time` when its writer sent it.

Who wrote a message stays visible in three ways: `sequence` is the writer's own publication
number, a known writer has its own channel (with `writer` in the channel's metadata), and the
JSON channel `recorder/writers` lists who offers a topic at a time.
Source: https://mcap.dev/spec
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from mcap.writer import CompressionType, Writer

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.message_definitions import full_definition, split_type

WRITERS_TOPIC = 'recorder/writers'
RUN_METADATA = 'run'
CHUNK_BYTES = 1 << 20
_WRITERS_SCHEMA = {
    'type': 'object',
    'properties': {
        'topic': {'type': 'string'},
        'writers': {'type': 'array', 'items': {
            'type': 'object',
            'properties': {'gid': {'type': 'string'}, 'node': {'type': 'string'}}}},
    },
}


class McapWriter:
    """Write raw messages of many topics into one file.

    A `close` that arrives while a message is being written (a signal handler) takes effect at
    the end of that message; what comes after `close` is dropped and counted.

    Args:
        path: The file to write; its folder must exist.
        metadata: What a reader must know of the run (see `set_run_metadata`).

    Attributes:
        counts: Messages written, by topic.
        dropped: Messages that came after `close`.
    """

    def __init__(self, path: str | Path, metadata: Mapping[str, Any] | None = None) -> None:
        """Open the file and write its header."""
        self._stream = open(path, 'wb')  # noqa: SIM115 (closed by close)
        self._writer = Writer(self._stream, chunk_size=CHUNK_BYTES,
                              compression=CompressionType.ZSTD)
        self._writer.start(profile='ros2', library='diffusion_control')
        self._schemas: dict[str, int] = {}
        self._types: dict[str, str] = {}
        self._channels: dict[tuple[str, str], int] = {}
        self._busy = self._closing = self._closed = False
        self.counts: dict[str, int] = {}
        self.dropped = 0
        if metadata:
            self.set_run_metadata(metadata)

    def set_run_metadata(self, values: Mapping[str, Any]) -> None:
        """Store what `check_run` needs besides the messages, one JSON value a key.

        Keys that are read: `robot_config`, `command_topic`, `command_type`,
        `receiver_timeout_s`, `inject`, `commit`. A later call adds to and overrides an earlier.
        """
        self._guarded(self._writer.add_metadata, RUN_METADATA,
                      {key: json.dumps(value) for key, value in values.items()})

    def add_topic(self, name: str, type_name: str) -> None:
        """Announce a topic and its message type (`sensor_msgs/msg/JointState`).

        Raises:
            ConfigurationError: The topic was announced with another type.
            MissingDependencyError: The type's definition is not installed.
        """
        package, kind = split_type(type_name)
        full_name = f'{package}/msg/{kind}'
        if self._types.setdefault(name, full_name) != full_name:
            raise ConfigurationError(
                f'topic {name} already has another type', where='McapWriter.add_topic',
                value=full_name, allowed=self._types[name])
        if full_name not in self._schemas:
            definition = full_definition(full_name).encode()
            self._schemas[full_name] = self._writer.register_schema(
                full_name, 'ros2msg', definition)
        self._channel(name, '')

    def write(
        self, topic: str, data: bytes, log_time_ns: int, publish_time_ns: int = 0,
        writer_id: str = '', sequence: int = 0,
    ) -> None:
        """Write one message.

        Args:
            topic: A topic that was announced.
            data: Serialized message, CDR with encapsulation header.
            log_time_ns: Receive time, system clock [ns] (`received_timestamp` of rclpy's info).
            publish_time_ns: Send time [ns] (`source_timestamp`); 0 = unknown, the receive time.
            writer_id: Identity of the writer where it is known (its GID).
            sequence: The writer's publication number (`publication_sequence_number`), 0 = unknown.

        Raises:
            ConfigurationError: The topic was not announced.
        """
        if topic not in self._types:
            raise ConfigurationError(
                'topic was not announced', where='McapWriter.write', value=topic,
                allowed=', '.join(self._types), remedy='call add_topic first')
        channel = self._channel(topic, writer_id)
        if self._guarded(self._writer.add_message, channel, log_time_ns, data,
                         publish_time_ns or log_time_ns, sequence & 0xFFFFFFFF):
            self.counts[topic] = self.counts.get(topic, 0) + 1

    def write_writers(
        self, topic: str, writers: Sequence[Mapping[str, str]], log_time_ns: int
    ) -> None:
        """Write who offers a topic now: a list of {gid, node}; call it whenever it changes."""
        key = (WRITERS_TOPIC, '')
        if key not in self._channels:
            schema = self._writer.register_schema(
                'recorder.Writers', 'jsonschema', json.dumps(_WRITERS_SCHEMA).encode())
            self._channels[key] = self._writer.register_channel(WRITERS_TOPIC, 'json', schema)
        text = json.dumps({'topic': topic, 'writers': [dict(w) for w in writers]})
        self._guarded(self._writer.add_message, self._channels[key], log_time_ns, text.encode(),
                      log_time_ns, 0)

    def flush(self) -> None:
        """Bring everything to the file; once a second bounds what a SIGKILL can lose."""
        self._guarded(self._writer.flush)

    def close(self) -> None:
        """Finish the file; a second call does nothing."""
        self._closing = True
        if not self._busy and not self._closed:
            self._closed = True
            self._writer.finish()  # type: ignore[no-untyped-call]
            self._stream.close()

    def __enter__(self) -> McapWriter:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def _channel(self, topic: str, writer_id: str) -> int:
        key = (topic, writer_id)
        if key not in self._channels:
            metadata = {'offered_qos_profiles': ''}
            if writer_id:
                metadata['writer'] = writer_id
            self._channels[key] = self._writer.register_channel(
                topic, 'cdr', self._schemas[self._types[topic]], metadata)
        return self._channels[key]

    def _guarded(self, call: Any, *values: Any) -> bool:
        """Run one writing call to its end even if `close` is called meanwhile."""
        if self._closing:
            self.dropped += 1
            return False
        self._busy = True
        try:
            call(*values)
        finally:
            self._busy = False
            if self._closing:
                self.close()
        return True
