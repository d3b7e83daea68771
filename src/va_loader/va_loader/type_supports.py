# SPDX-License-Identifier: Apache-2.0
"""Loads the code by which rclpy knows the message types; else each node does it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

PACKAGES = ('va_interfaces', 'rcl_interfaces', 'lifecycle_msgs', 'diagnostic_msgs', 'action_msgs',
            'type_description_interfaces')
"""Of the topics, services and actions of the assistant, and of those that rclpy adds."""
_KINDS = ('msg', 'srv', 'action')


def load() -> None:
    """Load the type support of every type of :data:`PACKAGES`. Raises ImportError."""
    for package in PACKAGES:
        for kind in _KINDS:
            if find_spec(f'{package}.{kind}') is None:
                continue
            for each in vars(import_module(f'{package}.{kind}')).values():
                if hasattr(type(each), '__import_type_support__'):
                    each.__import_type_support__()
