# SPDX-License-Identifier: Apache-2.0
"""Waiting for programs, with a deadline; the end of the program ends the wait."""

from __future__ import annotations

import subprocess
import time

_LOOK_S = 0.02
"""Between two looks at a health port; the resolution of the times of a start."""


def wait_serving(name: str, port: int, process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Until what listens on a port of this host is SERVING.

    Args:
        name: for the message.
        process: to which it belongs.

    Raises:
        NotComing: it has ended, or the time is up.
    """
    from voice.ears import NotComing

    from va_common.health import ask, HealthState

    deadline_s = time.monotonic() + timeout_s
    while (health := ask(port)).state is not HealthState.SERVING:
        watch(name, process, _LOOK_S)
        if time.monotonic() > deadline_s:
            raise NotComing(f'{name} was not SERVING within {timeout_s:.0f} s: '
                            f'{health.problem or health.state.value}')


def watch(name: str, process: subprocess.Popen[bytes], span_s: float) -> None:
    """Let a program run for ``span_s`` seconds. Raises NotComing when it ends before."""
    from voice.ears import NotComing

    try:
        code = process.wait(span_s)
    except subprocess.TimeoutExpired:
        return
    raise NotComing(f'{name} ended with exit code {code}')
