# SPDX-License-Identifier: Apache-2.0
"""Declare a node's parameters from the table, and read them back validated."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.node import Node

from diffusion_control import parameters
from diffusion_control.errors import ConfigurationError


def descriptor(parameter: parameters.Parameter) -> ParameterDescriptor:
    """Return the ROS descriptor of one row of the table."""
    fields: dict[str, Any] = parameters.descriptor_fields(parameter)
    ranges = fields.pop('floating_point_range')
    whole_ranges = fields.pop('integer_range')
    return ParameterDescriptor(
        **fields,
        floating_point_range=[
            FloatingPointRange(from_value=low, to_value=high) for low, high in ranges],
        integer_range=[
            IntegerRange(from_value=low, to_value=high, step=1) for low, high in whole_ranges])


def declare_parameters(node: Node, name: str) -> None:
    """Declare every parameter of node `name` with description, range, unit and read-only flag.

    Raises:
        ConfigurationError: A parameter file holds a value of the wrong type or out of range.
    """
    for parameter in parameters.of_node(name):
        default = parameter.default
        initial = list(default) if isinstance(default, tuple) else default
        try:
            node.declare_parameter(parameter.name, initial, descriptor(parameter))
        except ParameterException as error:
            raise ConfigurationError(
                f'parameter {parameter.name} is refused: {error}',
                where=f'{name}.{parameter.name}', allowed=parameter.allowed(),
                remedy='correct the parameter file or the command line') from error


def read_parameters(node: Node, name: str) -> dict[str, Any]:
    """Return all parameters of node `name`, validated against the table."""
    values: dict[str, Any] = {}
    for parameter in parameters.of_node(name):
        value = node.get_parameter(parameter.name).value
        values[parameter.name] = list(value) if parameter.type.endswith('_array') else value
    return parameters.validate(name, values)
