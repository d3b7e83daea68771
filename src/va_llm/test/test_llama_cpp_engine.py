# SPDX-License-Identifier: Apache-2.0
"""llama.cpp with the real SmolLM2: the Modelfile is obeyed, files that cannot be loaded say so."""

import os
from pathlib import Path
import signal
import threading

import pytest

from va_common.errors import AssistantError, ErrorCode
from va_common.model_catalogue import model_path
from va_llm.chat_prompt import PromptTemplate
from va_llm.engine import CancelToken, ChatMessage, ChatRequest
from va_llm.engine_factory import gguf_path, load_modelfile
from va_llm.llama_cpp_engine import LlamaCppEngine, request_options
from va_llm.modelfile_loader import parse

CHATML = '''TEMPLATE """{{ if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ range .Messages }}{{ if ne .Role "system" }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}{{ end }}<|im_start|>assistant
"""
'''
GREEDY = 'FROM x\nPARAMETER temperature 0\nPARAMETER num_ctx 1024\n'
QUESTION = ChatMessage('user', 'What is the capital of France?')


def build(modelfile):
    path = gguf_path('smollm2-135m-instruct', '', modelfile)
    return LlamaCppEngine(path, modelfile, 1, 2048)


def ask(engine, *messages, tokens=24, **fields):
    texts = []
    completion = engine.generate(
        ChatRequest(messages, tokens, **fields), texts.append, CancelToken())
    return ''.join(texts), completion


@pytest.fixture(scope='module')
def engine():
    engine = build(load_modelfile(''))
    yield engine
    engine.close()


@pytest.fixture(scope='module')
def prefix():
    return load_modelfile('').prefix


def test_a_simple_question(engine, prefix):
    text, completion = ask(engine, *prefix, QUESTION, temperature=0.0)
    assert 'Paris' in text
    assert completion.finish_reason == 'stop'
    assert 0 < completion.completion_tokens < 24


def test_the_prefix_is_kept_from_turn_to_turn(engine, prefix):
    ask(engine, *prefix, QUESTION)
    _, completion = ask(engine, *prefix, ChatMessage('user', 'What color is the sky?'))
    assert completion.cached_tokens > completion.prompt_tokens * 0.7


def test_the_prefix_survives_a_free_completion(engine, prefix):
    ask(engine, *prefix, QUESTION)
    ask(engine, ChatMessage('system', 'You write haikus.'), ChatMessage('user', 'Snow.'), tokens=4)
    _, completion = ask(engine, *prefix, ChatMessage('user', 'What color is the sky?'))
    assert completion.cached_tokens > completion.prompt_tokens * 0.7


def test_the_longest_answer(engine, prefix):
    text, completion = ask(engine, *prefix, ChatMessage('user', 'Tell me a long story.'), tokens=3)
    assert completion.finish_reason == 'length'
    assert completion.completion_tokens == 3
    assert text


def test_cancel_ends_it_within_a_token(engine, prefix):
    cancel, texts = CancelToken(), []

    def listen(text):
        texts.append(text)
        cancel.cancel('enough')

    request = ChatRequest((*prefix, ChatMessage('user', 'Tell me a long story.')), 200)
    assert engine.generate(request, listen, cancel).finish_reason == 'cancelled'
    assert len(texts) == 1
    assert ask(engine, *prefix, QUESTION)[1].finish_reason in ('stop', 'length')


def test_what_the_listener_raises_comes_back(engine):
    def listen(text):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.generate(ChatRequest((QUESTION,), 5), listen, CancelToken())


def test_a_prompt_that_does_not_fit(engine):
    with pytest.raises(AssistantError, match='exceeds the available context size') as caught:
        ask(engine, ChatMessage('user', 'word ' * 5000))
    assert caught.value.code == ErrorCode.INVALID_ARGUMENT
    assert ask(engine, QUESTION, tokens=2)[0]


def test_two_users_in_a_row(engine):
    assert ask(engine, QUESTION, QUESTION, tokens=2)[0]


def test_template_and_chat_template_of_the_model_say_the_same():
    """TEMPLATE is obeyed: written as the model's own it gives the same prompt and answer."""
    own, written = build(parse(GREEDY)), build(parse(GREEDY + CHATML))
    messages = (ChatMessage('system', 'Be short.'), QUESTION)
    try:
        first, second = ask(own, *messages), ask(written, *messages)
    finally:
        own.close()
        written.close()
    assert first[0] == second[0]
    assert first[1].prompt_tokens == second[1].prompt_tokens
    assert PromptTemplate(parse(GREEDY + CHATML).template).render(messages).endswith('assistant\n')


def test_stop_and_seed_of_the_modelfile():
    engine = build(parse(
        'FROM x\nPARAMETER num_ctx 512\nPARAMETER temperature 1\nPARAMETER seed 7\n'
        'PARAMETER stop 5'))
    count = ChatMessage('user', 'Count: 1, 2, 3, 4, 5, 6, 7')
    try:
        first, second = ask(engine, count)[0], ask(engine, count)[0]
    finally:
        engine.close()
    assert first == second
    assert '5' not in first


def test_options_have_the_defaults_of_ollama():
    options = request_options(parse('FROM x\nPARAMETER top_k 3\nPARAMETER num_keep 9'))
    assert options['temperature'] == 0.8
    assert options['repeat_penalty'] == 1.1
    assert options['top_k'] == 3
    assert options['n_keep'] == 9
    assert 'num_ctx' not in options
    assert 'stop' not in options


def test_load_ten_times_and_leave_nothing():
    modelfile = parse(GREEDY)
    for _ in range(3):
        build(modelfile).close()
    before = len(os.listdir('/proc/self/task'))
    for _ in range(7):
        engine = build(modelfile)
        assert ask(engine, QUESTION, tokens=1)[0]
        engine.close()
        engine.close()
    assert len(os.listdir('/proc/self/task')) <= before


def test_signals_stay_pythons():
    """A llama.cpp server takes SIGINT and SIGTERM for itself; the embedded one must not."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip('signals come to the main thread')
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    engine = build(parse(GREEDY))
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
        engine.close()
    assert heard == [signal.SIGTERM]


def loading(path, code, named):
    with pytest.raises(AssistantError, match=named) as caught:
        LlamaCppEngine(Path(path), parse(GREEDY), 1, 512)
    assert caught.value.code == code
    assert './va models' in caught.value.message


def test_a_missing_file():
    loading('/nowhere/x.gguf', ErrorCode.MODEL_MISSING, r'/nowhere/x\.gguf: No such file')


def test_a_file_that_is_no_gguf(tmp_path):
    (tmp_path / 'x.gguf').write_bytes(b'hello')
    loading(tmp_path / 'x.gguf', ErrorCode.ENGINE_FAILED, 'not a GGUF file')


def test_a_file_that_is_cut_off(tmp_path):
    whole = model_path('smollm2-135m-instruct', 'SmolLM2-135M-Instruct.Q4_1.gguf')
    with whole.open('rb') as source:
        (tmp_path / 'x.gguf').write_bytes(source.read(3_000_000))
    loading(tmp_path / 'x.gguf', ErrorCode.ENGINE_FAILED, 'could not load it')


def test_an_adapter_that_is_missing():
    with pytest.raises(AssistantError, match=r'ADAPTER /none\.gguf: No such file'):
        build(parse(GREEDY + 'ADAPTER /none.gguf'))


def test_a_closed_engine():
    engine = build(parse(GREEDY))
    engine.close()
    with pytest.raises(AssistantError, match='has been closed'):
        ask(engine, QUESTION)
