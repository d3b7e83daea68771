# SPDX-License-Identifier: Apache-2.0
"""How bringing up the assistant fails.

    Exception
    ├── NodeFailure(name, step, reason)   one node, one attempt
    └── FatalError(reason)                 every retry is used up: the assistant goes down
"""

from __future__ import annotations


class NodeFailure(Exception):
    """One attempt to bring up one node failed."""

    def __init__(self, name: str, step: str, reason: str,
                 waits_for_device: bool = False) -> None:
        super().__init__(f'{name}: {step}: {reason}')
        self.name = name
        self.step = step
        """process, configure, activate or serving."""
        self.reason = reason
        self.waits_for_device = waits_for_device
        """Nothing is wrong but that its microphone or speaker is away."""


class FatalError(Exception):
    """The assistant cannot go on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
