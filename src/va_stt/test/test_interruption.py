# SPDX-License-Identifier: Apache-2.0
"""Speech over the assistant's voice: told at once, withdrawn when it has no words."""

from __future__ import annotations

import pytest
from test_turn_listener import heard, Script

from va_common.errors import AssistantError
from va_stt.interruption import Interruption, is_stop_phrase
from va_stt.requests import dialog_request
from va_stt.turn_events import Outcome, TranscribeRequest
from va_stt.whisper_cuda import Transcription

ECHO = {'echo': True}
COUGH = Transcription('you', 'en', -1.75, 0.7, 0.3)


class Over(Script):
    """A turn that listens while the assistant speaks."""

    def __init__(self, text: str = 'Wait, what about tomorrow?', **options: object) -> None:
        super().__init__(text, over_playback=True, stop_phrases=('stop', 'be quiet'), **options)
        self.frame_options = dict(ECHO)
        self.heard: Transcription | None = None

    def _take(self, actions: list) -> None:
        self.actions += actions
        for action in actions:
            if isinstance(action, TranscribeRequest) and self.answer:
                handle = self.turn.on_glimpse if action.glimpse else self.turn.on_text
                self._take(handle(action.revision, self.heard or heard(self.text)))


def test_two_frames_are_an_alarm():
    s = Over().silence(1).feed(0.032, 0.4)
    assert s.kinds == ['NOTICED']
    s.feed(0.032, 0.6)
    assert s.kinds == ['NOTICED', 'STARTED']
    assert s.events[-1].speech_start_s == pytest.approx(s.now_s - 0.064, abs=0.001)


def test_a_knock_is_noticed_and_withdrawn():
    s = Over().silence(1).feed(0.032, 0.5).silence(0.3)
    assert s.kinds == ['NOTICED', 'WITHDRAWN']
    assert not [a for a in s.actions if isinstance(a, TranscribeRequest)]


def test_what_is_no_more_than_echo_is_no_alarm():
    s = Over()
    s.frame_options['near'] = False
    assert not s.voice(1).kinds


def test_a_cough_is_withdrawn_and_the_next_words_are_not():
    s = Over().silence(1)
    s.heard = COUGH
    s.voice(0.3).silence(1)
    assert s.kinds == ['STARTED', 'WITHDRAWN']
    s.heard = None
    s.voice(1).silence(2.2)
    assert s.kinds[2:] == ['STARTED', 'PARTIAL', 'PARTIAL', 'FINAL']
    assert s.events[-1].outcome is Outcome.SPEECH


def test_a_cough_is_looked_at_quickly_and_a_sentence_is_not():
    s = Over().silence(1)
    s.heard = COUGH
    s.voice(0.3).silence(1).voice(1).silence(0.4)
    asked = [(a.glimpse, a.quick) for a in s.actions if isinstance(a, TranscribeRequest)]
    assert asked[0] == (False, True)
    assert asked[1:] == [(True, True), (True, True), (False, False)]


def test_who_speaks_on_is_believed_in_the_middle_of_it():
    s = Over().silence(1).voice(0.6)
    assert s.kinds == ['STARTED', 'PARTIAL']
    assert s.events[-1].endpoint_s == 0.0, 'it is no pause'
    s.voice(3)
    assert s.kinds == ['STARTED', 'PARTIAL'], 'one look was enough'


def test_a_look_that_comes_too_late_does_not_cut_the_text_short():
    s = Over(answer=False).silence(1).voice(0.6).silence(0.3)
    glimpse, whole = (a for a in s.actions if isinstance(a, TranscribeRequest))
    assert (glimpse.glimpse, whole.glimpse) == (True, False)
    s.give(s.turn.on_glimpse(glimpse.revision, heard('Wait, what')))
    s.give(s.turn.on_text(whole.revision, heard('Wait, what about tomorrow?')))
    assert s.silence(2).events[-1].text == 'Wait, what about tomorrow?'


def test_words_that_come_late_are_told_before_they_are_final():
    s = Over(answer=False).silence(1).voice(0.4).silence(2.2)
    request = next(a for a in s.actions if isinstance(a, TranscribeRequest) and not a.glimpse)
    s.give(s.turn.on_text(request.revision, heard('It is a talent.')))
    assert s.kinds == ['STARTED', 'PARTIAL']
    assert s.silence(0.4).kinds == ['STARTED', 'PARTIAL', 'FINAL']


def test_a_turn_that_is_given_up_in_time_has_no_words():
    s = Over(answer=False).silence(1).voice(0.4).silence(2.2)
    request = next(a for a in s.actions if isinstance(a, TranscribeRequest) and not a.glimpse)
    s.give(s.turn.on_text(request.revision, heard('It is a talent.')))
    s.give(s.turn.stop('its own words'))
    assert s.silence(0.4).kinds == ['STARTED', 'PARTIAL', 'FINAL']
    assert (s.events[-1].outcome, s.events[-1].text) == (Outcome.STOPPED, '')


def test_words_that_were_believed_stay_when_the_rest_is_nothing():
    s = Over('Wait.').silence(1).voice(0.6)
    s.heard = COUGH
    s.silence(2.2)
    assert s.kinds == ['STARTED', 'PARTIAL', 'PARTIAL', 'FINAL']
    assert s.events[-1].text == 'Wait.'


def test_partials_are_told_whatever_the_setting_says():
    assert 'PARTIAL' in Over(partials=False).silence(1).voice(1).silence(0.4).kinds


@pytest.mark.parametrize(('text', 'outcome'), [
    ('Stop.', Outcome.STOP), ('Be quiet!', Outcome.STOP),
    ('Stop the music.', Outcome.SPEECH)])
def test_stop_alone_is_nothing_to_answer(text, outcome):
    final = Over(text).silence(1).voice(1).silence(2.2).events[-1]
    assert (final.outcome, final.text) == (outcome, text)


def test_an_unsure_stop_is_heard_and_an_unsure_question_is_not():
    s = Over()
    s.heard = Transcription('Stop it!', 'en', -1.0, 0.2, 0.5)
    assert not is_stop_phrase('Stop it!', ('stop',))
    assert 'PARTIAL' not in s.voice(0.4).silence(0.3).kinds
    s = Over()
    s.heard = Transcription('Stop!', 'en', -1.0, 0.2, 0.5)
    assert 'PARTIAL' in s.voice(0.4).silence(0.3).kinds


@pytest.mark.parametrize(('voiced_s', 'believed'), [(0.25, False), (0.4, True)])
def test_what_is_as_short_as_a_cough_must_be_surer(voiced_s, believed):
    thanks = Transcription('Thank you.', 'en', -0.5, 0.3, 0.5)
    assert Interruption().has_words(thanks, voiced_s) is believed


@pytest.mark.parametrize(('text', 'phrases', 'alone'), [
    ('Stop!', ('stop',), True), ('That’s enough.', ("that's enough",), True),
    ('Stop, please.', ('stop please',), True), ('Stopped', ('stop',), False),
    ('', ('stop',), False), ('Stop', (), False)])
def test_stop_phrases_whatever_their_case_and_punctuation(text, phrases, alone):
    assert is_stop_phrase(text, phrases) is alone


@pytest.mark.parametrize('phrases', [['x'] * 51, ['x' * 101]])
def test_too_many_or_too_long_stop_phrases_are_refused(phrases):
    with pytest.raises(AssistantError, match='stop_phrases .*: expected at most'):
        dialog_request(lambda key: 0, dialog_id='d', turn=1, listen_from_s=0.0, wake_phrase='',
                       no_speech_timeout_ms=0, now_s=1.0, stop_phrases=phrases)
