# SPDX-License-Identifier: Apache-2.0
"""Where things are in a clone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import sys


@dataclass(frozen=True)
class Places:
    """The folders of a clone; all that set-up makes is below .va."""

    root: Path

    @property
    def private(self) -> Path:
        """Everything private to the clone."""
        return self.root / '.va'

    @property
    def venv(self) -> Path:
        """The Python environment."""
        return self.private / 'venv'

    @property
    def python(self) -> Path:
        """The environment's Python."""
        return self.venv / 'bin/python'

    @property
    def site_packages(self) -> str:
        """The environment's package folder, relative to any prefix."""
        return f'lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages'

    @property
    def install(self) -> Path:
        """What the build installs into."""
        return self.private / 'install'

    @property
    def build(self) -> Path:
        """What the build works in."""
        return self.private / 'build'

    @property
    def env_file(self) -> Path:
        """The file that a shell sources to be in the environment."""
        return self.private / 'env.sh'
