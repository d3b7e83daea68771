# SPDX-License-Identifier: Apache-2.0
"""The user speaks over an answer: it gets quiet at once, and ends when there are words."""

from dataclasses import replace

from dialog_talk import RULES, Talk
import pytest

from va_common.ids import TurnKey
from va_loader.dialog_barge_in import OWN_WORDS
from va_loader.dialog_commands import (
    How,
    PauseReply,
    PublishReport,
    Speak,
    StartListening,
    StopListening,
    StopReply,
)
from va_loader.dialog_events import (
    Closed,
    ListenFailed,
    NodeBack,
    NodeLost,
    Outcome,
    Playback,
    PlaybackKind,
    SpeechFinal,
    SpeechNoticed,
    SpeechPartial,
    SpeechStarted,
    SpeechWithdrawn,
)

STOP = replace(RULES, stop_phrases=('stop',))


class Interrupted(Talk):
    """A dialog whose first answer is being spoken."""

    def __init__(self, rules=STOP):
        super().__init__(rules)
        self.speaking()
        self.over = TurnKey(self.key.dialog_id, 2)

    def alarm(self):
        return [*self.tell(SpeechNoticed(self.over)),
                *self.tell(SpeechStarted(self.over, self.now, self.now - 0.2))]

    def words(self, text='Wait.'):
        return self.tell(SpeechPartial(self.over, self.now, text, 'en', 0.9, self.now))

    def end_of_turn(self, text='Wait, and tomorrow?', outcome=Outcome.SPEECH):
        return self.tell(SpeechFinal(
            self.over, outcome, self.now, text, 'en', 0.9, self.now - 2, self.now, 'silence'))

    def pauses(self, commands=None):
        return [c.how for c in self.of(PauseReply, commands)]


@pytest.fixture
def talk():
    return Interrupted()


def test_the_next_turn_is_listened_for_from_the_end_of_the_question(talk):
    over = talk.of(StartListening)[-1]
    assert (over.key, over.over_playback, over.stop_phrases) == (talk.over, True, ('stop',))
    assert over.listen_from_s < talk.now
    assert len(talk.of(StartListening)) == 2


def test_it_gets_quieter_then_silent_then_the_words_end_it(talk):
    key = talk.key
    assert talk.pauses(talk.alarm()) == [How.DUCK, How.HOLD]
    assert talk.state == 'speaking'
    talk.wait(0.6)
    assert [c.key for c in talk.of(StopReply, talk.words())] == [key]
    assert (talk.state, talk.key) == ('listening', talk.over)
    talk.tell(replace(_interrupted(key, talk.now), text='It'))
    assert talk.records('ASSISTANT')[-1].data['heard'] == 'It'
    assert talk.of(PublishReport)[-1].report.outcome == 'interrupted'
    talk.wait(3.0)
    talk.end_of_turn()
    assert talk.state == 'thinking'
    assert talk.records('USER')[-1].text == 'Wait, and tomorrow?'
    assert 'barge_in' in talk.events()
    assert talk.pauses() == [How.DUCK, How.HOLD], 'a stopped reply is not resumed'


@pytest.mark.parametrize('hear', ['words', 'end_of_turn'])
def test_its_own_words_let_it_go_on(talk, hear):
    talk.alarm()
    assert talk.pauses(getattr(talk, hear)('It is known.')) == [How.GO_ON]
    assert (talk.state, talk.of(StopReply)) == ('speaking', [])
    assert not talk.pauses(talk.words('It is known.')), 'it goes on already'


@pytest.mark.parametrize('later_s, goes_on', [(0.0, True), (1.5, False)])
def test_words_that_begin_with_the_answer_and_sound_like_it_are_its_own(talk, later_s, goes_on):
    talk.wait(later_s)
    talk.alarm()
    assert (How.GO_ON in talk.pauses(talk.words('It was'))) is goes_on
    assert bool(talk.of(StopReply)) is not goes_on


def test_a_turn_of_its_own_words_gets_no_final_that_llm_would_answer(talk):
    talk.alarm()
    stop, = talk.of(StopListening, talk.words('It is known.'))
    assert stop.key == talk.over
    talk.tell(SpeechFinal(talk.over, Outcome.STOPPED, talk.now, '', '', 0.0, 0.0, talk.now,
                          stop.reason))
    talk.play(PlaybackKind.PROGRESS, 'It', remaining_s=1.0)
    assert talk.of(StartListening)[-1].key == talk.over
    assert talk.state == 'speaking'


def test_a_late_end_of_its_own_words_does_not_end_the_follow_up(talk):
    talk.alarm()
    talk.words('It is known.')
    talk.play(PlaybackKind.FINISHED, 'It is noon.')
    talk.tell(SpeechFinal(talk.over, Outcome.STOPPED, talk.now, '', '', 0.0, 0.0, talk.now,
                          'its own words'))
    assert (talk.state, talk.key) == ('follow_up', talk.over)


def _interrupted(key, now):
    return Playback(key, PlaybackKind.INTERRUPTED, now)


def test_a_cough_lets_it_go_on(talk):
    talk.alarm()
    talk.wait(0.8)
    assert talk.pauses(talk.tell(SpeechWithdrawn(talk.over))) == [How.GO_ON]
    assert talk.state == 'speaking'
    talk.wait(2.0)
    talk.play(PlaybackKind.FINISHED, 'It is noon.')
    assert talk.records('ASSISTANT')[-1].data['outcome'] == 'answered'
    assert (talk.state, talk.key) == ('follow_up', talk.over)
    assert 'barge_in_refuted' in talk.events()
    assert not talk.of(StopReply)


def test_what_was_noticed_and_was_nothing_is_no_event(talk):
    talk.tell(SpeechNoticed(talk.over))
    assert talk.pauses(talk.tell(SpeechWithdrawn(talk.over))) == [How.GO_ON]
    assert 'barge_in_refuted' not in talk.events()


def test_without_words_it_goes_on_in_time_and_words_that_come_later_still_end_it(talk):
    talk.alarm()
    assert talk.pauses(talk.wait(STOP.resume_s + 0.1)) == [How.GO_ON]
    assert talk.of(StopReply, talk.words())
    assert talk.state == 'listening'


def test_a_second_alarm_holds_it_again(talk):
    talk.alarm()
    talk.tell(SpeechWithdrawn(talk.over))
    assert talk.pauses(talk.alarm()) == [How.DUCK, How.HOLD]


def test_words_that_come_only_with_the_end_of_the_turn(talk):
    talk.alarm()
    commands = talk.end_of_turn()
    assert talk.of(StopReply, commands)
    assert (talk.state, talk.key) == ('thinking', talk.over)


def test_stop_ends_the_answer_and_is_not_answered(talk):
    key = talk.key
    talk.alarm()
    talk.words('Stop.')
    talk.tell(_interrupted(key, talk.now))
    talk.wait(2.0)
    talk.end_of_turn('Stop.', Outcome.STOP)
    assert (talk.state, talk.key.turn) == ('follow_up', 3)
    record = talk.records('USER')[-1]
    assert (record.text, record.data['outcome']) == ('Stop.', 'stop')
    assert len(talk.of(PublishReport)) == 1, 'nothing was answered'
    assert talk.of(StartListening)[-1].stop_phrases == ('stop',)


def test_wake_word_over_the_answer_begins_the_same_turn_anew(talk):
    talk.alarm()
    commands = talk.wake()
    assert talk.of(StopReply, commands)
    start = talk.of(StartListening, commands)[-1]
    assert (start.key, start.over_playback, start.stop_phrases) == (talk.over, False, ('stop',))
    assert talk.state == 'acknowledging'
    assert talk.wait(3.0)[-1] and not talk.pauses()[2:], 'nothing resumes'


def test_an_answer_that_ends_while_somebody_speaks_leaves_the_turn_to_him(talk):
    talk.alarm()
    started = len(talk.of(StartListening))
    talk.play(PlaybackKind.FINISHED, 'It is noon.')
    assert (talk.state, talk.key) == ('listening', talk.over)
    assert len(talk.of(StartListening)) == started
    talk.end_of_turn()
    assert talk.state == 'thinking'


def test_and_if_he_said_nothing_the_follow_up_window_opens(talk):
    talk.alarm()
    talk.play(PlaybackKind.FINISHED, 'It is noon.')
    talk.tell(SpeechWithdrawn(talk.over))
    assert talk.state == 'follow_up'
    assert not talk.of(StartListening)[-1].over_playback


def test_an_answer_that_begins_while_somebody_speaks_waits():
    talk = Talk(STOP).asked()
    over = TurnKey(talk.key.dialog_id, 2)
    assert not talk.of(PauseReply, talk.tell(SpeechStarted(over, talk.now)))
    talk.piece('It is noon.', is_last=True)
    commands = talk.play(PlaybackKind.STARTED, remaining_s=2.0)
    assert [c.how for c in talk.of(PauseReply, commands)] == [How.HOLD]


def test_words_while_it_thinks_begin_the_next_turn():
    talk = Talk(STOP).asked()
    key, over = talk.key, TurnKey(talk.key.dialog_id, 2)
    talk.tell(SpeechStarted(over, talk.now))
    commands = talk.tell(SpeechPartial(over, talk.now, 'and thirty seconds'))
    assert [c.key for c in talk.of(StopReply, commands)] == [key]
    assert (talk.state, talk.key) == ('listening', over)


def test_switched_off_only_the_wake_word_ends_it():
    talk = Interrupted(replace(STOP, barge_in=False))
    assert not any(c.over_playback for c in talk.of(StartListening))
    talk.alarm()
    talk.words()
    assert talk.state == 'speaking'
    assert not talk.pauses()
    talk.wake()
    assert (talk.state, talk.key.turn) == ('acknowledging', 2)


def test_stt_lost_over_an_answer_is_listened_to_again_when_it_is_back(talk):
    talk.alarm()
    assert talk.pauses(talk.tell(NodeLost('stt', 'killed'))) == [How.GO_ON]
    assert talk.state == 'speaking'
    assert not talk.of(StartListening, talk.play(PlaybackKind.PROGRESS, 'It'))
    talk.tell(NodeBack('stt'))
    assert talk.of(StartListening, talk.play(PlaybackKind.PROGRESS, 'It is'))[0].over_playback


def test_a_patient_ear_is_asked_again(talk):
    talk.end_of_turn('', Outcome.NO_SPEECH)
    assert talk.state == 'speaking'
    assert talk.of(StartListening, talk.play(PlaybackKind.PROGRESS, 'It'))[0].key == talk.over


def test_stt_that_refuses_leaves_the_answer_alone(talk):
    talk.tell(ListenFailed(talk.over, 'busy'))
    assert talk.state == 'speaking'
    assert not talk.of(Speak)[1:], 'no apology'


def test_the_end_of_its_own_answer_is_no_next_question(talk):
    talk.alarm()
    talk.play(PlaybackKind.FINISHED, 'It is noon.')
    assert (talk.state, talk.key) == ('listening', talk.over)
    stop, = talk.of(StopListening, talk.words('is noon'))
    assert (stop.key, stop.reason) == (talk.over, OWN_WORDS)
    assert (talk.state, talk.key.turn) == ('follow_up', 3)
    assert not talk.end_of_turn('is noon'), 'a late end of it is of an older turn'


def test_what_the_user_says_at_the_end_of_an_answer_is_the_next_question(talk):
    talk.alarm()
    talk.play(PlaybackKind.FINISHED, 'It is noon.')
    assert not talk.of(StopListening, talk.words('And tomorrow?'))
    talk.end_of_turn('And tomorrow?')
    assert (talk.state, talk.key) == ('thinking', talk.over)


def test_the_answer_to_what_was_said_at_the_end_of_another_is_its_own_too(talk):
    talk.alarm()
    talk.play(PlaybackKind.FINISHED, 'It is noon.')
    talk.words('And tomorrow?')
    talk.end_of_turn('And tomorrow?')
    talk.piece('The sun will be shining. ', is_last=True)
    talk.play(PlaybackKind.STARTED)
    over = talk.of(StartListening)[-1].key
    talk.tell(SpeechStarted(over, talk.now, talk.now - 0.2))
    stop, = talk.of(StopListening, talk.tell(
        SpeechPartial(over, talk.now, 'The sun will be', 'en', 0.9, talk.now)))
    assert (stop.key, stop.reason) == (over, OWN_WORDS)


@pytest.mark.parametrize('ended', [False, True])
def test_its_own_apology_is_no_next_question(ended):
    talk = Talk(replace(RULES, apologies=('Sorry, please ask again.',))).asked()
    over = talk.of(StartListening)[-1].key
    talk.piece('', is_last=True)
    assert talk.of(Speak)[-1].text == 'Sorry, please ask again.'
    talk.tell(SpeechStarted(over, talk.now, talk.now - 0.2))
    if ended:
        talk.say_phrase()
    stop, = talk.of(StopListening, talk.tell(
        SpeechPartial(over, talk.now, 'Please ask again.', 'en', 0.9, talk.now)))
    assert stop.key == over
    assert talk.state == ('follow_up' if ended else 'speaking')


def test_words_over_the_apology_for_a_lost_node_replace_the_question(talk):
    key = talk.key
    talk.tell(NodeLost('llm', 'killed'))
    talk.tell(NodeLost('tts', 'killed'))
    talk.words()
    assert (talk.state, talk.key) == ('listening', talk.over)
    assert talk.of(StopReply)[-1].key.turn == key.turn


def test_the_end_of_the_dialog_ends_the_listening(talk):
    commands = talk.tell(Closed('stopping'))
    assert [c.key for c in talk.of(StopListening, commands)] == [talk.over]
