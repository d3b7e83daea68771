# SPDX-License-Identifier: Apache-2.0
"""Which engines this machine can run: ``cuda`` or ``cpu``, and why."""

from __future__ import annotations

from dataclasses import dataclass
import importlib.util

from va_common.errors import AssistantError, ErrorCode
from va_common.gpu_monitor import GpuMonitor


@dataclass(frozen=True)
class Profile:
    """The profile in force."""

    name: str
    """``cpu`` or ``cuda``."""
    reason: str
    """Why, for a person."""

    @property
    def uses_gpu(self) -> bool:
        """Whether the VRAM guardrail applies."""
        return self.name == 'cuda'


def resolve(setting: str) -> Profile:
    """Turn the setting ``[system] profile`` into a profile.

    Raises:
        AssistantError: INVALID_ARGUMENT for anything but ``auto``, ``cpu`` or ``cuda``.
    """
    if setting in ('cpu', 'cuda'):
        return Profile(setting, 'set in the configuration')
    if setting == 'auto':
        return _detect()
    message = f'profile {setting!r}: expected auto, cpu or cuda'
    raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)


def _detect() -> Profile:
    if importlib.util.find_spec('pynvml') is None:
        return Profile('cpu', 'nvidia-ml-py is not installed')
    try:
        gpu = GpuMonitor()
    except AssistantError as error:
        return Profile('cpu', error.message)
    name = gpu.name
    gpu.close()
    if importlib.util.find_spec('torch') is None:
        return Profile('cpu', f'{name} is there, but torch is not installed (./va setup --cuda)')
    return Profile('cuda', f'{name} and torch are there')
