# SPDX-License-Identifier: Apache-2.0
"""A turn that loses a node is answered all the same: in virtual time."""

from dataclasses import replace

from dialog_talk import RULES, Talk
import pytest

from va_common.errors import ErrorCode
from va_common.ids import TurnKey
from va_loader.dialog_commands import (
    AskAgain,
    DropAttempt,
    PassOn,
    PublishReport,
    ShowState,
    Speak,
    StopReply,
)
from va_loader.dialog_events import (
    NodeBack,
    NodeLost,
    Outcome,
    Playback,
    PlaybackKind,
    ReplayFailed,
    ReplyPiece,
    SpeakBegun,
    SpeakEnded,
    SpeechPartial,
)
from va_loader.unheard import split_unheard


@pytest.fixture
def talk():
    return Talk()


def lose(talk, name='llm', reason='killed by SIGKILL'):
    return talk.tell(NodeLost(name, reason))


def back(talk, name='llm'):
    return talk.tell(NodeBack(name))


def answers(talk, text='It is noon.', seconds=1.0):
    """The reply comes, is heard to its end, and the follow-up window opens."""
    key = talk.key
    talk.piece(text, is_last=True)
    talk.play(PlaybackKind.STARTED, remaining_s=seconds)
    assert talk.state == 'speaking'
    talk.wait(seconds)
    talk.play(PlaybackKind.FINISHED, text)
    assert (talk.state, talk.key.turn) == ('follow_up', key.turn + 1)
    assert talk.key.dialog_id == key.dialog_id


def outcomes(talk):
    return [command.report.outcome for command in talk.of(PublishReport)]


# llm -------------------------------------------------------------------------------------------

def test_llm_lost_while_thinking_is_asked_the_same_again_when_it_is_back(talk):
    talk.asked()
    first = talk.key
    apology = talk.of(Speak, lose(talk))[0]
    assert apology.text == 'One moment.'
    assert talk.state == 'speaking'
    talk.say_phrase()
    assert talk.state == 'recovering'
    assert 'SIGKILL' in talk.of(ShowState)[-1].reason
    talk.wait(3.0)
    asked = talk.of(AskAgain, back(talk))[0]
    assert (asked.key.dialog_id, asked.key.turn) == (first.dialog_id, first.turn)
    assert asked.key > first
    assert asked.text == 'what time is it'
    assert talk.state == 'thinking'
    answers(talk)
    assert outcomes(talk) == ['answered']
    assert len(talk.records('LATENCY')) == 1
    assert len(talk.records('USER')) == 1
    assert [e for e in talk.events() if e not in ('wake', 'dialog_end')] == [
        'node_lost', 'turn_lost', 'node_back', 'turn_replayed']
    assert talk.records('ASSISTANT')[-1].data['replayed'] == ['llm']


def test_llm_back_before_the_apology_ends_is_asked_at_once(talk):
    talk.asked()
    lose(talk)
    assert talk.of(AskAgain, back(talk))
    talk.piece('It is noon.', is_last=True)
    talk.say_phrase()
    assert talk.state == 'thinking'
    talk.play(PlaybackKind.STARTED, remaining_s=1.0)
    talk.play(PlaybackKind.FINISHED, 'It is noon.')
    assert outcomes(talk) == ['answered']
    assert [r.text for r in talk.records('ASSISTANT')] == ['One moment.', 'It is noon.']


def test_llm_lost_while_speaking_drops_the_attempt_and_speaks_the_new_answer(talk):
    talk.asked()
    old = talk.key
    talk.piece('Once upon a ')
    talk.play(PlaybackKind.STARTED, 'Once', remaining_s=1.0)
    dropped = talk.of(DropAttempt, lose(talk))[0]
    assert dropped.key > old
    assert not talk.of(StopReply)
    talk.say_phrase()
    talk.tell(ReplyPiece(old, 'late', False, talk.now))
    talk.tell(Playback(old, PlaybackKind.INTERRUPTED, talk.now, 'Once'))
    back(talk)
    talk.tell(ReplyPiece(old, 'later', True, talk.now))
    answers(talk, 'A spider lived here.')
    record = talk.records('ASSISTANT')[-1]
    assert record.text == record.data['heard'] == 'A spider lived here.'
    lost = next(r for r in talk.records('EVENT') if r.text == 'turn_lost')
    assert lost.data['heard'] == 'Once'


def test_an_answer_that_broke_off_is_asked_for_again(talk):
    talk.asked()
    talk.piece('It is ')
    talk.play(PlaybackKind.STARTED, remaining_s=0.5)
    new = talk.piece('', is_last=True, error_code=7, error_msg='cut')
    assert talk.of(Speak, new)[0].text == 'One moment.'
    assert talk.of(AskAgain, new)
    answers(talk)


def test_llm_that_fails_twice_is_given_up_with_an_apology(talk):
    talk.asked()
    lose(talk)
    talk.say_phrase()
    back(talk)
    new = lose(talk)
    assert talk.of(Speak, new)[0].text == 'Sorry.'
    assert talk.of(StopReply, new)
    talk.say_phrase()
    assert talk.state == 'follow_up'
    assert outcomes(talk) == ['failed']
    assert len(talk.records('LATENCY')) == 1
    assert not [c for c in talk.of(AskAgain, back(talk)) if c.text]


def test_a_question_while_the_llm_is_away_waits_for_it(talk):
    talk.acknowledged()
    lose(talk)
    new = talk.final()
    assert talk.records('USER')
    assert talk.of(Speak, new)[0].text == 'One moment.'
    talk.say_phrase()
    assert talk.of(AskAgain, back(talk))
    answers(talk)


def test_llm_that_stays_away_is_given_up(talk):
    talk.asked()
    lose(talk)
    talk.say_phrase()
    talk.wait(31.0)
    assert talk.of(Speak)[-1].text == 'Sorry.'
    talk.say_phrase()
    assert talk.state == 'follow_up'
    assert outcomes(talk) == ['failed']


def test_llm_that_cannot_be_asked_again_is_given_up(talk):
    talk.asked()
    lose(talk)
    back(talk)
    talk.tell(ReplayFailed(talk.key, 'llm', 'no answer'))
    assert talk.of(Speak)[-1].text == 'Sorry.'


def test_a_wake_in_the_wait_begins_a_new_turn(talk):
    talk.asked()
    lose(talk)
    talk.say_phrase()
    new = talk.wake()
    assert talk.of(StopReply, new)
    assert (talk.key.turn, talk.state) == (2, 'acknowledging')
    talk.wait(2.5)
    assert outcomes(talk) == ['interrupted']
    assert not [c for c in talk.of(AskAgain, back(talk)) if c.text]


def test_silence_asked_for_in_the_wait_gives_the_turn_up_quietly(talk):
    talk.asked()
    lose(talk)
    talk.tell(SpeakEnded(talk.of(Speak)[-1].token, int(ErrorCode.CANCELLED), 'stopped'))
    assert talk.state == 'follow_up'
    assert outcomes(talk) == ['interrupted']
    assert len(talk.of(Speak)) == 2  # acknowledgement and apology


@pytest.mark.parametrize('heard', [False, True])
def test_a_reply_that_was_stopped_is_no_failure(talk, heard):
    talk.asked()
    if heard:
        talk.piece('It is ')
        talk.play(PlaybackKind.STARTED, remaining_s=0.5)
    spoken = len(talk.of(Speak))
    talk.piece('', is_last=True, error_code=int(ErrorCode.CANCELLED), error_msg='stopped')
    if heard:
        talk.play(PlaybackKind.FAILED, 'It is', error_code=int(ErrorCode.CANCELLED))
    assert talk.state == 'follow_up'
    assert outcomes(talk) == ['interrupted']
    assert len(talk.of(Speak)) == spoken


def test_a_restarted_llm_is_told_the_dialog_with_the_question(talk):
    talk.answered()
    talk.start_speech()
    talk.final('and what did I just say')
    lose(talk)
    asked = talk.of(AskAgain, back(talk))[0]
    assert [(said.user, said.assistant) for said in asked.said] == [
        ('what time is it', 'It is noon.')]


def test_llm_lost_between_two_questions_is_told_the_dialog(talk):
    talk.answered()
    lose(talk)
    told = talk.of(AskAgain, back(talk))[0]
    assert (told.key.turn, told.text) == (2, '')
    assert told.said[0].assistant == 'It is noon.'


def test_llm_lost_after_its_last_word_is_told_the_dialog_before_the_next_question(talk):
    talk.speaking()
    lose(talk)
    assert not talk.of(AskAgain, back(talk))
    new = talk.play(PlaybackKind.FINISHED, 'It is noon.')
    assert talk.of(AskAgain, new)[0].said[0].user == 'what time is it'


def test_without_a_phrase_for_it_nothing_is_said():
    talk = Talk(replace(RULES, patience=())).asked()
    lose(talk)
    assert talk.state == 'recovering'
    back(talk)
    answers(talk)


@pytest.mark.parametrize(('pause_s', 'asked'), [(1.0, True), (6.0, False)])
def test_a_question_just_after_a_restart_reaches_llm_by_a_call(talk, pause_s, asked):
    talk.answered()
    lose(talk)
    back(talk)
    talk.wait(pause_s)
    talk.start_speech()
    talk.done.clear()
    talk.final('and tomorrow')
    assert [c.text for c in talk.of(AskAgain)] == ['and tomorrow'] * asked
    assert not talk.of(Speak)
    answers(talk)


@pytest.mark.parametrize(('pause_s', 'by_call'), [(1.0, True), (6.0, False)])
def test_a_reply_just_after_a_restart_reaches_tts_by_calls(talk, pause_s, by_call):
    talk.answered()
    lose(talk, 'tts')
    back(talk, 'tts')
    talk.wait(pause_s)
    talk.start_speech()
    talk.final('and tomorrow')
    answers(talk)
    assert passed_on(talk) == [('It is noon.', True)] * by_call
    assert bool(talk.of(DropAttempt)) is by_call


# tts -------------------------------------------------------------------------------------------

STORY = 'Once there was a spider. It had a web. It was happy.'


def telling(talk, heard='Once there was a spider. It had'):
    talk.asked()
    talk.piece(STORY[:40])
    talk.play(PlaybackKind.STARTED, remaining_s=4.0)
    talk.wait(1.0)
    talk.play(PlaybackKind.PROGRESS, heard, remaining_s=2.0)


def passed_on(talk):
    return [(c.text, c.is_last) for c in talk.of(PassOn)]


def test_tts_lost_while_speaking_goes_on_with_the_sentence_that_was_not_heard(talk):
    telling(talk)
    lose(talk, 'tts')
    assert talk.state == 'recovering'
    talk.piece(STORY[40:45])
    new = back(talk, 'tts')
    assert talk.of(Speak, new)[0].text == 'One moment.'
    assert not talk.of(PassOn)
    talk.say_phrase()
    talk.piece(STORY[45:], is_last=True)
    assert passed_on(talk) == [(' It had a web. It was', False), (STORY[45:], True)]
    assert len({command.key for command in talk.of(PassOn)}) == 1
    talk.play(PlaybackKind.STARTED, remaining_s=2.0)
    assert talk.state == 'speaking'
    talk.play(PlaybackKind.FINISHED, 'It had a web. It was happy.')
    record = talk.records('ASSISTANT')[-1]
    assert record.text == record.data['heard'] == STORY
    assert outcomes(talk) == ['answered']
    assert (talk.state, talk.key.turn) == ('follow_up', 2)


def test_tts_gets_the_rest_as_soon_as_the_apology_is_heard(talk):
    telling(talk)
    lose(talk, 'tts')
    back(talk, 'tts')
    assert talk.of(PassOn, talk.tell(SpeakBegun(talk.of(Speak)[-1].token)))
    talk.say_phrase()
    assert len(talk.of(PassOn)) == 1


def test_tts_lost_while_thinking_speaks_the_reply_that_came_meanwhile(talk):
    talk.asked()
    lose(talk, 'tts')
    talk.piece('It is ')
    back(talk, 'tts')
    talk.piece('noon.', is_last=True)
    talk.say_phrase()
    assert passed_on(talk) == [('It is noon.', True)]
    talk.play(PlaybackKind.STARTED, remaining_s=1.0)
    talk.play(PlaybackKind.FINISHED, 'It is noon.')
    times = talk.of(PublishReport)[0].report.times
    assert 0 < times.first_token <= times.first_audio


def test_tts_lost_after_the_last_word_was_heard_needs_nothing(talk):
    talk.speaking()
    talk.play(PlaybackKind.PROGRESS, 'It is noon.')
    lose(talk, 'tts')
    back(talk, 'tts')
    talk.say_phrase()
    assert not talk.of(PassOn)
    assert talk.state == 'follow_up'
    assert outcomes(talk) == ['answered']


def test_tts_lost_twice_is_given_up(talk):
    telling(talk)
    lose(talk, 'tts')
    back(talk, 'tts')
    talk.say_phrase()
    lose(talk, 'tts')
    assert talk.of(Speak, back(talk, 'tts'))[0].text == 'Sorry.'
    talk.say_phrase()
    assert talk.state == 'follow_up'
    assert outcomes(talk) == ['failed']


def test_tts_lost_while_it_apologises_for_the_llm_apologises_when_it_is_back(talk):
    talk.asked()
    lose(talk)
    lose(talk, 'tts')
    back(talk)
    assert not talk.of(AskAgain)
    new = back(talk, 'tts')
    assert talk.of(Speak, new)
    assert talk.of(AskAgain, new)
    answers(talk)


def test_both_lost_while_speaking_asks_again(talk):
    telling(talk)
    lose(talk, 'tts')
    lose(talk, 'llm')
    back(talk, 'tts')
    talk.say_phrase()
    assert talk.state == 'recovering'
    back(talk, 'llm')
    assert not talk.of(PassOn)
    answers(talk)


def test_a_speaker_that_fails_is_tried_again_until_it_works(talk):
    telling(talk)
    talk.play(PlaybackKind.FAILED, error_code=8, error_msg='device gone')
    for _ in range(3):
        talk.tell(SpeakEnded(talk.of(Speak)[-1].token, 8, 'device gone'))
        assert talk.state == 'recovering'
        assert talk.of(Speak, talk.wait(1.1))
    talk.say_phrase()
    assert passed_on(talk)


def test_a_speaker_that_never_works_ends_the_wait(talk):
    telling(talk)
    talk.play(PlaybackKind.FAILED, error_code=8, error_msg='device gone')
    for _ in range(40):
        if not talk.manager._turn.todo:
            break
        talk.tell(SpeakEnded(talk.of(Speak)[-1].token, 8, 'device gone'))
        talk.wait(1.1)
    assert outcomes(talk) == ['failed']


def test_tts_that_waited_for_text_blames_the_llm(talk):
    talk.asked()
    talk.piece('It is ')
    talk.play(PlaybackKind.STARTED, remaining_s=0.5)
    talk.play(PlaybackKind.FAILED, error_code=int(ErrorCode.TIMEOUT), error_msg='no text')
    assert talk.of(AskAgain)


def test_a_wake_after_the_rest_began_drops_it(talk):
    telling(talk)
    lose(talk, 'tts')
    back(talk, 'tts')
    talk.say_phrase()
    talk.play(PlaybackKind.STARTED, remaining_s=2.0)
    voice = talk.manager._turn.voice_key
    assert talk.of(StopReply, talk.wake())
    talk.tell(Playback(voice, PlaybackKind.INTERRUPTED, talk.now, 'It'))
    assert talk.records('ASSISTANT')[-1].data['heard'] == 'Once there was a spider. It'


# stt -------------------------------------------------------------------------------------------

def partial(talk, text):
    talk.tell(SpeechPartial(talk.key, talk.now, text, 'en', 0.9, talk.now - 0.4))


def test_a_question_that_was_heard_before_stt_was_lost_is_answered(talk):
    talk.acknowledged()
    talk.start_speech()
    partial(talk, 'What time is it?')
    new = lose(talk, 'stt')
    assert talk.records('USER')[0].text == 'What time is it?'
    assert talk.of(AskAgain, new)[0].text == 'What time is it?'
    talk.say_phrase()
    key = talk.key
    talk.piece('It is noon.', is_last=True)
    talk.play(PlaybackKind.STARTED, remaining_s=1.0)
    talk.play(PlaybackKind.FINISHED, 'It is noon.')
    assert talk.state == 'recovering'
    back(talk, 'stt')
    assert (talk.state, talk.key) == ('follow_up', TurnKey(key.dialog_id, 2))


@pytest.mark.parametrize('text', ['What time', 'I wonder...', ''])
def test_half_a_question_is_not_answered(talk, text):
    talk.acknowledged()
    talk.start_speech()
    partial(talk, text)
    assert talk.of(Speak, lose(talk, 'stt'))[0].text == 'Sorry.'
    assert not talk.of(AskAgain)


def test_a_transcription_that_fails_after_a_pause_keeps_what_was_heard(talk):
    talk.acknowledged()
    talk.start_speech()
    partial(talk, 'What time is it?')
    assert talk.of(AskAgain, talk.final('', Outcome.FAILED, error_msg='microphone is gone'))


# Others ----------------------------------------------------------------------------------------

@pytest.mark.parametrize('where', ['asked', 'speaking'])
@pytest.mark.parametrize('name', ['kwd', 'logger'])
def test_kwd_or_logger_lost_in_a_turn_costs_nothing(name, where):
    talk = getattr(Talk(), where)()
    state, spoken = talk.state, len(talk.of(Speak))
    lose(talk, name)
    back(talk, name)
    assert (talk.state, len(talk.of(Speak))) == (state, spoken)


def test_going_down_in_the_wait_keeps_the_record_complete(talk):
    talk.asked()
    lose(talk)
    talk.manager._end('stopping')
    assert talk.manager._out.drain()
    assert talk.key.dialog_id == ''


@pytest.mark.parametrize(('text', 'heard', 'rest'), [
    ('One. Two. Three.', '', 'One. Two. Three.'),
    ('One. Two. Three.', 'One.', ' Two. Three.'),
    ('One. Two. Three.', 'One. Tw', ' Two. Three.'),
    ('One.\n\nTwo  words. Three.', 'One. Two words.', ' Three.'),
    ('One. Two.', 'One. Two.', ''),
    ('No end yet', 'No', 'No end yet'),
    ('', '', ''),
    ('One. Two. ', 'One. Two.', ''),
    ('Short', 'Something longer than that', ''),
])
def test_the_rest_begins_with_the_sentence_that_was_not_heard_to_its_end(text, heard, rest):
    done, left = split_unheard(text, heard)
    assert left.strip() == rest.strip()
    assert done + left == text
