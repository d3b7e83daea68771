# SPDX-License-Identifier: Apache-2.0
"""The last step of the start-up: the greeting, which proves that the assistant can be heard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from va_common.errors import AssistantError
from va_common.races import within
from va_loader.failures import FatalError

RECOVERING_VARIABLE = 'VA_RECOVERING'
"""Environment variable of a loader that takes the place of a dead one, with why that died: it does
not greet again."""
GREETING_TIMEOUT_S = 15.0


async def warm_up(greeting: str, speak: Callable[[str], Awaitable[None]],
                  backoff_s: Sequence[float], show: Callable[[int, str], None]) -> None:
    """Speak the greeting, again after each pause.

    Args:
        greeting: empty: nothing is spoken.
        speak: speaks a text to its end; raises AssistantError.
        backoff_s: pauses before the retries.
        show: told attempt and reason before each.

    Raises:
        FatalError: it could not be spoken in any attempt: nobody would hear the assistant.
    """
    reason = ''
    for attempt, pause_s in enumerate((0.0, *backoff_s), start=1):
        show(attempt, reason)
        await asyncio.sleep(pause_s)
        if not greeting:
            return
        try:
            await within(GREETING_TIMEOUT_S, speak(greeting))
            return
        except AssistantError as error:
            reason = error.message
        except asyncio.TimeoutError:
            reason = f'not spoken after {GREETING_TIMEOUT_S:g} s'
    raise FatalError(f'warm_up: the greeting could not be spoken, last: {reason}')
