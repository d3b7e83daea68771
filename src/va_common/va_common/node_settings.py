# SPDX-License-Identifier: Apache-2.0
"""Settings as typed, described, range-checked ROS parameters."""

from __future__ import annotations

from collections.abc import Iterator
import threading

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from va_common.config_loader import check_value
from va_common.settings import of_section, Setting, SettingValue

_TYPES = {
    'bool': Parameter.Type.BOOL,
    'int': Parameter.Type.INTEGER,
    'float': Parameter.Type.DOUBLE,
    'str': Parameter.Type.STRING,
    'int_list': Parameter.Type.INTEGER_ARRAY,
    'str_list': Parameter.Type.STRING_ARRAY,
}


def declare_settings(node: Node, section: str, shared: tuple[str, ...]) -> dict[str, Setting]:
    """Declare the parameters of a node, once for its whole life.

    Returns:
        The settings by parameter name: ``voice`` of its own section, ``audio.output_device``.

    Raises:
        rclpy.exceptions.InvalidParameterValueException: an override is out of range.
    """
    names = {setting.key: setting for setting in of_section(section)}
    for other in shared:
        names.update({setting.name: setting for setting in of_section(other)})
    for name, setting in names.items():
        node.declare_parameter(name, _parameter_value(setting.default), _descriptor(setting))
        if setting.default == () and node.get_parameter_or(name).value is None:
            # Declared by type alone it would be uninitialised, and reading it an error.
            node.set_parameters([Parameter(name, _TYPES[setting.kind], [])])
    return names


class NodeSettings:
    """The values in force of a node's settings. Thread-safe."""

    def __init__(self, node: Node, settings: dict[str, Setting]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._values = {name: _setting_value(node.get_parameter(name)) for name in settings}
        for name, setting in settings.items():
            check_value(setting, self._values[name])

    def __getitem__(self, name: str) -> SettingValue:
        """The value of a parameter. Raises KeyError when the node has no such setting."""
        with self._lock:
            return self._values[name]

    def problem_with(self, parameters: list[Parameter]) -> str | None:
        """Why these parameters may not be set; None when they may."""
        for parameter in parameters:
            setting = self._settings.get(parameter.name)
            if setting is None:
                continue
            if parameter.type_ != _TYPES[setting.kind]:
                return f'{parameter.name}: expected {setting.expected}'
            try:
                check_value(setting, _setting_value(parameter))
            except ValueError as error:
                return f'{parameter.name}: {error}'
        return None

    def take(self, parameters: list[Parameter]) -> Iterator[tuple[str, SettingValue]]:
        """Store what was set and yield the live ones, as (name, value)."""
        for parameter in parameters:
            setting = self._settings.get(parameter.name)
            if setting is None:
                continue
            value = _setting_value(parameter)
            with self._lock:
                self._values[parameter.name] = value
            if setting.live:
                yield parameter.name, value


def _descriptor(setting: Setting) -> ParameterDescriptor:
    when = 'live' if setting.live else 'at the next configure'
    descriptor = ParameterDescriptor(
        name=setting.key,
        type=_TYPES[setting.kind].value,
        description=f'{setting.description} ({when})',
        additional_constraints=setting.expected,
    )
    if setting.minimum is None or setting.maximum is None:
        return descriptor
    if setting.kind == 'int':
        descriptor.integer_range = [IntegerRange(
            from_value=int(setting.minimum), to_value=int(setting.maximum), step=0)]
    elif setting.kind == 'float':
        descriptor.floating_point_range = [FloatingPointRange(
            from_value=setting.minimum, to_value=setting.maximum, step=0.0)]
    return descriptor


def _parameter_value(value: SettingValue) -> object:
    if isinstance(value, tuple):
        # An empty Python list has no element type; rclpy takes it as a byte array.
        return list(value) if value else Parameter.Type.STRING_ARRAY
    return value


def _setting_value(parameter: Parameter) -> SettingValue:
    value = parameter.value
    if value is None:
        return ()
    if parameter.type_ in (Parameter.Type.INTEGER_ARRAY, Parameter.Type.STRING_ARRAY):
        return tuple(value)
    return value
