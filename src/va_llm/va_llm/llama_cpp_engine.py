# SPDX-License-Identifier: Apache-2.0
"""llama.cpp inside this process, through xllamacpp."""

from __future__ import annotations

from collections.abc import Callable
import http.client
import json
from pathlib import Path
import secrets
from typing import Any
from urllib.parse import urlsplit

import xllamacpp

from va_common.errors import AssistantError, ErrorCode
from va_llm.chat_prompt import merge_roles, PromptTemplate
from va_llm.engine import CancelToken, ChatMessage, ChatRequest, Completion
from va_llm.modelfile_loader import Modelfile
from va_llm.modelfile_parameters import PARAMETERS
from va_llm.prompt_state import PromptState

# llama.cpp keeps up to 8 GiB of old prompts by default, and the newest one whatever its size. That
# is enough: a program's request may come between two turns of the conversation.
_PROMPT_CACHE_MIB = 16
_GGUF_MAGIC = b'GGUF'
_SLOT_TIMEOUT_S = 5.0

# Modelfile parameter -> request field of llama.cpp's server, where the names differ.
_RENAMED = {'num_keep': 'n_keep'}
_SAMPLING = ('temperature', 'top_k', 'top_p', 'min_p', 'typical_p', 'repeat_last_n',
             'repeat_penalty', 'presence_penalty', 'frequency_penalty', 'seed', 'stop', 'num_keep',
             'mirostat', 'mirostat_eta', 'mirostat_tau')


class LlamaCppEngine:
    """A GGUF model loaded in-process. Prompts share their cached beginning from call to call.

    Args:
        model: the .gguf file.
        modelfile: SYSTEM and MESSAGE come with the requests; TEMPLATE, PARAMETER and ADAPTER are
            obeyed here. Without TEMPLATE the chat template of the GGUF is used.
        threads: CPU threads, at least 1; the Modelfile's num_thread goes before.
        context_tokens: context window; the Modelfile's num_ctx goes before.
        cache: folder where what SYSTEM and MESSAGE make of the model is kept, for the next start;
            None: it is not kept.

    Raises:
        AssistantError: MODEL_MISSING, or ENGINE_FAILED for a file that llama.cpp cannot load,
            or INVALID_ARGUMENT for a TEMPLATE that needs all of Go.
    """

    name = 'llama_cpp'

    def __init__(self, model: Path, modelfile: Modelfile, threads: int,
                 context_tokens: int, cache: Path | None = None) -> None:
        self.model = model.name
        _check_file(model, 'model')
        where = f'{modelfile.path}: TEMPLATE'
        self._template = PromptTemplate(modelfile.template, where) if modelfile.template else None
        self._options = request_options(modelfile)
        parameters = _load_parameters(model, modelfile, threads, context_tokens)
        # It listens on a port of this host, for whoever knows the key: nobody else.
        self._key = secrets.token_hex()
        parameters.api_keys = [self._key]
        if cache is not None:
            parameters.slot_save_path = f'{cache}/'
        try:
            # Holds the GIL until the model is loaded; generating does not.
            self._server: Any | None = xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise AssistantError(ErrorCode.ENGINE_FAILED, _load_failure(model, error)) from None
        self._wait_for_loop()
        if cache is not None:
            state = PromptState(cache, _depends_on(model, modelfile, parameters.n_ctx))
            self._first_pass(state, modelfile.prefix)

    def generate(self, request: ChatRequest, on_text: Callable[[str], None],
                 cancel: CancelToken) -> Completion:
        """Answer; see :class:`va_llm.engine.TextEngine`."""
        if self._server is None:
            raise AssistantError(ErrorCode.NOT_ACTIVE, f'model {self.model} has been closed')
        stream = _Stream(on_text, cancel)
        body = self._body(request)
        if 'prompt' in body:
            self._server.handle_completions(body, stream.take)
        else:
            self._server.handle_chat_completions(body, stream.take)
        return stream.completion()

    def close(self) -> None:
        """Free the model; idempotent."""
        self._server = None

    def _wait_for_loop(self) -> None:
        """Let the server answer once.

        It says it is ready before its loop runs; freed in between, it would wait for ever for the
        loop to end.
        """
        stream = _Stream(lambda text: None, CancelToken())
        assert self._server is not None
        self._server.handle_completions({'prompt': ' ', 'n_predict': 1, 'stream': True},
                                        stream.take)
        stream.completion()

    def _first_pass(self, state: PromptState, prefix: tuple[ChatMessage, ...]) -> None:
        """Have the prompt worked out: read from the disk, else by the model, and then kept."""
        kept = state.find()
        if kept is not None:
            try:
                self._slot('restore', kept)
                return
            except OSError:
                state.drop()
        request = ChatRequest((*prefix, ChatMessage('user', 'Hello!')), max_tokens=1)
        try:
            self.generate(request, lambda text: None, CancelToken())
        except AssistantError:
            return  # the node asks next, and says what is wrong
        state.keep(lambda name: self._slot('save', name))

    def _slot(self, action: str, name: str) -> None:
        """Save or restore what the slot has worked out; only over HTTP. Raises OSError."""
        assert self._server is not None
        address = urlsplit(self._server.listening_address)
        connection = http.client.HTTPConnection(address.netloc, timeout=_SLOT_TIMEOUT_S)
        try:
            connection.request(
                'POST', f'/slots/0?action={action}', json.dumps({'filename': name}),
                {'Content-Type': 'application/json', 'Authorization': f'Bearer {self._key}'})
            answer = connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise OSError(f'llama.cpp: {action} {name}: {error!r}') from None
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise OSError(f'llama.cpp: {action} {name}: {answer.status} {text[:200]!r}')

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {**self._options, 'stream': True, 'cache_prompt': True,
                                'n_predict': request.max_tokens}
        if request.temperature is not None:
            body['temperature'] = request.temperature
        if self._template is not None:
            body['prompt'] = self._template.render(request.messages)
        else:
            body['messages'] = [{'role': m.role, 'content': m.content}
                                for m in merge_roles(request.messages)]
        return body


class _Stream:
    """Takes the server's stream of JSON objects of one generation."""

    def __init__(self, on_text: Callable[[str], None], cancel: CancelToken) -> None:
        self._on_text = on_text
        self._cancel = cancel
        self._error: BaseException | None = None
        self._finish_reason = ''
        self._timings: dict[str, Any] = {}
        self._pieces = 0

    def take(self, part: dict[str, Any]) -> bool:
        """One object; True ends the generation. Nothing may be raised: xllamacpp swallows it."""
        try:
            self._read(part)
        except BaseException as error:
            self._error = error
            return True
        return self._cancel.cancelled

    def completion(self) -> Completion:
        """How it ended. Raises what the server or ``on_text`` reported."""
        if self._error is not None:
            raise self._error
        if not self._finish_reason and not self._cancel.cancelled:
            raise AssistantError(ErrorCode.ENGINE_FAILED, 'llama.cpp ended without a result')
        cached = int(self._timings.get('cache_n', 0))
        return Completion(
            self._finish_reason or 'cancelled', cached + int(self._timings.get('prompt_n', 0)),
            int(self._timings.get('predicted_n', self._pieces)), cached)

    def _read(self, part: dict[str, Any]) -> None:
        if 'error' in part or 'choices' not in part:
            raise _server_error(part)
        self._timings = part.get('timings') or self._timings
        for choice in part['choices']:
            text = choice.get('text') or (choice.get('delta') or {}).get('content') or ''
            if text and not self._cancel.cancelled:
                self._pieces += 1
                self._on_text(text)
            self._finish_reason = choice.get('finish_reason') or self._finish_reason


def request_options(modelfile: Modelfile) -> dict[str, Any]:
    """The Modelfile's PARAMETERs as fields of a llama.cpp request.

    What the Modelfile leaves out has Ollama's default, so that both engines sample alike.
    """
    given = modelfile.parameters
    options: dict[str, Any] = {}
    for name in _SAMPLING:
        value = given.get(name, PARAMETERS[name].default)
        if value is not None:
            options[_RENAMED.get(name, name)] = value
    return options


def _load_parameters(model: Path, modelfile: Modelfile, threads: int,
                     context_tokens: int) -> xllamacpp.CommonParams:
    given: dict[str, Any] = dict(modelfile.parameters)
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx = given.get('num_ctx', context_tokens)
    params.n_batch = given.get('num_batch', 512)
    params.n_parallel = 1  # one conversation; its slot keeps the prefix
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.n_gpu_layers = given.get('num_gpu', -1)
    params.main_gpu = given.get('main_gpu', 0)
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = given.get('num_thread', 0) or threads
        # Do not spin while waiting for work: other nodes need the cores.
        cpu.poll = 0
    params.warmup = False  # the node's probe does it, without the GIL
    params.fit_params = False  # would load the model twice
    params.endpoint_slots = False
    params.ui = False
    params.verbosity = 0
    if modelfile.adapter:
        adapter = modelfile.resolve(modelfile.adapter)
        _check_file(adapter, 'ADAPTER')
        info = xllamacpp.CommonAdapterLoraInfo()
        info.path, info.scale = str(adapter), 1.0
        params.lora_adapters = [info]
    return params


def _depends_on(model: Path, modelfile: Modelfile, context_tokens: int) -> list[str]:
    """What the state of the prompt depends on."""
    files = [model, *([modelfile.resolve(modelfile.adapter)] if modelfile.adapter else [])]
    stats = [(path, path.stat()) for path in files]
    return [xllamacpp.__version__, str(context_tokens), modelfile.template,
            *(f'{path} {stat.st_size} {stat.st_mtime_ns}' for path, stat in stats),
            *(f'{message.role} {message.content}' for message in modelfile.prefix)]


def _check_file(path: Path, what: str) -> None:
    try:
        with path.open('rb') as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        message = (f'{what} {path}: {error.strerror}; expected a .gguf file '
                   '(./va models lists and fetches them)')
        raise AssistantError(ErrorCode.MODEL_MISSING, message) from None
    if magic != _GGUF_MAGIC:
        message = f'{what} {path}: not a GGUF file; expected one (./va models verifies the files)'
        raise AssistantError(ErrorCode.ENGINE_FAILED, message)


def _load_failure(model: Path, error: Exception) -> str:
    return (f'model {model}: llama.cpp could not load it ({error}); the file may be damaged or '
            'too big for the memory: ./va models verifies and fetches again')


def _server_error(part: dict[str, Any]) -> AssistantError:
    error = part.get('error', part)
    detail = error.get('message', str(error)) if isinstance(error, dict) else str(error)
    kind = error.get('type', '') if isinstance(error, dict) else ''
    code = ErrorCode.ENGINE_FAILED
    if kind in ('exceed_context_size_error', 'invalid_request_error'):
        code = ErrorCode.INVALID_ARGUMENT
    return AssistantError(code, f'llama.cpp: {detail}')
