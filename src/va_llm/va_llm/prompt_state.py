# SPDX-License-Identifier: Apache-2.0
"""What a model has worked out of its prompt, kept on disk: the next start need not do it again.

Plain files: what writes and reads their contents is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
import hashlib
import os
from pathlib import Path
import time

from va_common.model_catalogue import sha256_of

UNUSED_S = 7 * 24 * 3600.0
"""States of other prompts, and what a kill has left half written, are deleted after so long."""
_PREFIX = 'prompt-'


class PromptState:
    """The state of one prompt, in a folder that other prompts and processes may share.

    The file is named after what it depends on and after its own sum, so that one ``rename``
    publishes it and a damaged one is known.

    Args:
        folder: need not exist; where nothing can be written, nothing is kept.
        depends_on: what the state depends on: model, library, prompt.
    """

    def __init__(self, folder: Path, depends_on: Sequence[str]) -> None:
        key = hashlib.sha256('\n'.join(depends_on).encode()).hexdigest()[:16]
        self._folder = folder
        self._stem = f'{_PREFIX}{key}-'

    def find(self) -> str | None:
        """Name of the file in the folder; None when there is none. Damaged ones are deleted."""
        for path in sorted(self._folder.glob(f'{self._stem}*')):
            with suppress(OSError):
                if path.name == self._stem + sha256_of(path):
                    with suppress(OSError):  # of a disk that may only be read
                        os.utime(path)
                    return path.name
                path.unlink()
        return None

    def drop(self) -> None:
        """Delete the state."""
        for path in self._folder.glob(f'{self._stem}*'):
            with suppress(OSError):
                path.unlink()

    def keep(self, write: Callable[[str], None]) -> bool:
        """Let ``write`` write the state into a file of that name in the folder.

        Returns:
            Whether it is kept; not on a disk that does not take it, nor when ``write`` raises
            OSError.
        """
        part = self._folder / f'{_PREFIX}part-{os.getpid()}'
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._delete_unused()
            write(part.name)
            part.rename(self._folder / (self._stem + sha256_of(part)))
        except OSError:
            with suppress(OSError):
                part.unlink()
            return False
        return True

    def _delete_unused(self) -> None:
        for path in self._folder.glob(f'{_PREFIX}*'):
            with suppress(FileNotFoundError):  # another process deletes it too
                if time.time() - path.stat().st_mtime > UNUSED_S:
                    path.unlink()
