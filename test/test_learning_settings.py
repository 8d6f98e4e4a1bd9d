# SPDX-License-Identifier: Apache-2.0
"""The settings of a training: read, checked, refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from diffusion_control.errors import ConfigurationError
from diffusion_control.learning.settings import check_settings, read_settings

ROOT = Path(__file__).resolve().parents[1]


def test_settings_have_defaults_and_are_read(tmp_path: Path) -> None:
    path = tmp_path / 'a.yaml'
    path.write_text('width: 64\nlearning_rate: 1\nbfloat16: false\n')
    found = read_settings(path)
    assert (found.width, found.learning_rate, found.bfloat16) == (64, 1.0, False)
    assert isinstance(found.learning_rate, float) and found.denoiser == 'mlp'
    assert read_settings(ROOT / 'config/training/arm_panda.yaml').robot_config == 'panda'


@pytest.mark.parametrize('values', [
    {'width': 4}, {'width': 5000}, {'width': 8.5}, {'width': True}, {'width': '8'},
    {'width': None}, {'width': 10**400}, {'steps': float('inf')}, {'learning_rate': float('nan')},
    {'learning_rate': 0}, {'bfloat16': 1}, {'denoiser': 3}, {'wdith': 8}, {'ema_decay': 1.0}])
def test_bad_settings_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_settings(values, 'a.yaml')
    assert next(iter(values)) in str(caught.value) and caught.value.allowed


@pytest.mark.parametrize('content', [
    b'- a\n', b'a: [', b'\xff\xfe\x00', b'', b'!!python/object/apply:os.getcwd []'])
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'a.yaml').write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_settings(tmp_path / 'a.yaml')
    assert 'a.yaml' in caught.value.where
    with pytest.raises(ConfigurationError):
        read_settings(tmp_path / 'missing.yaml')
