# SPDX-License-Identifier: Apache-2.0
"""The process ``tts``."""

from __future__ import annotations

import sys

from va_common.lifecycle import run_node
from va_tts.node import TtsNode


def main(argv: list[str] | None = None) -> int:
    """Run the node until a signal; return the exit code."""
    return run_node(TtsNode)


if __name__ == '__main__':
    sys.exit(main())
