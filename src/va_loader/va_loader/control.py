# SPDX-License-Identifier: Apache-2.0
"""The life of the assistant: up, supervised, down; on request, or after a fatal failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Protocol

from va_common.errors import AssistantError, ErrorCode
from va_common.races import cancel
from va_loader.exit_codes import EXIT_CLEAN, EXIT_FATAL
from va_loader.failures import FatalError

_REQUESTS = 8


class Request(Enum):
    """What may be asked of the assistant."""

    START = 'start'
    STOP = 'stop'
    SHUTDOWN = 'shutdown'


class Session(Protocol):
    """One life of the nodes, from the first process to the last."""

    async def run(self) -> None:
        """Bring up and supervise until cancelled. Raises FatalError."""

    async def take_down(self) -> None:
        """Stop everything in reverse order. Bounded, never raises."""


class Control:
    """Runs sessions one after another.

    Args:
        make_session: a fresh one for each start.
        on_fatal: told the reason before everything is stopped.
        on_stopped: told when all nodes are down and the loader waits for a start.
    """

    def __init__(self, make_session: Callable[[], Session], on_fatal: Callable[[str], None],
                 on_stopped: Callable[[], None]) -> None:
        self._make_session = make_session
        self._on_fatal = on_fatal
        self._on_stopped = on_stopped
        self._requests: asyncio.Queue[Request] = asyncio.Queue(_REQUESTS)
        self.up = True
        """Whether the assistant is up or on its way."""

    def request(self, wanted: Request) -> None:
        """Ask for a change, in the loop's thread.

        Raises:
            AssistantError: BUSY, it is so already or too much has been asked.
        """
        if wanted is Request.START and self.up:
            raise AssistantError(ErrorCode.BUSY, 'the assistant is up already')
        if wanted is Request.STOP and not self.up:
            raise AssistantError(ErrorCode.BUSY, 'the assistant is down already')
        try:
            self._requests.put_nowait(wanted)
        except asyncio.QueueFull:
            raise AssistantError(ErrorCode.BUSY, 'too many requests are waiting') from None
        self.up = wanted is Request.START

    async def run(self) -> int:
        """Run until shutdown or a fatal failure; the exit code."""
        while True:
            session = self._make_session()
            try:
                wanted = await self._until_request(session.run())
            except FatalError as error:
                self.up = False
                self._on_fatal(error.reason)
                await session.take_down()
                return EXIT_FATAL
            await session.take_down()
            if wanted is not Request.SHUTDOWN:
                self._on_stopped()
                wanted = await self._until_start()
            if wanted is Request.SHUTDOWN:
                return EXIT_CLEAN

    async def _until_request(self, life: Awaitable[None]) -> Request:
        """Live until a stop or shutdown is asked for."""
        living = asyncio.ensure_future(life)
        asked = asyncio.ensure_future(self._next_other_than(Request.START))
        try:
            await asyncio.wait((living, asked), return_when=asyncio.FIRST_COMPLETED)
            if living.done():
                living.result()
                raise FatalError('supervision ended by itself')
            return asked.result()
        finally:
            await cancel(living, asked)

    async def _until_start(self) -> Request:
        return await self._next_other_than(Request.STOP)

    async def _next_other_than(self, ignored: Request) -> Request:
        while True:
            wanted = await self._requests.get()
            if wanted is not ignored:
                return wanted
