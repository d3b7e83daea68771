# SPDX-License-Identifier: Apache-2.0
"""Ollama, through its Python client: streamed chat with deadlines, on this host only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
import ipaddress
import json
import threading
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import ollama

from va_common.errors import AssistantError, ErrorCode
from va_common.races import cancel, within
from va_llm.engine import CancelToken, ChatRequest, Completion, Deadlines
from va_llm.engine_factory import OllamaSettings
from va_llm.modelfile_loader import Modelfile
from va_llm.ollama_models import prepare_model

T = TypeVar('T')

_CONNECT_TIMEOUT_S = 2.0
_CLOSE_TIMEOUT_S = 5.0


class OllamaEngine:
    """A model of an Ollama server. It owns one thread, which runs the client's event loop.

    SYSTEM and MESSAGE come with the requests, PARAMETERs go as options. TEMPLATE, ADAPTER and a
    FROM that is a file need a model of their own, which is made on the server once.

    Raises:
        AssistantError: INVALID_ARGUMENT (URL, keep_alive), UNAVAILABLE (no server, or older than
            REQUIRES), MODEL_MISSING (``ollama pull`` is named), ENGINE_FAILED.
    """

    name = 'ollama'

    def __init__(self, modelfile: Modelfile, settings: OllamaSettings,
                 deadlines: Deadlines) -> None:
        check_url(settings.url, settings.allow_remote)
        self._settings = settings
        self._deadlines = deadlines
        self._options = modelfile.ollama_options()
        self._keep_alive = parse_keep_alive(settings.keep_alive)
        # A proxy or a redirect would carry what was said to another host.
        self._client = ollama.AsyncClient(
            settings.url, trust_env=False, follow_redirects=False,
            timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S))
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = threading.Thread(
            target=self._loop.run_forever, name='ollama', daemon=True)
        self._thread.start()
        self.model = settings.model or modelfile.base
        try:
            self.model = self._run(self._prepare(modelfile), settings.load_s)
        except BaseException:
            self.close()
            raise

    def generate(self, request: ChatRequest, on_text: Callable[[str], None],
                 cancel: CancelToken) -> Completion:
        """Answer; see :class:`va_llm.engine.TextEngine`."""
        if self._thread is None:
            raise AssistantError(ErrorCode.NOT_ACTIVE, f'model {self.model} has been closed')
        future = asyncio.run_coroutine_threadsafe(self._chat(request, on_text), self._loop)
        cancel.on_cancel(lambda: _cancel(future))
        try:
            return future.result()
        except CancelledError:
            return Completion('cancelled')

    def close(self) -> None:
        """End the connection and the thread; idempotent."""
        if self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(_end(self._client), self._loop).result(_CLOSE_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_TIMEOUT_S)
        self._loop.close()
        self._thread = None

    def _run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except FutureTimeoutError:
            future.cancel()
            message = f'Ollama at {self._settings.url}: no answer within {timeout_s:g} s'
            raise AssistantError(ErrorCode.TIMEOUT, message) from None

    async def _prepare(self, modelfile: Modelfile) -> str:
        try:
            return await prepare_model(self._client, modelfile, self._settings.model)
        except Exception as error:
            raise self._translate(error, 'when asked for the model') from error

    async def _chat(self, request: ChatRequest, on_text: Callable[[str], None]) -> Completion:
        stream = await self._client.chat(
            model=self.model, stream=True, keep_alive=self._keep_alive,
            messages=[{'role': m.role, 'content': m.content} for m in request.messages],
            options=self._request_options(request))
        try:
            return await self._read(stream, on_text)
        finally:
            await stream.aclose()  # type: ignore[attr-defined]

    async def _read(self, stream: AsyncIterator[Any],
                    on_text: Callable[[str], None]) -> Completion:
        deadline_s = self._deadlines.first_token_s
        what = 'first token'
        while True:
            try:
                part = await within(deadline_s, anext(stream))
            except StopAsyncIteration:
                raise self._cut('the answer ended without its last part') from None
            except asyncio.TimeoutError:
                message = (f'Ollama at {self._settings.url}, model {self.model}: no {what} within '
                           f'{deadline_s:g} s')
                raise AssistantError(ErrorCode.TIMEOUT, message) from None
            except Exception as error:
                raise self._translate(error, f'while waiting for the {what}') from error
            if part.message.content:
                on_text(part.message.content)
            if part.done:
                return _completion(part)
            deadline_s, what = self._deadlines.token_s, 'next token'

    def _request_options(self, request: ChatRequest) -> dict[str, Any]:
        options: dict[str, Any] = {**self._options, 'num_predict': request.max_tokens}
        if request.temperature is not None:
            options['temperature'] = request.temperature
        return options

    def _cut(self, detail: str) -> AssistantError:
        message = f'Ollama at {self._settings.url} cut the answer off: {detail}'
        return AssistantError(ErrorCode.ENGINE_FAILED, message)

    def _translate(self, error: Exception, when: str) -> AssistantError:
        """What the client raises, as a code and a sentence."""
        url = self._settings.url
        if isinstance(error, AssistantError):
            return error
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError)):
            message = f'Ollama at {url}: not reachable; is it running? (ollama serve)'
            return AssistantError(ErrorCode.UNAVAILABLE, message)
        if isinstance(error, ollama.ResponseError):
            return self._response_error(error)
        if isinstance(error, (httpx.TransportError, json.JSONDecodeError)):
            return self._cut(f'{type(error).__name__} {when}')
        message = f'Ollama at {url}: {type(error).__name__}: {error} {when}'
        return AssistantError(ErrorCode.ENGINE_FAILED, message)

    def _response_error(self, error: ollama.ResponseError) -> AssistantError:
        if error.status_code == 404:
            message = (f'Ollama at {self._settings.url}: model {self.model!r} is not there; '
                       f'fetch it with: ollama pull {self.model}')
            return AssistantError(ErrorCode.MODEL_MISSING, message)
        message = f'Ollama at {self._settings.url}, model {self.model}: {error.error}'
        return AssistantError(ErrorCode.ENGINE_FAILED, message)


def check_url(url: str, allow_remote: bool) -> None:
    """Refuse the address of a server on another host, unless that is allowed.

    Raises:
        AssistantError: INVALID_ARGUMENT.
    """
    try:
        parts = urlsplit(url)
        host, usable = parts.hostname or '', parts.scheme in ('http', 'https')
        _ = parts.port
    except ValueError:
        host, usable = '', False
    if not usable or not host:
        raise AssistantError(
            ErrorCode.INVALID_ARGUMENT,
            f'ollama_url {url!r}: expected an address such as http://127.0.0.1:11434')
    if not allow_remote and not _is_loopback(host):
        raise AssistantError(
            ErrorCode.INVALID_ARGUMENT,
            f'ollama_url {url!r}: expected this host (127.0.0.1); what is said would leave the '
            'machine otherwise (ollama_allow_remote=true allows it)')


def parse_keep_alive(text: str) -> float | str:
    """``-1`` and ``300`` are seconds, ``30m`` and ``24h`` durations as Ollama reads them.

    Raises:
        AssistantError: INVALID_ARGUMENT.
    """
    try:
        return float(text)
    except ValueError:
        pass  # not a number: a duration with units
    digits = text.rstrip('hms')
    if digits and digits != text and digits.replace('.', '', 1).isdigit():
        return text
    raise AssistantError(ErrorCode.INVALID_ARGUMENT,
                         f'keep_alive {text!r}: expected seconds, 30m, 24h, or -1 for ever')


def _is_loopback(host: str) -> bool:
    if host == 'localhost':
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _completion(part: Any) -> Completion:
    reason = part.done_reason if part.done_reason in ('stop', 'length') else 'stop'
    return Completion(reason, part.prompt_eval_count or 0, part.eval_count or 0)


def _cancel(future: Future[Completion]) -> None:
    future.cancel()


async def _end(client: Any) -> None:
    await cancel(*asyncio.all_tasks() - {asyncio.current_task()})
    await client.close()
