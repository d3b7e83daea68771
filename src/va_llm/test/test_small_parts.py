# SPDX-License-Identifier: Apache-2.0
"""Choice of engine, history, pieces of a reply, goals, paths."""

from itertools import pairwise
from pathlib import Path

import pytest

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey
from va_common.testing import FakeClock
from va_llm.completion_api import MAX_LETTERS, to_request
from va_llm.engine import CancelToken, ChatMessage, choose_engine
from va_llm.engine_factory import gguf_path, load_modelfile, usable_threads
from va_llm.history import History
from va_llm.modelfile_loader import parse
from va_llm.reply_writer import ReplyWriter

KEY = TurnKey('d1', 1)


@pytest.mark.parametrize(('setting', 'profile', 'engine'), [
    ('auto', 'cpu', 'llama_cpp'), ('auto', 'cuda', 'ollama'),
    ('ollama', 'cpu', 'ollama'), ('llama_cpp', 'cuda', 'llama_cpp'),
])
def test_choice_of_engine(setting, profile, engine):
    assert choose_engine(setting, profile) == engine


@pytest.mark.parametrize(('setting', 'profile'), [('gpt', 'cpu'), ('auto', 'tpu')])
def test_choice_refuses_what_it_does_not_know(setting, profile):
    with pytest.raises(AssistantError, match='expected auto'):
        choose_engine(setting, profile)


@pytest.mark.parametrize(('setting', 'cores', 'threads'), [
    (2, 2, 1), (2, 4, 2), (8, 16, 8), (1, 64, 1), (4, None, 1)])
def test_threads_leave_half_of_the_cores(setting, cores, threads):
    assert usable_threads(setting, cores) == threads


def test_cancel_token_tells_once_and_late_listeners_too():
    token, heard = CancelToken(), []
    token.on_cancel(lambda: heard.append('early'))
    token.cancel('why')
    token.cancel('again')
    token.on_cancel(lambda: heard.append('late'))
    assert heard == ['early', 'late']
    assert token.reason == 'why'


# History ----------------------------------------------------------------------------------------

def test_history_keeps_the_turns_of_a_dialog():
    history = History(8, 1000)
    assert history.begin('d1', 1, 'one') == (ChatMessage('user', 'one'),)
    history.answer('d1', 1, ' ONE ')
    assert history.begin('d1', 2, 'two') == (
        ChatMessage('user', 'one'), ChatMessage('assistant', 'ONE'), ChatMessage('user', 'two'))
    assert history.begin('d2', 1, 'new') == (ChatMessage('user', 'new'),)


def test_a_newer_revision_replaces_what_was_said():
    history = History(8, 1000)
    history.begin('d1', 1, 'turn on')
    assert history.begin('d1', 1, 'turn on the light') == (
        ChatMessage('user', 'turn on the light'),)


def test_what_was_heard_replaces_what_was_generated():
    history = History(8, 1000)
    history.begin('d1', 1, 'tell me')
    history.answer('d1', 1, 'One. Two. Three.')
    assert history.correct('d1', 1, 'One.')
    assert history.correct('d1', 1, 'One.')
    assert not history.correct('d9', 1, '')
    assert history.begin('d1', 2, 'go on')[1] == ChatMessage('assistant', 'One. …')


@pytest.mark.parametrize(('heard', 'kept'), [
    ('One. Two', [ChatMessage('assistant', 'One. Two …')]), ('', []),
    ('One. Two. Three.', [ChatMessage('assistant', 'One. Two. Three.')])])
def test_an_answer_is_cut_off_while_it_is_still_being_made(heard, kept):
    history = History(8, 1000)
    history.begin('d1', 1, 'tell me')
    assert history.correct('d1', 1, heard)
    history.answer('d1', 1, 'One. Two. Three.')
    assert list(history.begin('d1', 2, 'go on')[1:-1]) == kept


def talk(history, turns):
    """The messages of each turn of a dialog."""
    prompts = []
    for turn in range(1, turns + 1):
        prompts.append(history.begin('d1', turn, f'question {turn}'))
        history.answer('d1', turn, f'answer {turn}')
    return prompts


def test_history_is_bounded_by_turns_and_its_beginning_stays_for_several():
    prompts = talk(History(4, 10_000), 30)
    assert max(len(p) for p in prompts) == 9
    extended = sum(later[:len(earlier)] == earlier
                   for earlier, later in pairwise(prompts))
    assert extended >= 19  # two of three prompts go on where the one before ended


def test_history_is_bounded_by_tokens():
    prompts = talk(History(100, 60), 30)
    assert max(len(p) for p in prompts) <= 7
    assert prompts[-1][-1] == ChatMessage('user', 'question 30')


def test_no_history_at_all():
    assert [len(p) for p in talk(History(0, 1000), 3)] == [1, 1, 1]


def test_old_dialogs_are_forgotten():
    history = History(8, 1000)
    for number in range(10):
        history.begin(f'd{number}', 1, 'hi')
    assert len(history.begin('d0', 2, 'again')) == 1


# Pieces of a reply ------------------------------------------------------------------------------

@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def pieces():
    return []


@pytest.fixture
def writer(pieces, clock):
    return ReplyWriter(KEY, pieces.append, clock)


def test_the_first_token_leaves_at_once_and_later_ones_together(writer, pieces, clock):
    for token in (' It', ' is', ' a', ' sunny'):
        writer.write(token)
        clock.advance(0.02)
    writer.end()
    assert [p.text for p in pieces] == ['It', ' is a sunny', '']
    assert [p.sequence for p in pieces] == [0, 1, 2]
    assert [p.is_last for p in pieces] == [False, False, True]
    assert writer.text == 'It is a sunny'


def test_the_end_of_a_sentence_does_not_wait(writer, pieces):
    for token in ('Yes', ' sir', '.', ' And'):
        writer.write(token)
    assert [p.text for p in pieces] == ['Yes', ' sir.']


def test_a_reply_ends_once(writer, pieces):
    writer.end(AssistantError(ErrorCode.TIMEOUT, 'late'))
    writer.end()
    writer.write('too late')
    assert len(pieces) == 1
    assert pieces[0].is_last
    assert pieces[0].error.code == ErrorCode.TIMEOUT


def test_leading_blank_tokens_are_not_spoken(writer, pieces):
    for token in ('\n', ' ', ' Hi'):
        writer.write(token)
    assert [p.text for p in pieces] == ['Hi']


# Goals ------------------------------------------------------------------------------------------

USER = ChatMessage('user', 'hi')


def test_a_goal_takes_the_defaults_of_the_node():
    request = to_request([USER], 0, -1.0, 120)
    assert (request.max_tokens, request.temperature) == (120, None)
    assert to_request([USER], 5, 0.0, 120).temperature == 0.0


@pytest.mark.parametrize(('messages', 'max_tokens', 'temperature', 'named'), [
    ([], 0, -1, 'messages: 0 of them; expected 1 to 100'),
    ([USER] * 101, 0, -1, '101 of them'),
    ([ChatMessage('robot', 'hi')], 0, -1, r"messages\[0\].role: 'robot'; expected one of system"),
    ([USER, ChatMessage('user', ' ')], 0, -1, r'messages\[1\].content: empty'),
    ([USER, ChatMessage('assistant', 'x')], 0, -1, 'the last one has the role assistant'),
    ([ChatMessage('user', 'x' * (MAX_LETTERS + 1))], 0, -1, '32001 letters'),
    ([USER], 2**31, -1, 'max_tokens'),
    ([USER], 0, 2.5, 'temperature: 2.5'),
    ([USER], 0, float('nan'), 'temperature: nan'),
])
def test_a_bad_goal_is_refused(messages, max_tokens, temperature, named):
    with pytest.raises(AssistantError, match=named) as caught:
        to_request(messages, max_tokens, temperature, 120)
    assert caught.value.code == ErrorCode.INVALID_ARGUMENT


# Paths ------------------------------------------------------------------------------------------

def test_model_of_llama_cpp():
    modelfile = parse('FROM ./mine.gguf', '/robot/Modelfile')
    assert gguf_path('', '', modelfile) == Path('/robot/mine.gguf')
    assert gguf_path('/a/b.gguf', '', modelfile) == Path('/a/b.gguf')
    assert gguf_path('smollm2-135m-instruct', '', modelfile).suffix == '.gguf'


def test_unknown_and_missing_models(tmp_path, monkeypatch):
    modelfile = parse('FROM llama3.2')
    with pytest.raises(AssistantError, match=r'llama3\.2'):
        gguf_path('', '', modelfile)
    monkeypatch.setenv('VA_MODELS_DIR', str(tmp_path))
    with pytest.raises(AssistantError, match=r'\./va models') as caught:
        gguf_path('smollm2-135m-instruct', '', modelfile)
    assert caught.value.code == ErrorCode.MODEL_MISSING


def test_modelfile_of_the_setting(tmp_path):
    path = tmp_path / 'Modelfile'
    path.write_text('FROM mine')
    assert load_modelfile(str(path)).base == 'mine'
    assert load_modelfile('').system


def test_the_modelfile_begins_a_conversation_without_a_system_message():
    prefix = (ChatMessage('system', 'You are Jarvis.'),)
    assert to_request([USER], 0, -1.0, 120, prefix).messages == (*prefix, USER)
    own = ChatMessage('system', 'You are a parrot.')
    assert to_request([own, USER], 0, -1.0, 120, prefix).messages == (own, USER)
