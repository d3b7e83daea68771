# SPDX-License-Identifier: Apache-2.0
"""The queue with a fake engine and a fake device: time passes only in the device."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tts_fakes import FakeDevice, FakeEngine, LATENCY_S, RATE, tone

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import new_dialog_id
from va_common.testing import FakeClock, wait_for
from va_tts.phrase_cache import PhraseCache
from va_tts.playback_events import Identity, Kind, PlaybackEvent, Source
from va_tts.prepared_phrases import job_for, PreparedPhrases
from va_tts.stream_queue import MAX_UTTERANCES, StreamQueue
from va_tts.synthesis import Synthesiser
from va_tts.utterance import MAX_TEXT, PieceState, Request, Utterance

DIALOG = new_dialog_id(1e9, '0000')
LATER_DIALOG = new_dialog_id(1e9 + 60, '0000')


class Stage:
    """A queue with everything around it."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.engine = FakeEngine()
        self.synthesiser = Synthesiser(self.engine)
        self.phrases = PreparedPhrases(PhraseCache(folder, 10**6), 'sum', print)
        self.events: list[PlaybackEvent] = []
        self.reference: list[tuple[np.ndarray, float]] = []
        self.warnings: list[str] = []
        self.queue = StreamQueue(
            self.synthesiser, self.phrases, RATE, self.events.append,
            lambda samples, start, anew: self.reference.append((samples, start)),
            self.warnings.append, 10.0, self.clock, self.clock)
        self.device = FakeDevice(self.queue.playout, self.clock)

    def reply(self, sequence: int, text: str, is_last: bool = False, turn: int = 1,
              revision: int = 0, dialog: str = DIALOG, source: Source = Source.REPLY,
              error: AssistantError | None = None) -> None:
        identity = Identity(source, f'{dialog}/{turn}', dialog, turn, revision)
        request = Request(identity, 'af_heart', 1.0)
        self.queue.chunk(request, sequence, text, is_last, error)

    def speak(self, text: str, interrupt: bool = False, name: str = 'speak', dialog: str = '',
              turn: int = 0) -> Utterance:
        identity = Identity(Source.SPEAK, name, dialog, turn)
        return self.queue.speak(Request(identity, 'af_heart', 1.0), text, interrupt)

    def settle(self) -> None:
        """Wait until the worker has nothing to do and all events are out."""
        self.queue.flush()
        wait_for(self._all_made, 5.0, 'synthesis is idle')
        self.queue.flush()

    def _all_made(self) -> bool:
        with self.queue._lock:
            pieces = [piece for utterance in self.queue._line for piece in utterance.pieces]
            made = all(piece.state in (PieceState.READY, PieceState.SENT) for piece in pieces) \
                and not any(u.complete and u.waiting() is not None for u in self.queue._line)
            return made or (not self.synthesiser.busy and self.queue.playout.buffered_s() > 19)

    def play(self, seconds: float) -> None:
        self.settle()
        for _ in range(round(seconds / 0.1)):
            self.device.run(0.1)
            self.settle()

    def kinds(self, name: str = '') -> list[str]:
        return [event.kind.name for event in self.events
                if event.kind is not Kind.PROGRESS and name in event.identity.utterance_id]

    def of(self, kind: Kind) -> list[PlaybackEvent]:
        return [event for event in self.events if event.kind is kind]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.engine.go.set()
    stage.queue.close()
    stage.synthesiser.close()
    assert not [line for line in stage.warnings if 'thread' in line]


def test_a_text_is_started_heard_and_finished(stage: Stage) -> None:
    begun_s = stage.clock()
    utterance = stage.speak('One two three four. Five six seven eight.')
    stage.play(3.0)
    assert stage.kinds() == ['STARTED', 'FINISHED']
    started, finished = stage.of(Kind.STARTED)[0], stage.of(Kind.FINISHED)[0]
    assert started.stamp_s == pytest.approx(begun_s + LATENCY_S)
    assert finished.stamp_s == pytest.approx(started.stamp_s + finished.duration_s, abs=0.002)
    assert finished.text == 'One two three four. Five six seven eight.'
    assert finished.position_s == pytest.approx(finished.duration_s)
    assert begun_s <= started.synthesised_s <= started.stamp_s
    outcome = utterance.done.result(1.0)
    assert (outcome.code, outcome.heard) == (ErrorCode.OK, finished.text)
    assert outcome.duration_s == pytest.approx(finished.duration_s)


def test_finished_comes_after_the_last_sample_left(stage: Stage) -> None:
    stage.speak('One two.')
    stage.settle()
    sound_s = stage.queue.playout.buffered_s()
    stage.device.run(sound_s + 0.01)
    stage.settle()
    assert not stage.of(Kind.FINISHED), 'the device still has 30 ms of it'
    stage.play(0.1)
    assert stage.of(Kind.FINISHED)


def test_progress_tells_position_and_words(stage: Stage) -> None:
    stage.speak(' '.join(['word'] * 30) + '.')
    stage.play(2.5)
    progress = stage.of(Kind.PROGRESS)
    assert {1, 2} <= {int(event.position_s + 0.01) for event in progress}
    first = next(event for event in progress if event.position_s >= 0.99)
    assert first.text.split() == ['word'] * len(first.text.split())
    assert 8 <= len(first.text.split()) <= 10


def test_pieces_follow_without_a_gap(stage: Stage) -> None:
    stage.speak('One two three four. Five six seven eight. Nine ten eleven twelve.')
    stage.play(2.5)
    loud = np.flatnonzero(np.abs(stage.device.heard) > 0.05)
    assert np.diff(loud).max() < 0.15 * RATE
    assert stage.kinds() == ['STARTED', 'FINISHED']


def test_reply_is_spoken_while_it_streams(stage: Stage) -> None:
    stage.reply(0, 'The answer is simple,')
    stage.reply(1, ' it is')
    stage.play(0.2)
    assert stage.kinds() == ['STARTED']
    stage.reply(2, ' forty two.', is_last=True)
    stage.play(2.0)
    assert stage.kinds() == ['STARTED', 'FINISHED']
    assert stage.of(Kind.FINISHED)[0].text == 'The answer is simple, it is forty two.'
    assert stage.engine.spoken[0][0] == 'The answer is simple,'


def test_a_gap_in_the_text_is_an_underrun(stage: Stage) -> None:
    stage.reply(0, 'The answer is simple, it')
    stage.play(2.0)
    assert stage.kinds() == ['STARTED']
    stage.reply(1, ' is forty two.', is_last=True)
    stage.play(2.0)
    assert stage.kinds() == ['STARTED', 'UNDERRUN', 'FINISHED']
    assert stage.of(Kind.FINISHED)[0].underruns == 1
    assert stage.queue.underruns == 1


def test_end_without_text_is_no_underrun(stage: Stage) -> None:
    stage.reply(0, 'The answer is simple, ')
    stage.play(2.0)
    stage.reply(1, '', is_last=True)
    stage.play(0.1)
    assert stage.kinds() == ['STARTED', 'FINISHED']


def test_text_that_stops_coming_fails(stage: Stage) -> None:
    stage.reply(0, 'The answer is simple, but')
    stage.play(2.0)
    stage.clock.advance(20.0)
    stage.settle()
    assert stage.kinds() == ['STARTED', 'FAILED']
    assert stage.of(Kind.FAILED)[0].error_code == ErrorCode.TIMEOUT


def test_empty_reply_finishes(stage: Stage) -> None:
    stage.reply(0, '', is_last=True)
    stage.settle()
    assert stage.kinds() == ['FINISHED']


def test_emoji_alone_finish(stage: Stage) -> None:
    stage.speak('🎉')
    stage.settle()
    assert stage.kinds() == ['FINISHED']
    assert not stage.engine.spoken


def test_failed_reply_says_what_there_is_and_fails(stage: Stage) -> None:
    stage.reply(0, 'The answer is simple, it is')
    error = AssistantError(ErrorCode.TIMEOUT, 'no token')
    stage.reply(1, '', is_last=True, error=error)
    stage.play(2.0)
    assert stage.kinds() == ['STARTED', 'FAILED']
    failed = stage.of(Kind.FAILED)[0]
    assert (failed.error_code, failed.error_msg) == (ErrorCode.TIMEOUT, 'no token')
    assert failed.text == 'The answer is simple, it is'


def test_engine_failure_fails_the_utterance_and_not_the_next(stage: Stage) -> None:
    stage.engine.error = AssistantError(ErrorCode.ENGINE_FAILED, 'broken')
    utterance = stage.speak('One two.')
    stage.settle()
    assert utterance.done.result(1.0).code == ErrorCode.ENGINE_FAILED
    stage.engine.error = None
    stage.speak('Three four.', name='next')
    stage.play(1.0)
    assert stage.kinds('next') == ['STARTED', 'FINISHED']


def test_utterances_wait_for_each_other(stage: Stage) -> None:
    stage.speak('One two three.', name='first')
    stage.speak('Four five six.', name='second')
    stage.play(2.0)
    assert [event.identity.utterance_id for event in stage.events
            if event.kind is not Kind.PROGRESS] == ['first', 'first', 'second', 'second']


def test_interrupt_silences_the_others(stage: Stage) -> None:
    first = stage.speak('One two three four five six.', name='first')
    stage.play(0.3)
    stage.speak('Now!', name='second', interrupt=True)
    stage.play(1.0)
    assert stage.kinds('first') == ['STARTED', 'INTERRUPTED']
    assert stage.kinds('second') == ['STARTED', 'FINISHED']
    outcome = first.done.result(1.0)
    assert outcome.code == ErrorCode.CANCELLED
    assert outcome.heard in ('One', 'One two')


def test_bad_interrupt_interrupts_nothing(stage: Stage) -> None:
    stage.speak('One two three four five six.')
    stage.play(0.3)
    for text in ('', ' ', 'x' * (MAX_TEXT + 1)):
        with pytest.raises(AssistantError) as raised:
            stage.speak(text, interrupt=True, name='bad')
        assert raised.value.code == ErrorCode.INVALID_ARGUMENT
    assert stage.kinds() == ['STARTED']


def test_stop_everything_returns_what_was_heard(stage: Stage) -> None:
    stage.speak('One two three four five six seven eight nine ten.')
    stage.speak('Later.', name='later')
    stage.play(0.6)
    heard = stage.queue.stop('', 0, 'test')
    assert heard.startswith('One two three') and 'eight' not in heard
    before = len(stage.device.heard)
    stage.play(0.5)
    assert np.flatnonzero(stage.device.heard[before:]).max(initial=0) < 0.01 * RATE
    assert stage.kinds('later') == ['INTERRUPTED']
    assert stage.queue.length == 0


def test_a_call_of_the_user_stops_programs_and_leaves_the_dialog(stage: Stage) -> None:
    stage.speak('One two three four five six seven eight nine ten.')
    stage.speak('Later.', name='later')
    stage.speak('Yes?', dialog=DIALOG, turn=1, name='acknowledgement')
    stage.play(0.3)
    stage.queue.stop_programs('wake word')
    stage.play(1.0)
    assert stage.kinds('later') == ['INTERRUPTED']
    assert stage.kinds('acknowledgement') == ['STARTED', 'FINISHED']
    assert stage.queue.length == 0


def test_stop_during_synthesis_aborts_it(stage: Stage) -> None:
    stage.engine.go.clear()
    stage.speak('One two three.')
    wait_for(lambda: stage.engine.spoken, 2.0, 'synthesis has begun')
    assert stage.queue.stop('', 0, 'test') == ''
    wait_for(lambda: not stage.synthesiser.busy, 2.0, 'the engine was aborted')
    stage.engine.go.set()
    stage.speak('Four five.', name='next')
    stage.play(1.0)
    assert stage.kinds('next') == ['STARTED', 'FINISHED']


def test_chunks_of_a_stopped_reply_stay_silent(stage: Stage) -> None:
    stage.reply(0, 'The answer is simple, it ')
    stage.play(0.2)
    stage.queue.stop(DIALOG, 1, 'barge-in')
    for sequence in (0, 1):
        with pytest.raises(AssistantError) as raised:
            stage.reply(sequence, 'is forty two.', is_last=True)
        assert raised.value.code == ErrorCode.OUTDATED
    stage.speak('Sorry.', dialog=DIALOG, turn=1, name='apology')
    stage.play(1.0)
    assert stage.kinds('apology') == ['STARTED', 'FINISHED']


def test_stop_of_a_turn_leaves_newer_and_foreign_ones(stage: Stage) -> None:
    stage.reply(0, 'Some text of turn two.', is_last=True, turn=2)
    stage.speak('Foreign words.', name='foreign')
    stage.queue.stop(DIALOG, 1, 'late')
    stage.play(2.0)
    assert stage.kinds() == ['STARTED', 'FINISHED'] * 2


def test_newer_turn_drops_the_older_one_and_its_goals(stage: Stage) -> None:
    stage.reply(0, 'The answer to one is long, ')
    stage.speak('Apology.', dialog=DIALOG, turn=1, name='apology')
    stage.play(0.2)
    stage.reply(0, 'Now it is turn two.', is_last=True, turn=2)
    stage.play(2.0)
    assert stage.kinds(f'{DIALOG}/1') == ['STARTED', 'INTERRUPTED']
    assert stage.kinds('apology') == ['INTERRUPTED']
    assert stage.kinds(f'{DIALOG}/2') == ['STARTED', 'FINISHED']
    with pytest.raises(AssistantError, match='not being spoken'):
        stage.reply(1, 'more', turn=1)
    with pytest.raises(AssistantError, match='outdated'):
        stage.reply(0, 'again', turn=1)


def test_newer_revision_replaces_the_older_one(stage: Stage) -> None:
    stage.reply(0, 'The first revision is, ')
    stage.reply(0, 'The second revision is it.', is_last=True, revision=1)
    stage.play(2.0)
    assert stage.kinds() == ['INTERRUPTED', 'STARTED', 'FINISHED']


def test_a_dead_attempt_is_dropped_and_the_apology_and_the_next_one_are_spoken(
        stage: Stage) -> None:
    stage.reply(0, 'The first attempt is, ')
    stage.speak('One moment.', dialog=DIALOG, turn=1, name='apology')
    stage.queue.stop(DIALOG, 1, 'llm was lost', revision=1)
    with pytest.raises(AssistantError):
        stage.reply(1, 'late', is_last=True)
    with pytest.raises(AssistantError, match='stopped'):
        stage.reply(0, 'late', is_last=True)
    stage.reply(0, 'The second attempt is it.', is_last=True, revision=1)
    stage.play(3.0)
    assert stage.kinds() == ['INTERRUPTED'] + ['STARTED', 'FINISHED'] * 2
    assert [e.identity.revision for e in stage.events if e.kind is Kind.FINISHED] == [0, 1]


def test_acknowledgement_and_reply_of_one_turn_are_both_spoken(stage: Stage) -> None:
    stage.speak('Yes?', dialog=DIALOG, turn=1, name='ack')
    stage.reply(0, 'The answer is simple.', is_last=True)
    stage.play(2.0)
    assert stage.kinds() == ['STARTED', 'FINISHED'] * 2


def test_newer_dialog_outdates_the_older(stage: Stage) -> None:
    stage.reply(0, 'Of the new dialog, ', dialog=LATER_DIALOG)
    with pytest.raises(AssistantError, match='outdated'):
        stage.reply(0, 'Of the old dialog, ', turn=7)


def test_chunk_that_came_twice_is_refused(stage: Stage) -> None:
    stage.reply(0, 'The answer is simple, it ')
    with pytest.raises(AssistantError, match='spoken before'):
        stage.reply(0, 'The answer is simple, it ')


def test_lost_chunk_is_told(stage: Stage) -> None:
    stage.reply(0, 'The answer is ')
    stage.reply(3, 'simple.', is_last=True)
    assert stage.warnings == [f'{DIALOG}/1: 2 chunks were lost']
    stage.play(2.0)


def test_reply_whose_beginning_is_missing_is_not_spoken(stage: Stage) -> None:
    with pytest.raises(AssistantError, match='beginning'):
        stage.reply(5, 'in the middle.')


def test_streams_of_programs_have_no_order_among_themselves(stage: Stage) -> None:
    for name in ('zebra', 'ant'):
        stage.reply(0, f'The {name} says hello.', is_last=True, dialog=name,
                    source=Source.STREAM)
    stage.play(2.0)
    assert stage.kinds() == ['STARTED', 'FINISHED'] * 2


def test_stream_gets_too_long(stage: Stage) -> None:
    with pytest.raises(AssistantError, match='at most'):
        for sequence in range(100):
            stage.reply(sequence, 'word ' * 1000)
    stage.settle()
    assert stage.of(Kind.FAILED)[0].error_code == ErrorCode.INVALID_ARGUMENT
    assert stage.queue.length == 0


def test_queue_is_bounded(stage: Stage) -> None:
    for number in range(MAX_UTTERANCES):
        stage.speak('One two.', name=f'speak {number}')
    with pytest.raises(AssistantError) as raised:
        stage.speak('One two.')
    assert raised.value.code == ErrorCode.BUSY


def test_synthesis_does_not_run_away(stage: Stage) -> None:
    stage.speak('One two three four five six seven eight nine ten. ' * 350)
    stage.play(0.5)
    spoken_s = 0.1 * sum(len(words.split()) for words, _, _ in stage.engine.spoken)
    assert 15 < spoken_s < 40


def test_prepared_phrase_needs_no_synthesis(stage: Stage) -> None:
    stage.phrases.put('Hi, Master!', 'af_heart', 1.0, tone(0.5, 24_000))
    stage.speak('Hi, Master!')
    stage.play(1.0)
    assert stage.kinds() == ['STARTED', 'FINISHED']
    assert not stage.engine.spoken


def test_phrases_are_prepared_in_the_background(stage: Stage) -> None:
    stage.queue.prepare([
        (job_for(text, 'af_heart', 1.0),
         lambda sound, text=text: stage.phrases.put(text, 'af_heart', 1.0, sound))
        for text in ('Yes?', 'Yo')])
    wait_for(lambda: len(stage.phrases) == 2, 2.0, 'both phrases are there')


def test_speaker_lost(stage: Stage) -> None:
    utterance = stage.speak('One two three four five six.')
    stage.play(0.2)
    stage.queue.block(AssistantError(ErrorCode.DEVICE_FAILED, 'unplugged'))
    stage.settle()
    assert stage.kinds() == ['STARTED', 'FAILED']
    assert utterance.done.result(1.0).code == ErrorCode.DEVICE_FAILED
    with pytest.raises(AssistantError, match='unplugged'):
        stage.reply(0, 'The answer is simple.', is_last=True)
    stage.settle()
    assert stage.kinds(f'{DIALOG}/1') == ['FAILED'], 'whoever waits for the reply is told'
    stage.queue.change_rate(44_100)
    stage.queue.resume()
    assert stage.queue.playout.rate == 44_100
    stage.speak('One two three four.', name='again')
    stage.play(2.0)
    assert stage.kinds('again') == ['STARTED', 'FINISHED']


def test_device_underrun_is_counted_while_it_sounds(stage: Stage) -> None:
    stage.queue.device_underrun()
    stage.speak('One two three four.')
    stage.play(0.2)
    stage.queue.device_underrun()
    stage.play(1.0)
    assert stage.kinds() == ['STARTED', 'UNDERRUN', 'FINISHED']


def test_reference_is_sent_only_while_something_plays(stage: Stage) -> None:
    stage.play(0.5)
    assert not stage.reference
    stage.speak('One two three four.')
    stage.play(2.0)
    seconds = sum(len(samples) for samples, _ in stage.reference) / 16_000
    assert seconds == pytest.approx(stage.of(Kind.FINISHED)[0].duration_s, abs=0.02)
    assert stage.reference[0][1] == pytest.approx(stage.of(Kind.STARTED)[0].stamp_s)


def test_close_cancels_and_is_idempotent(stage: Stage) -> None:
    utterance = stage.speak('One two three four.')
    stage.queue.close()
    stage.queue.close()
    assert utterance.done.result(1.0).code == ErrorCode.CANCELLED
    assert stage.kinds() == ['INTERRUPTED']
