# SPDX-License-Identifier: Apache-2.0
"""The process ``stt``."""

from __future__ import annotations

from collections.abc import Sequence
import sys


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; returns the exit code of the process."""
    from va_common.node_main import run_node
    from va_stt.node import SttNode

    return run_node(SttNode)


if __name__ == '__main__':
    sys.exit(main())
