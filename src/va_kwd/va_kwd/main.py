# SPDX-License-Identifier: Apache-2.0
"""The process ``kwd``."""

from __future__ import annotations

import sys

from va_common.lifecycle import run_node
from va_kwd.node import KwdNode


def main() -> int:
    """Run the node until SIGINT or SIGTERM; returns the exit code."""
    return run_node(KwdNode)


if __name__ == '__main__':
    sys.exit(main())
