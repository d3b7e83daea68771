# SPDX-License-Identifier: Apache-2.0
"""The dialog in virtual time: every path of architecture §3 and what breaks in it."""

from dataclasses import replace

from dialog_talk import RULES, START, Talk
import pytest

from va_common.ids import TurnKey
from va_loader.dialog_commands import (
    CancelSpeak,
    LogLine,
    OpenDialog,
    PublishReport,
    ShowState,
    Speak,
    StartListening,
    StopListening,
    StopReply,
    WriteRecord,
)
from va_loader.dialog_events import (
    Closed,
    ListenFailed,
    NodeBack,
    NodeLost,
    Outcome,
    Playback,
    PlaybackKind,
    ReplyPiece,
    RulesChanged,
    SpeakEnded,
    SpeechFinal,
    SpeechNoticed,
    SpeechStarted,
    SpeechWithdrawn,
    WakeHeard,
)
from va_loader.dialog_manager import DialogManager


@pytest.fixture
def talk():
    return Talk()


# The ordinary way ------------------------------------------------------------------------------

def test_a_wake_opens_a_dialog_and_listens_from_the_end_of_the_word(talk):
    new = talk.wake(word_end=START - 0.2)
    assert talk.of(OpenDialog, new)
    listen = talk.of(StartListening, new)[0]
    assert listen.key.turn == 1
    assert listen.listen_from_s == START - 0.2
    assert listen.wake_phrase == 'hey jarvis'
    assert talk.state == 'acknowledging'
    assert not talk.of(Speak)


def test_stop_after_the_wake_word_is_not_answered():
    """Said to end what a program says: tts is silent from the wake word on."""
    talk = Talk(replace(RULES, stop_phrases=('stop',)))
    assert talk.of(StartListening, talk.wake())[0].stop_phrases == ('stop',)
    talk.start_speech()
    talk.wait(2.0)
    talk.final('Stop.', Outcome.STOP)
    assert talk.state == 'follow_up'
    assert not talk.of(PublishReport)


def test_the_acknowledgement_waits_for_ack_delay_after_the_word(talk):
    talk.wake(word_end=START - 0.1)
    assert not talk.of(Speak, talk.wait(0.23))
    assert talk.of(Speak, talk.wait(0.04))[0].text == 'Yes?'


def test_the_acknowledgement_waits_while_somebody_may_have_begun_to_speak(talk):
    talk.wake()
    talk.wait(0.2)
    talk.tell(SpeechNoticed(talk.key))
    assert not talk.of(Speak, talk.wait(0.15))
    assert not talk.of(CancelSpeak, talk.start_speech())
    talk.wait(2.0)
    assert not talk.of(Speak)


def test_a_noise_after_the_wake_word_delays_the_acknowledgement_only_while_it_lasts(talk):
    talk.wake()
    talk.tell(SpeechNoticed(talk.key))
    assert not talk.of(Speak, talk.tell(SpeechWithdrawn(talk.key)))
    assert talk.of(Speak, talk.wait(0.36))
    assert talk.state == 'acknowledging'
    talk.tell(SpeechNoticed(talk.key))
    talk.tell(SpeechWithdrawn(talk.key))
    assert len(talk.of(Speak)) == 1 and not talk.of(CancelSpeak)


def test_a_noise_while_it_listens_changes_nothing(talk):
    talk.wake()
    talk.wait(0.5)
    talk.say_phrase()
    assert talk.state == 'listening'
    talk.tell(SpeechNoticed(talk.key))
    talk.tell(SpeechWithdrawn(talk.key))
    assert talk.state == 'listening'


def test_one_breath_needs_no_acknowledgement(talk):
    talk.wake()
    talk.wait(0.1)
    talk.start_speech()
    talk.wait(2.0)
    assert not talk.of(Speak)
    assert talk.state == 'listening'


def test_the_acknowledgement_gives_way_to_speech(talk):
    talk.wake()
    talk.wait(0.5)
    new = talk.start_speech()
    assert talk.of(CancelSpeak, new)[0].token == talk.of(Speak)[0].token
    assert talk.state == 'listening'


def test_a_turn_passes_through_its_states(talk):
    talk.answered()
    names = [command.name for command in talk.of(ShowState)]
    assert names == ['idle', 'acknowledging', 'listening', 'listening', 'thinking', 'speaking',
                     'follow_up']


def test_a_turn_is_recorded_in_order(talk):
    talk.answered()
    roles = [record.role for record in talk.of(WriteRecord)]
    assert roles == ['EVENT', 'USER', 'ASSISTANT', 'LATENCY']
    assert talk.records('USER')[0].text == 'what time is it'
    assert talk.records('ASSISTANT')[0].text == 'It is noon.'
    assert talk.records('ASSISTANT')[0].data['heard'] == 'It is noon.'


def test_what_was_said_is_never_in_the_application_log(talk):
    talk.answered()
    talk.wait(60)
    assert not any('what time' in line.text or 'noon' in line.text for line in talk.of(LogLine))


def test_every_turn_has_its_stage_times(talk):
    talk.answered()
    report = talk.of(PublishReport)[0].report
    times = report.times
    stages = [times.speech_end, times.endpoint_decided, times.final_text, times.first_token,
              times.first_synthesised, times.first_audio, times.playback_end]
    assert stages == sorted(stages) and 0.0 not in stages
    assert report.voice_to_voice_ms == pytest.approx((2.3 + 0.6) * 1000)
    assert talk.records('LATENCY')[0].data['voice_to_voice_ms'] == report.voice_to_voice_ms


def test_follow_up_listens_for_the_next_turn_for_four_seconds(talk):
    talk.answered()
    listen = talk.of(StartListening)[-1]
    assert (listen.key.turn, listen.no_speech_timeout_s) == (2, 4.0)
    assert listen.listen_from_s == talk.now
    assert talk.state == 'follow_up'


def test_a_follow_up_question_needs_no_wake_word(talk):
    talk.answered()
    first = talk.key.dialog_id
    talk.wait(1.0)
    talk.start_speech()
    assert talk.state == 'listening'
    talk.final('and tomorrow')
    assert (talk.key.dialog_id, talk.key.turn, talk.state) == (first, 2, 'thinking')


def test_silence_in_the_follow_up_window_ends_the_dialog(talk):
    talk.answered()
    talk.wait(4.1)
    new = talk.final('', Outcome.NO_SPEECH)
    assert talk.state == 'idle'
    assert not talk.of(StopListening, new)
    assert talk.events()[-1] == 'dialog_end'
    assert talk.timers.next_at() is None


def test_the_next_wake_is_a_new_dialog(talk):
    talk.answered()
    talk.final('', Outcome.NO_SPEECH)
    talk.wait(1.0)
    talk.wake()
    assert len({command.dialog_id for command in talk.of(OpenDialog)}) == 2


def test_without_a_follow_up_window_the_dialog_ends_with_the_reply():
    talk = Talk(replace(RULES, follow_up_s=0.0)).answered()
    assert talk.state == 'idle'


def test_a_live_setting_counts_from_the_next_use(talk):
    talk.speaking()
    talk.tell(RulesChanged(replace(RULES, follow_up_s=9.0)))
    talk.play(PlaybackKind.FINISHED)
    assert talk.of(StartListening)[-1].no_speech_timeout_s == 9.0


def test_push_to_talk_uses_the_id_it_was_given(talk):
    talk.wake(source='push_to_talk', phrase='', dialog_id='d20260101T000000.000000-abcd')
    assert talk.key.dialog_id == 'd20260101T000000.000000-abcd'
    assert talk.of(StartListening)[0].wake_phrase == ''


def test_an_answer_made_ahead_may_be_heard_before_its_question_comes_here(talk):
    talk.acknowledged()
    talk.start_speech()
    talk.piece('It is noon.', is_last=True)
    first_token = talk.now
    talk.wait(0.1)
    talk.play(PlaybackKind.STARTED, remaining_s=2.0)
    first_audio = talk.now
    assert talk.state == 'listening'
    talk.wait(0.1)
    talk.final()
    assert talk.state == 'speaking'
    talk.wait(1.0)
    talk.play(PlaybackKind.FINISHED, 'It is noon.')
    times = talk.of(PublishReport)[0].report.times
    assert (times.first_token, times.first_audio) == (first_token, first_audio)
    assert talk.records('ASSISTANT')[0].text == 'It is noon.'


def test_speculative_text_before_the_final_one_counts_when_its_revision_does(talk):
    talk.acknowledged()
    talk.start_speech()
    old, new = replace(talk.key, revision=0), replace(talk.key, revision=1)
    talk.piece('Wrong.', is_last=True, key=old)
    talk.piece('Right.', is_last=True, key=new)
    talk.wait(1.0)
    talk.final(key=new)
    talk.play(PlaybackKind.STARTED)
    talk.play(PlaybackKind.FINISHED)
    assert talk.records('ASSISTANT')[0].text == 'Right.'
    assert talk.of(PublishReport)[0].report.times.first_token < talk.now - 0.5


# Wakes that do not count, and those that interrupt ---------------------------------------------

def test_no_wake_counts_before_everything_is_up():
    manager = DialogManager(RULES, lambda phrases: phrases[0], lambda: '0000')
    commands = manager.handle(WakeHeard(START, START, 'hey jarvis', 'Yes?'), START)
    assert [type(command) for command in commands] == [LogLine]


@pytest.mark.parametrize('age_s', [6.0, -6.0])
def test_an_outdated_wake_is_refused_with_a_reason(talk, age_s):
    talk.wake(stamp_s=START - age_s)
    assert talk.state == 'idle'
    assert 'old' in talk.of(LogLine)[0].text


def test_the_same_word_heard_twice_is_one_wake(talk):
    talk.wake()
    talk.wait(0.4)
    talk.wake()
    assert len(talk.of(StartListening)) == 1


def test_a_wake_while_it_speaks_stops_the_reply_and_listens_in_the_same_dialog(talk):
    talk.speaking()
    first = talk.key
    talk.wait(0.5)
    new = talk.wake()
    assert talk.of(StopReply, new)[0].key == first
    assert (talk.key.dialog_id, talk.key.turn) == (first.dialog_id, 2)
    assert talk.of(Speak, talk.wait(0.5))[0].text == 'Yes?'


def test_an_interrupted_reply_is_recorded_as_far_as_it_was_heard(talk):
    talk.speaking()
    first = TurnKey(talk.key.dialog_id, 1)
    talk.wake()
    talk.wait(0.1)
    talk.tell(Playback(first, PlaybackKind.INTERRUPTED, talk.now, 'It is'))
    record = talk.records('ASSISTANT')[0]
    assert (record.key.turn, record.text, record.data['heard']) == (1, 'It is noon.', 'It is')
    assert talk.of(PublishReport)[0].report.outcome == 'interrupted'


def test_the_longest_gap_of_a_reply_is_recorded(talk):
    """A gap is told of with its beginning; the next news tells how much was heard since then."""
    talk.speaking()
    started_s = talk.now
    for kind, at_s, position_s in (
            (PlaybackKind.UNDERRUN, 1.0, 1.0),
            (PlaybackKind.UNDERRUN, 2.3, 2.0), (PlaybackKind.PROGRESS, 2.5, 2.1),
            (PlaybackKind.PROGRESS, 4.5, 4.1), (PlaybackKind.FINISHED, 6.0, 5.6)):
        talk.play(kind, stamp_s=started_s + at_s, position_s=position_s)
    data = talk.records('ASSISTANT')[0].data
    assert (data['underruns'], data['longest_gap_ms']) == (2, 300)


def test_an_interrupted_turn_is_recorded_even_if_the_speaker_stays_silent(talk):
    talk.asked()
    talk.wake()
    talk.wait(2.5)
    assert talk.of(PublishReport)[0].report.outcome == 'interrupted'


def test_a_wake_in_the_follow_up_window_is_acknowledged(talk):
    talk.answered()
    talk.wait(1.0)
    talk.wake()
    assert talk.state == 'acknowledging'
    assert talk.key.turn == 3
    assert talk.of(Speak, talk.wait(0.5))


def test_outdated_events_are_dropped(talk):
    talk.answered()
    old = TurnKey(talk.key.dialog_id, 1)
    before = len(talk.done)
    talk.tell(SpeechStarted(old, talk.now))
    talk.tell(SpeechFinal(old, Outcome.SPEECH, talk.now, 'again'))
    talk.tell(ReplyPiece(old, 'late', True, talk.now))
    talk.tell(Playback(old, PlaybackKind.FINISHED, talk.now))
    talk.tell(ListenFailed(old, 'late'))
    talk.tell(SpeakEnded('ack/other/1'))
    assert len(talk.done) == before


def test_events_of_nobody_are_dropped_while_idle(talk):
    key = TurnKey('d20260101T000000.000000-abcd', 1)
    for event in (SpeechStarted(key, START), SpeechFinal(key, Outcome.SPEECH, START, 'hello'),
                  ReplyPiece(key, 'x', True, START), Playback(key, PlaybackKind.STARTED, START)):
        assert not talk.tell(event)


# What breaks -----------------------------------------------------------------------------------

def test_nobody_speaks_after_the_wake(talk):
    talk.acknowledged()
    talk.wait(8.0)
    talk.final('', Outcome.NO_SPEECH)
    assert talk.state == 'idle'


def apologises_and_listens(talk):
    """The canned apology is spoken, recorded, and the follow-up window opens."""
    speak = talk.of(Speak)[-1]
    assert speak.text == 'Sorry.'
    turn = talk.key.turn
    talk.tell(SpeakEnded(speak.token))
    assert talk.records('ASSISTANT')[-1].text == 'Sorry.'
    assert talk.state == 'follow_up'
    assert talk.key.turn == turn + 1


def test_a_silent_stt_is_noticed(talk):
    talk.acknowledged()
    talk.wait(14.0)
    assert 'turn_failed' in talk.events()
    apologises_and_listens(talk)


def test_stt_that_never_finishes_is_noticed(talk):
    talk.acknowledged()
    talk.start_speech()
    talk.wait(41.0)
    apologises_and_listens(talk)


def test_stt_that_refuses_to_listen(talk):
    talk.wake()
    talk.tell(ListenFailed(talk.key, 'busy'))
    apologises_and_listens(talk)


def test_stt_that_failed_to_transcribe(talk):
    talk.acknowledged()
    talk.final('', Outcome.FAILED, error_msg='out of memory')
    apologises_and_listens(talk)


def test_llm_without_a_first_token(talk):
    talk.asked()
    assert not talk.of(Speak, talk.wait(29.0))
    new = talk.wait(2.0)
    assert talk.of(StopReply, new)
    assert talk.of(PublishReport)[-1].report.outcome == 'failed'
    apologises_and_listens(talk)


def test_llm_that_stops_in_the_middle(talk):
    talk.asked()
    talk.piece('It is ')
    talk.play(PlaybackKind.STARTED)
    talk.wait(31.0)
    apologises_and_listens(talk)


@pytest.mark.parametrize('piece', [
    {'text': '', 'is_last': True, 'error_code': 1, 'error_msg': 'text is too long'},
    {'text': ' \n', 'is_last': True},
])
def test_llm_that_refuses_or_says_nothing(talk, piece):
    talk.asked()
    talk.piece(**piece)
    apologises_and_listens(talk)


def test_tts_that_never_plays(talk):
    talk.asked()
    talk.piece('It is noon.', is_last=True)
    assert not talk.of(Speak, talk.wait(29.0))
    talk.wait(2.0)
    assert 'tts' in talk.of(LogLine)[-1].text
    apologises_and_listens(talk)


def test_a_long_reply_is_not_taken_for_a_silent_tts(talk):
    talk.asked()
    talk.piece('A very long story.', is_last=True)
    talk.play(PlaybackKind.STARTED, remaining_s=60.0)
    talk.wait(59.0)
    assert talk.state == 'speaking'


def test_tts_that_stops_in_the_middle(talk):
    talk.asked()
    talk.piece('A very long story.', is_last=True)
    talk.play(PlaybackKind.STARTED, remaining_s=5.0)
    talk.wait(39.0)
    assert talk.state == 'speaking'
    talk.wait(2.0)
    apologises_and_listens(talk)


def test_an_acknowledgement_that_fails_does_not_stop_the_turn(talk):
    talk.wake()
    talk.wait(0.5)
    talk.tell(SpeakEnded(talk.of(Speak)[0].token, 8, 'device gone'))
    assert talk.state == 'listening'


def test_an_acknowledgement_without_an_end_does_not_stop_the_turn():
    talk = Talk(replace(RULES, no_speech_timeout_s=60.0))
    talk.wake()
    talk.wait(16.0)
    assert talk.state == 'listening'


def test_failures_in_a_row_end_the_dialog(talk):
    talk.wake()
    for _ in range(3):
        talk.tell(ListenFailed(talk.key, 'busy'))
        talk.tell(SpeakEnded(talk.of(Speak)[-1].token))
    assert talk.state == 'idle'


# Nodes that are lost ---------------------------------------------------------------------------

def test_a_node_lost_while_idle_is_shown_until_it_is_back(talk):
    talk.tell(NodeLost('llm', 'killed by SIGKILL'))
    assert talk.state == 'recovering'
    assert 'SIGKILL' in talk.of(ShowState)[-1].reason
    talk.tell(NodeBack('llm'))
    assert talk.state == 'idle'


def test_without_room_for_the_logs_it_is_idle_and_says_so(talk):
    talk.tell(NodeLost('logger', 'no space left', bearable=True))
    assert talk.state == 'idle'
    assert talk.of(ShowState)[-1].reason == 'logger: no space left'
    talk.tell(NodeLost('llm', 'killed by SIGKILL'))
    assert talk.state == 'recovering'
    talk.tell(NodeBack('llm'))
    talk.tell(NodeLost('logger', 'killed by SIGKILL'))
    assert talk.state == 'recovering'


def test_a_node_lost_in_a_dialog_is_the_reason_until_it_is_back(talk):
    talk.acknowledged()
    talk.tell(NodeLost('kwd', 'killed by SIGKILL'))
    shown = talk.of(ShowState)[-1]
    assert (shown.name, shown.reason) == ('listening', 'kwd: killed by SIGKILL')
    talk.tell(NodeBack('kwd'))
    assert talk.of(ShowState)[-1].reason == ''


def test_stt_lost_while_listening_costs_the_turn_not_the_dialog(talk):
    talk.acknowledged()
    dialog_id = talk.key.dialog_id
    talk.tell(NodeLost('stt', 'crashed'))
    assert talk.of(Speak)[-1].text == 'Sorry.'
    talk.say_phrase()
    assert talk.state == 'recovering'
    talk.tell(NodeBack('stt'))
    assert talk.state == 'follow_up'
    assert talk.key.dialog_id == dialog_id
    assert 'node_lost' in talk.events()


def test_tts_lost_while_it_apologises_apologises_again(talk):
    talk.wake()
    talk.tell(ListenFailed(talk.key, 'busy'))
    talk.tell(NodeLost('tts', 'crashed too'))
    assert talk.state == 'recovering'
    talk.tell(NodeBack('tts'))
    apologises_and_listens(talk)


def test_tts_lost_while_it_acknowledges_goes_on_listening(talk):
    talk.wake()
    talk.wait(0.5)
    talk.tell(NodeLost('tts', 'crashed'))
    assert talk.state == 'listening'


def test_stt_lost_in_the_follow_up_window_opens_it_again(talk):
    talk.answered()
    apologies = len(talk.of(Speak))
    talk.tell(NodeLost('stt', 'crashed'))
    talk.wait(2.0)
    talk.tell(NodeBack('stt'))
    assert talk.state == 'follow_up'
    assert len(talk.of(Speak)) == apologies


def test_llm_lost_after_its_last_word_costs_nothing(talk):
    talk.speaking()
    talk.tell(NodeLost('llm', 'crashed'))
    assert talk.state == 'speaking'
    talk.play(PlaybackKind.FINISHED)
    assert talk.of(PublishReport)[-1].report.outcome == 'answered'


def test_kwd_or_logger_lost_in_a_turn_costs_nothing(talk):
    talk.asked()
    talk.tell(NodeLost('kwd', 'crashed'))
    talk.tell(NodeLost('logger', 'crashed'))
    assert talk.state == 'thinking'


def test_a_node_that_stays_away_ends_the_dialog(talk):
    talk.speaking()
    talk.tell(NodeLost('tts', 'crashed'))
    talk.wait(31.0)
    assert talk.key.dialog_id == ''
    assert talk.state == 'recovering'


def test_a_wake_is_ignored_while_stt_is_away(talk):
    talk.tell(NodeLost('stt', 'crashed'))
    talk.wake()
    assert not talk.of(StartListening)


@pytest.mark.parametrize('where', ['acknowledged', 'asked', 'speaking', 'answered'])
def test_going_down_ends_the_dialog_in_order(where):
    talk = getattr(Talk(), where)()
    talk.tell(Closed('stopping'))
    assert talk.events()[-1] == 'dialog_end'
    assert talk.timers.next_at() is None
    assert not talk.tell(NodeLost('tts', 'went down'))
    talk.wake()
    assert talk.key.dialog_id == ''
