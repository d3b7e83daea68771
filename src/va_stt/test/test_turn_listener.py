# SPDX-License-Identifier: Apache-2.0
"""One turn, driven by voice frames written down by hand: no clock, no sound."""

from __future__ import annotations

from dataclasses import replace

import pytest

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey
from va_stt.turn_events import JudgeRequest, Kind, Outcome, TranscribeRequest, TurnEvent
from va_stt.turn_listener import TurnListener, TurnRequest
from va_stt.vad_finalize import Endpointing, VadFrame
from va_stt.whisper_cuda import Transcription

FRAME_S = 0.032
KEY = TurnKey('d20261122T102233.123456-1a2b', 1)


def heard(text: str, logprob: float = -0.1) -> Transcription:
    return Transcription(text, 'en', logprob, 0.05, 1.0)


class Script:
    """Feeds runs of voice and silence; a transcriber that always hears ``text``."""

    def __init__(self, text: str = 'What time is it?', *, answer: bool = True,
                 **options: object) -> None:
        self.turn = TurnListener(TurnRequest(KEY, 100.0, **options))
        self.text, self.answer = text, answer
        self.now_s = 100.0
        self.actions: list = []
        self.frame_options: dict = {}

    def feed(self, seconds: float, probability: float) -> Script:
        for _ in range(round(seconds / FRAME_S)):
            end_s = self.now_s + FRAME_S
            self._take(self.turn.on_frame(
                VadFrame(self.now_s, end_s, probability, **self.frame_options)))
            self.now_s = end_s
        return self

    def voice(self, seconds: float) -> Script:
        return self.feed(seconds, 0.95)

    def silence(self, seconds: float) -> Script:
        return self.feed(seconds, 0.02)

    def _take(self, actions: list) -> None:
        self.actions += actions
        for action in actions:
            if isinstance(action, TranscribeRequest) and self.answer:
                self._take(self.turn.on_text(action.revision, heard(self.text)))

    def give(self, actions: list) -> None:
        self._take(actions)

    @property
    def events(self) -> list[TurnEvent]:
        return [a for a in self.actions if isinstance(a, TurnEvent)]

    @property
    def kinds(self) -> list[str]:
        return [e.kind.name for e in self.events]


def test_a_question_gives_started_partial_final():
    s = Script().silence(1).voice(1).silence(2.2)
    assert s.kinds == ['STARTED', 'PARTIAL', 'FINAL']
    final = s.events[-1]
    assert (final.outcome, final.text, final.endpoint_reason) == (
        Outcome.SPEECH, 'What time is it?', 'silence')
    assert final.speech_start_s == pytest.approx(101, abs=0.05)
    assert final.speech_end_s == pytest.approx(102, abs=0.05)
    assert final.endpoint_s == pytest.approx(104, abs=0.05)


def test_text_is_asked_for_early_with_pre_roll():
    s = Script().silence(1).voice(1).silence(0.4)
    request = next(a for a in s.actions if isinstance(a, TranscribeRequest))
    assert request.from_s == pytest.approx(100.7, abs=0.05)
    assert request.to_s == pytest.approx(102.16, abs=0.05)


@pytest.mark.parametrize('silence_s', [0.5, 2.0, 3.0])
def test_silence_setting_decides_the_end(silence_s):
    s = Script(endpointing=Endpointing(silence_s)).voice(1).silence(4)
    final = s.events[-1]
    assert final.endpoint_s - final.speech_end_s == pytest.approx(silence_s, abs=0.04)


def test_going_on_after_a_pause_makes_a_new_revision_with_all_the_sound():
    s = Script().voice(1).silence(1).voice(1).silence(2.2)
    assert s.kinds == ['STARTED', 'PARTIAL', 'RESUMED', 'PARTIAL', 'FINAL']
    assert [e.key.revision for e in s.events] == [0, 0, 1, 1, 1]
    requests = [a for a in s.actions if isinstance(a, TranscribeRequest)]
    assert requests[0].from_s == requests[1].from_s


def test_who_goes_on_before_there_is_a_text_outdates_nothing():
    s = Script(answer=False).voice(1).silence(1).voice(1)
    assert s.kinds == ['STARTED']


def test_a_pause_tells_when_the_turn_will_end():
    s = Script().voice(1).silence(0.4)
    assert s.events[-1].endpoint_s - s.events[-1].speech_end_s == pytest.approx(2.0)
    whole, open_ended = (
        Script(text, endpointing=Endpointing(2.0, smart=True)).voice(1).silence(0.4).events[-1]
        for text in ('What time is it?', 'I would like to'))
    assert whole.endpoint_s - whole.speech_end_s == pytest.approx(1.5)
    assert open_ended.endpoint_s - open_ended.speech_end_s == pytest.approx(2.0)


def test_a_click_in_the_pause_is_not_going_on():
    s = Script().voice(1).silence(1).voice(0.064).silence(1.2)
    assert [e.key.revision for e in s.events] == [0, 0, 0]
    assert s.kinds[-1] == 'FINAL'


@pytest.mark.parametrize('seconds', [0.032, 0.064, 0.096])
def test_a_click_does_not_start_a_turn(seconds):
    assert Script(no_speech_timeout_s=3.0).silence(1).voice(seconds).silence(1).kinds == []


def test_a_short_answer_is_heard():
    assert Script('No.').silence(1).voice(0.16).silence(2.2).kinds == [
        'STARTED', 'PARTIAL', 'FINAL']


def test_nobody_speaks():
    s = Script(no_speech_timeout_s=4.0).silence(5)
    assert s.kinds == ['FINAL']
    assert s.events[0].outcome is Outcome.NO_SPEECH
    assert s.events[0].endpoint_s == pytest.approx(104, abs=0.04)


def test_speech_that_begins_at_the_last_moment_is_not_cut():
    s = Script(no_speech_timeout_s=4.0).silence(3.95).voice(1).silence(2.2)
    assert s.kinds == ['STARTED', 'PARTIAL', 'FINAL']


def test_text_that_comes_after_the_endpoint_makes_the_final():
    s = Script(answer=False).voice(1).silence(2.2)
    assert s.kinds == ['STARTED']
    s.give(s.turn.on_text(0, heard('Late.')))
    assert s.kinds == ['STARTED', 'FINAL']


def test_text_of_an_old_revision_is_dropped():
    s = Script(answer=False).voice(1).silence(1).voice(1).silence(0.4)
    s.give(s.turn.on_text(0, heard('Old.')))
    assert s.kinds == ['STARTED']
    s.give(s.turn.on_text(1, heard('New.')))
    assert s.events[-1].text == 'New.'


def test_no_text_in_time_is_a_failure():
    s = Script(answer=False).voice(1).silence(25)
    assert s.events[-1].outcome is Outcome.FAILED
    assert s.events[-1].error_code == ErrorCode.TIMEOUT


def test_longest_utterance_ends_by_itself():
    s = Script(max_utterance_s=5.0).voice(7)
    assert s.events[-1].endpoint_reason == 'max_length'
    assert s.events[-1].endpoint_s == pytest.approx(105, abs=0.1)


def test_ten_false_ends_in_a_row_are_one_turn_with_all_of_its_sound():
    s = Script().silence(1)
    for _ in range(10):
        s.voice(0.6).silence(1.5)
    s.voice(0.6).silence(2.2)
    assert s.kinds == ['STARTED', *['PARTIAL', 'RESUMED'] * 10, 'PARTIAL', 'FINAL']
    asked = [a for a in s.actions if isinstance(a, TranscribeRequest)]
    assert {a.from_s for a in asked} == {asked[0].from_s}
    assert [a.revision for a in asked] == list(range(11))
    assert s.events[-1].key.revision == 10 and s.turn.done


def test_who_pauses_in_every_sentence_is_answered_after_the_longest_utterance():
    s = Script(max_utterance_s=10.0)
    while not s.turn.done and s.now_s < 160:
        s.voice(2.5).silence(1.0)
    (final,) = (e for e in s.events if e.kind is Kind.FINAL)
    assert final.outcome is Outcome.SPEECH and final.text == 'What time is it?'
    assert final.endpoint_reason == 'max_length'
    assert final.endpoint_s <= 100 + 10 + 1.5
    before = len(s.events)
    s.voice(5).silence(3)  # goes on all the same: nobody listens to this turn any more
    assert len(s.events) == before


def test_endless_speech_that_nothing_is_made_of_ends_as_no_speech():
    s = Script('Thank you.', answer=False, max_utterance_s=10.0, no_speech_timeout_s=4.0)
    s.voice(11)
    s.give(s.turn.on_text(0, heard('you', logprob=-1.5)))
    s.silence(0.5)
    assert s.events[-1].outcome is Outcome.NO_SPEECH and s.turn.done


def test_invented_text_is_not_speech_and_listening_goes_on():
    s = Script(answer=False, no_speech_timeout_s=6.0).silence(1).voice(0.3).silence(0.4)
    s.give(s.turn.on_text(0, heard('Thank you for watching.', logprob=-1.4)))
    assert s.kinds == ['STARTED']
    s.answer = True
    s.voice(1).silence(2.2)
    assert s.kinds == ['STARTED', 'PARTIAL', 'FINAL']
    assert s.events[-1].text == 'What time is it?'
    assert s.events[-1].key.revision > 0


def test_noise_alone_ends_as_no_speech():
    s = Script(answer=False, no_speech_timeout_s=4.0).silence(1).voice(0.3).silence(0.4)
    s.give(s.turn.on_text(0, heard('you', logprob=-1.5)))
    s.silence(4)
    assert [e.outcome for e in s.events if e.kind is Kind.FINAL] == [Outcome.NO_SPEECH]


def test_wake_phrase_is_cut_and_its_tail_starts_nothing():
    s = Script('Hey Jarvis, what time is it?', wake_phrase='hey jarvis')
    s.voice(0.09).silence(1).voice(1).silence(2.2)
    assert s.events[0].speech_start_s == pytest.approx(101.1, abs=0.05)
    assert s.events[-1].text == 'What time is it?'


def test_a_voice_is_noticed_before_it_is_speech_while_yes_may_still_be_said():
    s = Script('', wake_phrase='hey jarvis').silence(0.3).voice(0.06).silence(0.3)
    assert s.kinds == ['NOTICED', 'WITHDRAWN']
    s.silence(1).voice(0.06).silence(0.3)
    assert s.kinds == ['NOTICED', 'WITHDRAWN']


def test_what_is_noticed_is_always_withdrawn_or_speech():
    s = Script('', wake_phrase='hey jarvis').silence(0.95).voice(0.06).silence(0.3)
    assert s.kinds == ['NOTICED', 'WITHDRAWN']


def test_one_breath_is_transcribed_with_the_wake_word():
    s = Script('Hey Jarvis, what time is it?', wake_phrase='hey jarvis')
    s.now_s = 99.0
    s.voice(2.5).silence(2.2)
    request = next(a for a in s.actions if isinstance(a, TranscribeRequest))
    assert request.from_s == pytest.approx(98.5)
    assert s.kinds[:2] == ['NOTICED', 'STARTED']
    assert s.events[1].speech_start_s == pytest.approx(100.1)
    assert s.events[-1].text == 'What time is it?'


def test_speech_apart_from_the_wake_word_is_transcribed_alone():
    s = Script(wake_phrase='hey jarvis')
    s.now_s = 99.0
    s.voice(1).silence(0.6).voice(1).silence(2.2)
    request = next(a for a in s.actions if isinstance(a, TranscribeRequest))
    assert request.from_s == pytest.approx(100.3, abs=0.05)


def test_smart_end_comes_early_and_never_late():
    s = Script(endpointing=Endpointing(2.0, smart=True)).voice(1).silence(0.4)
    request = next(a for a in s.actions if isinstance(a, JudgeRequest))
    s.give(s.turn.on_judgement(request.revision, 0.9))
    assert s.kinds == ['STARTED', 'PARTIAL', 'FINAL']
    assert s.events[-1].endpoint_reason == 'smart'


@pytest.mark.parametrize(('text', 'probability', 'ended'), [
    ('Turn on the light.', 0.55, False), ('Turn on the light.', 0.65, True),
    ('Turn on the light beside my bed.', 0.55, True),
    ('Turn on the light beside my bed.', 0.4, False)])
def test_less_certainty_will_do_after_many_words(text, probability, ended):
    s = Script(text, endpointing=Endpointing(2.0, smart=True)).voice(1).silence(0.4)
    s.give(s.turn.on_judgement(0, probability))
    assert ('FINAL' in s.kinds) is ended


def test_text_that_must_go_on_outweighs_a_sound_that_seems_finished():
    s = Script('Set a timer for.', endpointing=Endpointing(2.0, smart=True))
    s.voice(1).silence(0.4)
    s.give(s.turn.on_judgement(0, 0.99))
    assert s.kinds == ['STARTED', 'PARTIAL']
    s.silence(2.0)
    assert s.events[-1].endpoint_reason == 'silence'


def test_a_syllable_without_words_belongs_to_what_follows_soon():
    s = Script('').silence(1).voice(0.2).silence(0.3)
    s.text = 'Play some music.'
    s.voice(0.8).silence(2.2)
    requests = [a for a in s.actions if isinstance(a, TranscribeRequest)]
    assert requests[-1].from_s == requests[0].from_s
    assert s.events[-1].text == 'Play some music.'


def test_what_was_understood_stays_when_a_noise_follows():
    s = Script('Turn on the light.').silence(1).voice(1).silence(0.4)
    s.text = ''
    s.voice(0.3).silence(2.2)
    assert s.events[-1].text == 'Turn on the light.'
    assert s.events[-1].outcome is Outcome.SPEECH


def test_noise_before_a_short_silence_limit_does_not_hang():
    s = Script('', no_speech_timeout_s=2.0, endpointing=Endpointing(0.2))
    s.silence(0.5).voice(0.2).silence(3.0)
    assert [e.outcome for e in s.events if e.kind.name == 'FINAL'] == [Outcome.NO_SPEECH]


@pytest.mark.parametrize(('continues', 'ended'), [(0.02, True), (0.2, False)])
def test_a_voice_that_stays_up_is_waited_for(continues, ended):
    s = Script(answer=False, endpointing=Endpointing(2.0, smart=True)).voice(1).silence(0.4)
    s.give(s.turn.on_judgement(0, 0.99))
    s.give(s.turn.on_text(0, replace(heard('Send it to Martin.'), continues=continues)))
    assert ('FINAL' in s.kinds) is ended


def test_smart_end_waits_for_the_text():
    s = Script(answer=False, endpointing=Endpointing(2.0, smart=True)).voice(1).silence(0.4)
    s.give(s.turn.on_judgement(0, 0.99))
    assert s.kinds == ['STARTED']
    s.give(s.turn.on_text(0, heard('Turn on the light.')))
    assert s.kinds == ['STARTED', 'PARTIAL', 'FINAL']
    assert s.events[-1].endpoint_reason == 'smart'


@pytest.mark.parametrize(('text', 'reason', 'after_s'), [
    ('Turn on the light.', 'smart', 1.5), ('Turn on the', 'silence', 2.0),
    ('Turn on the light beside my bed.', 'smart', 1.0)])
def test_what_does_not_sound_finished_is_judged_once_and_waited_for(text, reason, after_s):
    s = Script(text, endpointing=Endpointing(2.0, smart=True)).voice(1).silence(0.2)
    s.give(s.turn.on_judgement(0, 0.1))
    s.silence(2.2)
    assert len([a for a in s.actions if isinstance(a, JudgeRequest)]) == 1
    final = s.events[-1]
    assert final.endpoint_reason == reason
    assert final.endpoint_s - final.speech_end_s == pytest.approx(after_s, abs=0.04)


def test_patience_is_never_longer_than_the_silence_setting():
    s = Script(endpointing=Endpointing(0.7, smart=True)).voice(1).silence(2)
    assert s.events[-1].endpoint_s - s.events[-1].speech_end_s == pytest.approx(0.7, abs=0.04)


def test_a_judgement_that_never_comes_costs_patience_only():
    s = Script(endpointing=Endpointing(2.0, smart=True)).voice(1).silence(2.2)
    assert s.events[-1].endpoint_reason == 'smart'


def test_long_pauses_are_left_out_of_what_is_judged():
    s = Script('Turn on the', endpointing=Endpointing(2.0, smart=True))
    s.silence(1).voice(1).silence(1).voice(1).silence(0.15).voice(0.5).silence(0.2)
    first, *_, last = [a.stretches for a in s.actions if isinstance(a, JudgeRequest)]
    assert len(first) == 1 and len(last) == 2
    assert sum(b - a for a, b in last) == pytest.approx(0.3 + 1.0 + 0.2 + 1.65 + 0.1, abs=0.1)
    assert last[0][1] == pytest.approx(102.1, abs=0.05)
    assert last[1][0] == pytest.approx(102.9, abs=0.05)


def test_fixed_mode_asks_for_no_judgement():
    s = Script().voice(1).silence(2.2)
    assert not [a for a in s.actions if isinstance(a, JudgeRequest)]


def test_judgement_that_comes_after_going_on_is_dropped():
    s = Script(endpointing=Endpointing(2.0, smart=True)).voice(1).silence(0.4).voice(0.3)
    s.give(s.turn.on_judgement(0, 0.9))
    assert 'FINAL' not in s.kinds


def test_residual_echo_starts_nothing_but_a_person_over_it_does():
    s = Script(no_speech_timeout_s=20.0)
    s.frame_options = {'echo': True, 'near': False}
    s.voice(1)
    assert s.kinds == []
    s.frame_options = {'echo': True}
    s.silence(0.5).voice(0.2).silence(0.5).feed(1, 0.4)
    assert s.kinds == []
    s.voice(0.4)
    assert s.kinds == ['STARTED']


def test_stop_and_fail_give_one_final():
    s = Script().voice(0.5)
    s.give(s.turn.stop('user'))
    s.give(s.turn.fail(AssistantError(ErrorCode.DEVICE_FAILED, 'x')))
    assert s.kinds == ['STARTED', 'FINAL']
    assert (s.events[-1].outcome, s.events[-1].endpoint_reason) == (Outcome.STOPPED, 'user')


def test_partials_can_be_off():
    assert Script(partials=False).voice(1).silence(2.2).kinds == ['STARTED', 'FINAL']
