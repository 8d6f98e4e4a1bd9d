# SPDX-License-Identifier: Apache-2.0
"""Declare a node's parameters from the table, and read them back validated."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.node import Node

from diffusion_control import parameters
from diffusion_control.errors import ConfigurationError


def declare_parameters(node: Node, name: str) -> None:
    """Declare every parameter of node `name` with description, range, unit and read-only flag.

    Raises:
        ConfigurationError: A parameter file holds a value of the wrong type or out of range.
    """
    for parameter in parameters.table(name):
        descriptor = ParameterDescriptor(
            description=parameter.description, read_only=parameter.read_only,
            additional_constraints=parameter.constraints)
        if parameter.minimum is not None and parameter.type == 'float':
            descriptor.floating_point_range = [FloatingPointRange(
                from_value=float(parameter.minimum), to_value=float(parameter.maximum))]
        elif parameter.minimum is not None and parameter.type == 'int':
            descriptor.integer_range = [IntegerRange(
                from_value=int(parameter.minimum), to_value=int(parameter.maximum), step=1)]
        try:
            node.declare_parameter(parameter.name, parameter.default, descriptor)
        except ParameterException as error:
            raise ConfigurationError(
                f'parameter {parameter.name} is refused: {error}', where=f'{name}.{parameter.name}',
                allowed=f'{parameter.type} {parameter.constraints}',
                remedy='correct the parameter file or the command line') from error


def read_parameters(node: Node, name: str) -> dict[str, Any]:
    """Return all parameters of node `name`, validated against the table."""
    values = {p.name: node.get_parameter(p.name).value for p in parameters.table(name)}
    return parameters.validate(name, values)
