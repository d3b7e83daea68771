# SPDX-License-Identifier: Apache-2.0
"""Waiting for whichever comes first, and for a limited time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar('T')


async def first(*waits: Awaitable[str]) -> str:
    """The result of what ends first; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        await cancel(*tasks)


async def within(timeout_s: float | None, work: Awaitable[T]) -> T:
    """Its result; it is cancelled at the end of the time. Raises asyncio.TimeoutError.

    Before Python 3.12 ``asyncio.wait_for`` loses a cancellation that comes when the work has just
    ended (https://github.com/python/cpython/issues/86296): a loop around it then never ends.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait((task,), timeout=timeout_s)
        if not done:
            raise asyncio.TimeoutError
        return task.result()
    finally:
        await cancel(task)


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancel, and wait until each has ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
