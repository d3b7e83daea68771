# SPDX-License-Identifier: Apache-2.0
"""The process ``llm``."""

from __future__ import annotations

import sys

from va_common.lifecycle import run_node
from va_llm.node import LlmNode
from va_llm.priority import give_way


def main() -> int:
    """Run the node until SIGINT or SIGTERM; returns the exit code."""
    give_way()
    return run_node(LlmNode)


if __name__ == '__main__':
    sys.exit(main())
