# SPDX-License-Identifier: Apache-2.0
"""Folders and files of one assistant: what it is by namespace and ROS domain."""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path
import re
import tempfile

from va_common.errors import AssistantError, ErrorCode
from va_common.log_places import label_of

_NAMESPACE = re.compile(r'(/[A-Za-z_][A-Za-z0-9_]*)*')


def namespace_of(text: str) -> str:
    """A namespace as ROS wants it: ``/robot1``; empty: the root.

    Raises:
        AssistantError: INVALID_ARGUMENT.
    """
    namespace = '/' + text.strip('/') if text.strip('/') else ''
    if _NAMESPACE.fullmatch(namespace) is None:
        raise AssistantError(
            ErrorCode.INVALID_ARGUMENT,
            f'namespace {text!r}: expected letters, digits and _ (robot1), parts joined by /')
    return namespace


def run_folder(namespace: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the lock and the parameter files of a running assistant are; made with mode 0700.

    Not below ``XDG_RUNTIME_DIR``: that differs between the logins of one user.

    Raises:
        AssistantError: DISK, it cannot be made; UNAVAILABLE, it belongs to somebody else.
    """
    base = Path(tempfile.gettempdir()) / f'voice-assistant-{os.getuid()}'
    folder = base / f'd{environ.get("ROS_DOMAIN_ID") or 0}-{label_of(namespace)}'
    try:
        for path in (base, folder):
            path.mkdir(mode=0o700, exist_ok=True)
        owner = base.lstat().st_uid
    except OSError as error:
        raise AssistantError(ErrorCode.DISK, f'folder {folder}: {error}') from error
    if owner != os.getuid() or base.is_symlink():
        raise AssistantError(
            ErrorCode.UNAVAILABLE, f'folder {base} belongs to user {owner}, expected ours')
    return folder
