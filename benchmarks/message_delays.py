# SPDX-License-Identifier: Apache-2.0
"""How long messages of a recorded run were under way, and how regularly they were sent.

    diffusion_control demo --out /tmp/run
    python benchmarks/message_delays.py /tmp/run/latest

Sent is when the publisher called, received when the recorder's middleware had it. What is sent
regularly and received irregularly waited in a socket, not in a control loop.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from diffusion_control.evaluation.mcap_reader import read_recording

FEWEST = 100


def main() -> None:
    """Print one JSON object for each topic with many messages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('run', type=Path)
    recording = read_recording(parser.parse_args().run / 'run.mcap')
    for topic, stream in recording.streams.items():
        if len(stream) < FEWEST:
            continue
        late_ms = 1e3 * (stream.log_s - stream.publish_s)
        sent_ms, received_ms = (1e3 * np.diff(at) for at in (stream.publish_s, stream.log_s))
        print(json.dumps({
            'topic': topic, 'n': len(stream),
            'sent_period_p99_ms': round(float(np.percentile(sent_ms, 99)), 2),
            'received_period_p99_ms': round(float(np.percentile(received_ms, 99)), 2),
            **{f'delay_p{p}_ms': round(float(np.percentile(late_ms, p)), 2)
               for p in (50, 99, 100)}}))


if __name__ == '__main__':
    main()
