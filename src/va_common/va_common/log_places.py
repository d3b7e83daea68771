# SPDX-License-Identifier: Apache-2.0
"""Where the logs of one assistant are: for the logger, and for whoever reads them."""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path


def label_of(namespace: str) -> str:
    """A ROS namespace as a part of a file name; the root namespace is ``default``."""
    return namespace.strip('/').replace('/', '_') or 'default'


def log_folder(setting: str, namespace: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The log folder.

    Args:
        setting: ``[logger] log_dir``; empty: ``$XDG_STATE_HOME`` (or ~/.local/state) and below it
            ``va/<namespace>/log``.
        namespace: ROS namespace, as ``/robot1``.
        environ: the environment.
    """
    if setting:
        return Path(setting).expanduser().absolute()
    state = environ.get('XDG_STATE_HOME') or str(Path.home() / '.local' / 'state')
    return Path(state) / 'va' / label_of(namespace) / 'log'
