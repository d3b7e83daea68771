# SPDX-License-Identifier: Apache-2.0
"""The Ollama client against a real server, where there is one.

Found at ``$OLLAMA_HOST``, on the default port, or started from the ``ollama`` on PATH. The model
is made on the server of the catalogue's GGUF: FROM a file, with a TEMPLATE.
"""

import os
from pathlib import Path
import shutil
import socket
import subprocess

import pytest

from va_common.errors import AssistantError, ErrorCode
from va_common.model_catalogue import model_path
from va_common.testing import wait_for
from va_llm.engine import CancelToken, ChatMessage, ChatRequest, Deadlines
from va_llm.engine_factory import load_modelfile, OllamaSettings
from va_llm.modelfile_loader import parse
from va_llm.ollama_client import OllamaEngine

QUESTION = ChatMessage('user', 'What is the capital of France?')
GREEDY = '\nPARAMETER temperature 0\nPARAMETER num_ctx 1024\nPARAMETER num_thread 1\n'
CHATML = '''TEMPLATE """{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
PARAMETER stop <|im_end|>
'''


def is_ollama(address):
    import httpx

    try:
        return 'version' in httpx.get(f'http://{address}/api/version', timeout=2.0).json()
    except (httpx.HTTPError, ValueError):
        return False


@pytest.fixture(scope='module')
def url(tmp_path_factory):
    for address in (os.environ.get('OLLAMA_HOST', ''), '127.0.0.1:11434'):
        if address and is_ollama(address.removeprefix('http://')):
            yield f'http://{address.removeprefix("http://")}'
            return
    program = shutil.which('ollama')
    if program is None:
        pytest.skip('no Ollama: neither a server at $OLLAMA_HOST or 127.0.0.1:11434 nor `ollama` '
                    'on PATH')
    yield from started(program, tmp_path_factory.mktemp('ollama'))


def started(program, folder):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        address = f'127.0.0.1:{free.getsockname()[1]}'
    environment = {**os.environ, 'OLLAMA_HOST': address, 'HOME': str(folder),
                   'OLLAMA_MODELS': str(folder / 'models'), 'OLLAMA_NO_CLOUD': '1'}
    with (folder / 'log').open('wb') as log:
        server = subprocess.Popen([program, 'serve'], env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: is_ollama(address), 30, 'the start of Ollama')
        yield f'http://{address}'
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope='module')
def make(url):
    engines = []

    def build(modelfile):
        settings = OllamaSettings(url=url, keep_alive='2m')
        engines.append(OllamaEngine(parse(modelfile), settings, Deadlines(90.0, 30.0)))
        return engines[-1]

    yield build
    for engine in engines:
        engine.close()


@pytest.fixture(scope='module')
def gguf():
    return next(model_path('smollm2-135m-instruct').glob('*.gguf'))


@pytest.fixture(scope='module')
def engine(make, gguf):
    """SmolLM2, uploaded as FROM <file> with a TEMPLATE: a model of its own on the server."""
    return make(f'FROM {gguf}{GREEDY}{CHATML}')


def ask(engine, *messages, tokens=24, cancel=None, listen=None):
    texts = []

    def take(text):
        texts.append(text)
        if listen is not None:
            listen()

    completion = engine.generate(ChatRequest(messages, tokens), take, cancel or CancelToken())
    return ''.join(texts), completion


def test_a_streamed_answer(engine):
    text, completion = ask(engine, *load_modelfile('').prefix, QUESTION)
    assert 'Paris' in text
    assert completion.finish_reason == 'stop'
    assert completion.prompt_tokens > 50


def test_the_longest_answer(engine):
    text, completion = ask(engine, ChatMessage('user', 'Tell me a long story.'), tokens=4)
    assert (completion.finish_reason, completion.completion_tokens) == ('length', 4)
    assert text


def test_cancel(engine):
    cancel = CancelToken()
    text, completion = ask(engine, ChatMessage('user', 'Tell me a long story.'), tokens=500,
                           cancel=cancel, listen=lambda: cancel.cancel('enough'))
    assert completion.finish_reason == 'cancelled'
    assert text
    assert 'Paris' in ask(engine, *load_modelfile('').prefix, QUESTION)[0]


def test_the_derived_model_is_made_once(engine, make, gguf):
    assert make(f'FROM {gguf}{GREEDY}{CHATML}').model == engine.model


def test_an_unknown_model(make):
    with pytest.raises(AssistantError, match='ollama pull no-such-model') as caught:
        make('FROM no-such-model')
    assert caught.value.code == ErrorCode.MODEL_MISSING


def test_both_engines_answer_alike(engine, gguf):
    """One Modelfile, two engines: greedy, they choose the same words."""
    from va_llm.llama_cpp_engine import LlamaCppEngine

    modelfile = parse(f'FROM {gguf}{GREEDY}{CHATML}')
    other = LlamaCppEngine(Path(gguf), modelfile, 1, 1024)
    try:
        messages = (*load_modelfile('').prefix, QUESTION)
        assert ask(engine, *messages)[0].strip() == ask(other, *messages)[0].strip()
    finally:
        other.close()
