# SPDX-License-Identifier: Apache-2.0
"""Where a node keeps on disk what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(setting: str, node: str) -> Path:
    """The folder: the node's setting ``cache_dir``, else ``$XDG_CACHE_HOME/va/NODE``."""
    if setting:
        return Path(setting).expanduser()
    home = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(home).expanduser() / 'va' / node
