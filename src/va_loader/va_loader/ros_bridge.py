# SPDX-License-Identifier: Apache-2.0
"""ROS calls as coroutines: the executor's thread answers, the loop's thread waits."""

from __future__ import annotations

import asyncio
from typing import Any

from va_common.races import within


async def answer_of(pending: Any, timeout_s: float | None = None) -> Any:
    """Wait in the loop for a future that the executor's thread completes.

    Raises:
        asyncio.TimeoutError: it was not completed within ``timeout_s``.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()
    pending.add_done_callback(lambda done: loop.call_soon_threadsafe(_settle, answer, done))
    return await within(timeout_s, answer)


async def call(client: Any, request: Any, timeout_s: float) -> Any:
    """Call a service.

    Raises:
        asyncio.TimeoutError: no answer within ``timeout_s``.
    """
    pending = client.call_async(request)
    try:
        return await answer_of(pending, timeout_s)
    finally:
        if not pending.done():
            client.remove_pending_request(pending)


def _settle(answer: asyncio.Future[Any], done: Any) -> None:
    if answer.done():
        return
    error = done.exception()
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(done.result())
