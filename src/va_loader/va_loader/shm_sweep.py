# SPDX-License-Identifier: Apache-2.0
"""Removes shared-memory segments of Fast DDS that nobody uses any more.

Fast DDS leaves them behind when a process is killed, and the segments of its ports always.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
import time

SHM = Path('/dev/shm')
_PREFIXES = ('fastdds_', 'sem.fastdds_', 'fastrtps_', 'sem.fastrtps_')


def sweep(min_age_s: float, shm: Path = SHM, proc: Path = Path('/proc')) -> list[str]:
    """Remove what is ours by user, older than ``min_age_s``, locked and mapped by nobody.

    Returns:
        The names removed.
    """
    found = [path for path in shm.iterdir() if path.name.startswith(_PREFIXES)]
    if not found:
        return []
    used = _mapped(shm, proc) | {_stem(path.name) for path in found if _is_locked(path)}
    old = [path for path in found if _stem(path.name) not in used and _is_old(path, min_age_s)]
    return [path.name for path in old if _remove(path)]


def _stem(name: str) -> str:
    """A segment and its lock and semaphore have one name: ``fastdds_port7411``."""
    return name.removeprefix('sem.').removesuffix('_el').removesuffix('_sl').removesuffix('_mutex')


def _mapped(shm: Path, proc: Path) -> set[str]:
    """The stems that some process of this user maps."""
    stems = set()
    for maps in proc.glob('[0-9]*/maps'):
        try:
            lines = maps.read_text(errors='replace').splitlines()
        except OSError:
            continue  # it ended, or belongs to somebody else
        paths = (line.split(maxsplit=5)[-1] for line in lines if str(shm) in line)
        stems |= {_stem(Path(path.removesuffix(' (deleted)')).name) for path in paths}
    return stems


def _is_locked(path: Path) -> bool:
    """Whether another process holds the lock file: also one that /proc does not show."""
    if not path.name.endswith(('_el', '_sl')):
        return False
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return True  # not ours to judge
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_old(path: Path, min_age_s: float) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_uid == os.getuid() and time.time() - status.st_ctime >= min_age_s


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True
