# SPDX-License-Identifier: Apache-2.0
"""What a language model engine is, and which one a machine uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
from typing import Final, Protocol

from va_common.errors import AssistantError, ErrorCode

ROLES: Final = ('system', 'user', 'assistant')


@dataclass(frozen=True)
class ChatMessage:
    """One message of a conversation."""

    role: str
    """system, user or assistant."""
    content: str


@dataclass(frozen=True)
class ChatRequest:
    """What to answer. ``messages`` holds everything, the Modelfile's SYSTEM and MESSAGE too."""

    messages: tuple[ChatMessage, ...]
    max_tokens: int = 200
    """Most tokens to generate, at least 1."""
    temperature: float | None = None
    """None: the Modelfile's."""


@dataclass(frozen=True)
class Completion:
    """How a generation ended."""

    finish_reason: str
    """stop (the model was done), length (max_tokens, or too long to be spoken), cancelled."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt, those whose work was kept from before; 0 where the engine does not say."""


@dataclass
class Deadlines:
    """How long to wait for tokens, in seconds; may be changed while a generation runs."""

    first_token_s: float = 20.0
    """For the first token; Ollama may have to load the model before it."""
    token_s: float = 10.0
    """Between two tokens."""


class CancelToken:
    """Asks a generation to stop. Thread-safe; cancelling twice is harmless."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._reason: str | None = None

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked."""
        return self._reason is not None

    @property
    def reason(self) -> str:
        """Why; empty while not cancelled."""
        return self._reason or ''

    def cancel(self, reason: str) -> None:
        """Ask to stop; the first reason counts."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when cancelled, at once if that is so already."""
        with self._lock:
            if self._reason is None:
                self._callbacks.append(callback)
                return
        callback()


class TextEngine(Protocol):
    """A loaded language model. One generation at a time, from any one thread."""

    name: str
    """ollama or llama_cpp."""
    model: str
    """What answers, for logs and diagnostics."""

    def generate(self, request: ChatRequest, on_text: Callable[[str], None],
                 cancel: CancelToken) -> Completion:
        """Answer; give each new piece of text to ``on_text`` as it comes.

        Returns within about one token after ``cancel``.

        Raises:
            AssistantError: TIMEOUT (a token was late), MODEL_MISSING, UNAVAILABLE (no server),
                INVALID_ARGUMENT (the prompt does not fit), ENGINE_FAILED.
        """
        ...

    def close(self) -> None:
        """Let go of the model; idempotent."""
        ...


def choose_engine(setting: str, profile: str) -> str:
    """Pick the engine: the setting, or for ``auto`` what suits the profile.

    Args:
        setting: auto, ollama or llama_cpp.
        profile: cuda or cpu.

    Returns:
        ``ollama`` or ``llama_cpp``.

    Raises:
        AssistantError: INVALID_ARGUMENT for anything else.
    """
    if setting in ('ollama', 'llama_cpp'):
        return setting
    if setting == 'auto' and profile in ('cuda', 'cpu'):
        return 'ollama' if profile == 'cuda' else 'llama_cpp'
    message = (f'engine {setting!r} with profile {profile!r}: expected auto, ollama or llama_cpp '
               'with cuda or cpu')
    raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
