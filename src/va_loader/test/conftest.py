# SPDX-License-Identifier: Apache-2.0
"""A loop whose time jumps to the next timer: minutes of waiting take no time."""

import asyncio
import selectors

import pytest


class InstantSelector(selectors.DefaultSelector):
    """Never waits: what would be waited for is added to its clock."""

    now_s = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise AssertionError('everything waits and no timer is set: a wait without a deadline')
        self.now_s += max(timeout, 1e-6)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self._selector_clock = InstantSelector()
        super().__init__(self._selector_clock)

    def time(self):
        return self._selector_clock.now_s


@pytest.fixture
def run():
    """Run a coroutine in virtual time; at most ten virtual hours."""
    loop = VirtualLoop()

    def run_in(coroutine):
        return loop.run_until_complete(asyncio.wait_for(coroutine, 36_000))

    yield run_in
    loop.close()
