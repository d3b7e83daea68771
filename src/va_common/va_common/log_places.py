# SPDX-License-Identifier: Apache-2.0
"""Where one assistant keeps its logs and clips: for who writes them, and who reads them."""

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
    return _folder(setting, namespace, 'log', environ)


def clip_folder(setting: str, namespace: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the sound around wakes.

    Args:
        setting: ``[kwd] wake_clips_dir``; empty: ``wakes`` where ``log`` is by default.
        namespace: ROS namespace, as ``/robot1``.
        environ: the environment.
    """
    return _folder(setting, namespace, 'wakes', environ)


def _folder(setting: str, namespace: str, name: str, environ: Mapping[str, str]) -> Path:
    if setting:
        return Path(setting).expanduser().absolute()
    state = environ.get('XDG_STATE_HOME') or str(Path.home() / '.local' / 'state')
    return Path(state) / 'va' / label_of(namespace) / name
