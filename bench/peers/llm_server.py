# SPDX-License-Identifier: Apache-2.0
"""The assistant's own llama.cpp engine, for a peer that speaks OpenAI's protocol over HTTP."""

from __future__ import annotations

import json
import sys
from typing import Any

from va_llm.engine import Deadlines
from va_llm.engine_factory import build_engine, EngineSettings, load_modelfile


def main() -> int:
    """Serve on a loopback port until standard input ends."""
    engine: Any = build_engine('llama_cpp', load_modelfile(''), EngineSettings(), Deadlines())
    print(json.dumps({'event': 'ready', 'url': f'{engine._server.listening_address}/v1'}),
          flush=True)
    sys.stdin.read()
    engine.close()
    return 0


if __name__ == '__main__':
    sys.exit(main())
