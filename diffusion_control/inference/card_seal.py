# SPDX-License-Identifier: Apache-2.0
"""The sha256 of a model card in itself: a card that was edited by hand is not run.

Its numbers, above all the normaliser's, decide what comes out of a network as much as its weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from diffusion_control.errors import ConfigurationError

SEAL = 'card_sha256'


def digest(card: Mapping[str, Any]) -> str:
    """Return the sha256 of a card without its seal: of its JSON, keys sorted, without blanks."""
    table = {key: value for key, value in card.items() if key != SEAL}
    text = json.dumps(table, sort_keys=True, separators=(',', ':'), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card with its seal."""
    return {**card, SEAL: digest(card)}


def check_seal(card: Mapping[str, Any], where: str) -> None:
    """Refuse a card that was changed after it was sealed; one without a seal passes.

    Raises:
        ConfigurationError: With the expected and the actual sha256.
    """
    if SEAL in card and card[SEAL] != digest(card):
        raise ConfigurationError(
            'the model card is not as it was written', where=where,
            value=f'{digest(card)} (sha256 of the card without {SEAL})',
            allowed=f'expected sha256 {card[SEAL]}',
            remedy='restore the folder from where it came, or export the model again')
