# SPDX-License-Identifier: Apache-2.0
"""The kept state of a prompt: whole or not there, and the same answers with it as without."""

import os
from pathlib import Path
import time
import urllib.error
import urllib.request

import pytest

from va_llm.engine import CancelToken, ChatMessage, ChatRequest
from va_llm.engine_factory import gguf_path
from va_llm.llama_cpp_engine import LlamaCppEngine
from va_llm.modelfile_loader import parse
from va_llm.prompt_state import PromptState, UNUSED_S

MODELFILE = '''FROM x
PARAMETER temperature 0
SYSTEM """You are a robot. Answer in one short sentence."""
MESSAGE user What is the capital of Italy?
MESSAGE assistant The capital of Italy is Rome.
'''


def keep(folder: Path, text: str, *depends_on: str) -> bool:
    def write(name: str) -> None:
        (folder / name).write_text(text)
    return PromptState(folder, depends_on).keep(write)


def test_what_was_kept_is_found_for_this_prompt_only(tmp_path: Path) -> None:
    folder = tmp_path / 'not' / 'there yet'
    assert PromptState(folder, ('a', 'b')).find() is None
    assert keep(folder, 'state', 'a', 'b')
    name = PromptState(folder, ('a', 'b')).find()
    assert name is not None
    assert (folder / name).read_text() == 'state'
    assert PromptState(folder, ('a', 'c')).find() is None
    assert PromptState(folder, ('a', 'b')).find() == name
    assert folder.stat().st_mode & 0o077 == 0


def test_a_damaged_state_is_deleted(tmp_path: Path) -> None:
    keep(tmp_path, 'state', 'a')
    state = PromptState(tmp_path, ('a',))
    os.truncate(tmp_path / (state.find() or ''), 3)
    assert state.find() is None
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail(name: str) -> None:
        (tmp_path / name).write_text('half')
        raise OSError('disk full')
    assert not PromptState(tmp_path, ('a',)).keep(fail)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    assert not keep(tmp_path / 'file' / 'folder', 'state', 'a')


def test_unused_states_are_deleted_and_used_ones_stay(tmp_path: Path) -> None:
    for text in ('old', 'used'):
        keep(tmp_path, text, text)
    past_s = time.time() - UNUSED_S - 60.0
    for path in tmp_path.iterdir():
        os.utime(path, (past_s, past_s))
    assert PromptState(tmp_path, ('used',)).find()
    keep(tmp_path, 'new', 'new')
    assert PromptState(tmp_path, ('old',)).find() is None
    assert PromptState(tmp_path, ('used',)).find()


# With the real model --------------------------------------------------------------------------

def build(cache: Path | None, text: str = MODELFILE) -> LlamaCppEngine:
    modelfile = parse(text)
    return LlamaCppEngine(
        gguf_path('smollm2-135m-instruct', '', modelfile), modelfile, 1, 512, cache)


def ask(engine, text: str = MODELFILE):
    texts: list[str] = []
    question = ChatMessage('user', 'What is the capital of France?')
    completion = engine.generate(
        ChatRequest((*parse(text).prefix, question), 16), texts.append, CancelToken())
    return ''.join(texts), completion


@pytest.fixture(scope='module')
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the state of MODELFILE."""
    folder = tmp_path_factory.mktemp('cache')
    build(folder).close()
    assert len(list(folder.iterdir())) == 1
    return folder


def test_the_next_engine_reads_it_and_answers_as_without(filled: Path, monkeypatch) -> None:
    before = {path.name for path in filled.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr(LlamaCppEngine, 'generate', None)  # the first pass would need it
        engine = build(filled)
    with_state, completion = ask(engine)
    engine.close()
    assert completion.cached_tokens > completion.prompt_tokens * 0.7
    assert {path.name for path in filled.iterdir()} == before
    other = build(None)
    without, completion = ask(other)
    other.close()
    assert completion.cached_tokens <= 1
    assert with_state == without


def test_another_prompt_has_a_state_of_its_own(filled: Path) -> None:
    text = MODELFILE.replace('robot', 'pirate')
    engine = build(filled, text)
    _, completion = ask(engine, text)
    engine.close()
    assert completion.cached_tokens > completion.prompt_tokens * 0.7
    assert len(list(filled.iterdir())) == 2


def test_what_llama_cpp_refuses_is_made_again(tmp_path: Path) -> None:
    # The sum is right, the contents are not: as if another version had written it.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(LlamaCppEngine, '_slot', lambda self, action, name:
                        (tmp_path / name).write_bytes(b'not a state' * 1000))
        build(tmp_path).close()
    broken = next(tmp_path.iterdir())
    build(tmp_path).close()
    assert not broken.exists()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize('path', ['/slots/0?action=erase', '/completion', '/slots', '/props'])
def test_nobody_else_may_use_the_port_of_llama_cpp(filled: Path, path: str) -> None:
    engine = build(filled)
    try:
        assert engine._server is not None
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(engine._server.listening_address + path, data=b'{}', timeout=30)
        with refused.value as answer:
            assert answer.code == 401
    finally:
        engine.close()
