# SPDX-License-Identifier: Apache-2.0
"""How ``main`` notices that the loader hangs. Apart from it: this loads gRPC."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from va_common.health import Health, HealthAsker, HealthState
from va_common.races import within
from va_loader.health_watcher import CHECK_TIMEOUT_S, HealthWatcher
from va_loader.procfs import is_frozen, sample

START_TIMEOUT_S = 30.0
"""For the loader's health port to answer for the first time."""


async def hung(pid: int, port: int, interval_s: float) -> str:
    """Return, with the reason, when a loader no longer answers; NOT_SERVING is an answer.

    Args:
        pid: of the loader.
        port: its health port.
        interval_s: pause between checks.
    """
    loop = asyncio.get_running_loop()
    asker = HealthAsker(port)
    checks = ThreadPoolExecutor(1, thread_name_prefix='check')

    async def answers() -> Health:
        health = await loop.run_in_executor(checks, asker.ask, CHECK_TIMEOUT_S)
        return health if health.state is HealthState.UNREACHABLE else Health(HealthState.SERVING)

    watcher = HealthWatcher(answers, lambda: sample(pid), lambda: is_frozen(pid), interval_s)
    try:
        await within(START_TIMEOUT_S, watcher.serving(poll_s=0.5))
        return await watcher.lost()
    except asyncio.TimeoutError:
        return f'no answer within {START_TIMEOUT_S:g} s of its start'
    finally:
        checks.shutdown(wait=False, cancel_futures=True)
        asker.close()
