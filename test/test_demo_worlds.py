# SPDX-License-Identifier: Apache-2.0
"""What a demo drives in, checked before anything is started."""

from __future__ import annotations

import pytest

from diffusion_control.demo.options import DemoOptions
from diffusion_control.demo.worlds import robot_of
from diffusion_control.errors import ConfigurationError


@pytest.mark.parametrize(('kind', 'name'), [('arm', 'panda'), ('base', 'base')])
def test_each_kind_has_a_robot_of_its_own(kind: str, name: str) -> None:
    assert robot_of(DemoOptions(robot=kind)).name == name


@pytest.mark.parametrize(('kind', 'name'), [('arm', 'base'), ('base', 'ur5')])
def test_a_robot_of_the_other_kind_is_refused(kind: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match='is of kind'):
        robot_of(DemoOptions(robot=kind, robot_config=name))
