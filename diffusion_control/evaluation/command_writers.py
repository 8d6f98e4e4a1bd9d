# SPDX-License-Identifier: Apache-2.0
"""Which of the recorded commands came from a writer other than the safety monitor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.mcap_reader import Stream

Flags = NDArray[np.bool_]
OWNER_NODE = 'safety'
LOSS = 200


def foreign_commands(stream: Stream, offered_by: dict[str, str]) -> Flags:
    """Say for each command whether another writer than the owner sent it, shape [m].

    Where commands carry the writer's identity, the owner is the writer whose node is named
    `safety`, or the one with most commands. Where they do not, their publication numbers are
    sorted into chains, each increasing by at most 200 a message: every writer counts its own
    messages, so a second writer makes a second chain. The longest chain is the owner's. If the
    recorder saw who offered the topic, and none of them was `safety`, every command is foreign.

    Args:
        stream: The recorded commands.
        offered_by: Writers seen on the topic, gid -> node name.
    """
    count = len(stream)
    nodes = {gid: node.rsplit('/', 1)[-1] for gid, node in offered_by.items()}
    if not count:
        return np.zeros(0, dtype=bool)
    if nodes and OWNER_NODE not in nodes.values():
        return np.ones(count, dtype=bool)
    labels = np.array([f'writer {name}' if name else '' for name in stream.writer], dtype=object)
    unknown = labels == ''
    labels[unknown] = _chains([s for s, u in zip(stream.sequence, unknown, strict=True) if u])
    named = [f'writer {gid}' for gid, node in nodes.items() if node == OWNER_NODE]
    present = [name for name in named if name in set(labels)]
    if present:
        return np.array([label not in present for label in labels])
    names, counts = np.unique(labels.astype(str), return_counts=True)
    return np.array(labels != names[int(counts.argmax())], dtype=bool)


def _chains(sequence: list[int]) -> list[str]:
    """Return the name of the chain that each publication number continues."""
    last: list[int] = []
    names = []
    for number in sequence:
        if number == 0:
            names.append('unnumbered')
            continue
        gaps = [number - end if 0 < number - end <= LOSS else LOSS + 1 for end in last]
        best = int(np.argmin(gaps)) if gaps else -1
        if best >= 0 and gaps[best] <= LOSS:
            last[best] = number
        else:
            last.append(number)
            best = len(last) - 1
        names.append(f'chain {best}')
    return names
