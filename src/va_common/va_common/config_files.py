# SPDX-License-Identifier: Apache-2.0
"""Where the files of ``config/`` are: in the repository or in the installed workspace."""

from __future__ import annotations

import os
from pathlib import Path

from va_common.errors import AssistantError, ErrorCode


def config_file(name: str) -> Path:
    """Find a file of ``config/``: in ``$VA_CONFIG_DIR``, else in the share of va_common.

    Raises:
        AssistantError: UNAVAILABLE when it is in neither.
    """
    folders = list(_folders())
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    places = ', '.join(str(folder) for folder in folders)
    raise AssistantError(ErrorCode.UNAVAILABLE, f'{name}: not found in {places}')


def _folders() -> list[Path]:
    folders = []
    if os.environ.get('VA_CONFIG_DIR'):
        folders.append(Path(os.environ['VA_CONFIG_DIR']))
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        folders.append(Path(prefix) / 'share' / 'va_common' / 'config')
    # Run from the source tree: <repository>/src/va_common/va_common/config_files.py
    folders.append(Path(__file__).resolve().parents[3] / 'config')
    return folders
