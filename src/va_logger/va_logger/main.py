# SPDX-License-Identifier: Apache-2.0
"""The logger process."""

from __future__ import annotations

import sys

from va_common.lifecycle import run_node
from va_logger.node import LoggerNode


def main() -> int:
    """Run the logger until SIGINT or SIGTERM; the exit code of the process."""
    return run_node(LoggerNode)


if __name__ == '__main__':
    sys.exit(main())
