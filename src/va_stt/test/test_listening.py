# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
import pytest
from stt_bench import at_once

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey
from va_stt.listening import Listening
from va_stt.requests import apart_request, dialog_request, listen_from
from va_stt.turn_events import Kind, Outcome, TurnEvent
from va_stt.turn_listener import TurnRequest
from va_stt.vad_finalize import VadFrame
from va_stt.whisper_cuda import Transcription

DIALOG = 'd20261122T102233.123456-1a2b'
LATER = 'd20261122T102500.000000-1a2b'


class FakeEars:
    """A Listening on made-up sound, with a transcriber that hears 'Hello.' or fails."""

    def __init__(self, error: AssistantError | None = None, submit=at_once) -> None:
        self.error = error
        self.events: list[TurnEvent] = []
        self.now_s = 100.0
        self.listening = Listening(self._read, self._transcribe, submit)

    def _read(self, from_s: float, to_s: float) -> np.ndarray:
        return np.zeros(16, np.int16)

    def _transcribe(self, samples: np.ndarray, quick: bool = False) -> Transcription:
        if self.error is not None:
            raise self.error
        return Transcription('Hello.', 'en', -0.1, 0.0, 1.0)

    def start(self, dialog: str = DIALOG, turn: int = 1, from_s: float = 100.0) -> None:
        self.listening.start(TurnRequest(TurnKey(dialog, turn), from_s), self.events.append)

    def feed(self, seconds: float, probability: float) -> None:
        for _ in range(round(seconds / 0.032)):
            self.listening.on_frame(VadFrame(self.now_s, self.now_s + 0.032, probability))
            self.now_s += 0.032

    @property
    def told(self) -> list[tuple[int, str, str]]:
        return [(e.key.turn, e.kind.name, e.outcome.name) for e in self.events]


def test_older_turn_is_outdated():
    ears = FakeEars()
    ears.start(LATER, 2)
    for dialog, turn in ((LATER, 1), (DIALOG, 9)):
        with pytest.raises(AssistantError) as raised:
            ears.start(dialog, turn)
        assert raised.value.code == ErrorCode.OUTDATED
    assert ears.listening.current == TurnKey(LATER, 2)


def test_newer_turn_replaces():
    ears = FakeEars()
    ears.start(turn=1)
    ears.start(turn=2)
    assert ears.told == [(1, 'FINAL', 'STOPPED')]
    assert ears.listening.current == TurnKey(DIALOG, 2)


def test_asked_for_in_another_way_the_turn_begins_anew_without_a_final():
    ears = FakeEars()
    ears.start()
    ears.start(from_s=101.0)
    assert ears.events == []
    assert ears.listening.current == TurnKey(DIALOG, 1, 1)


def test_asking_again_changes_nothing_and_after_the_end_listens_with_a_new_revision():
    ears = FakeEars()
    ears.start()
    ears.start()
    assert ears.events == []
    ears.listening.stop(DIALOG, 1, 'x')
    ears.start()
    assert ears.listening.current.revision == 1


def test_sound_since_listen_from_is_caught_up():
    ears = FakeEars()
    ears.feed(1, 0.0)
    ears.feed(1, 0.95)
    ears.feed(3, 0.0)
    ears.start(from_s=100.5)
    assert [k for _, k, _ in ears.told] == ['STARTED', 'PARTIAL', 'FINAL']


def test_stop_only_stops_what_is_not_newer():
    ears = FakeEars()
    ears.listening.stop('', 0, '')
    ears.start(turn=2)
    with pytest.raises(AssistantError) as raised:
        ears.listening.stop(DIALOG, 1, '')
    assert raised.value.code == ErrorCode.OUTDATED
    ears.listening.stop(DIALOG, 2, '')
    assert ears.told == [(2, 'FINAL', 'STOPPED')]
    assert ears.listening.current is None


def test_failing_engine_fails_the_turn_and_the_next_works():
    ears = FakeEars(AssistantError(ErrorCode.ENGINE_FAILED, 'broken'))
    ears.start()
    ears.feed(1, 0.95)
    ears.feed(1, 0.0)
    assert ears.events[-1].outcome is Outcome.FAILED
    assert ears.events[-1].error_code == ErrorCode.ENGINE_FAILED
    ears.error = None
    ears.start(turn=2, from_s=ears.now_s)
    ears.feed(1, 0.95)
    ears.feed(3, 0.0)
    assert ears.events[-1].text == 'Hello.'


def test_full_worker_fails_the_turn():
    def full(*_):
        raise AssistantError(ErrorCode.BUSY, 'queue is full')

    ears = FakeEars(submit=full)
    ears.start()
    ears.feed(1, 0.95)
    ears.feed(1, 0.0)
    assert ears.events[-1].error_code == ErrorCode.BUSY


def test_lost_microphone_fails_the_turn():
    ears = FakeEars()
    ears.start()
    ears.listening.fail(AssistantError(ErrorCode.DEVICE_FAILED, 'unplugged'))
    assert ears.events[-1].error_code == ErrorCode.DEVICE_FAILED


def test_listening_apart_gives_way_to_a_dialog():
    ears, events = FakeEars(), []
    ears.listening.start_apart(TurnRequest(TurnKey('listen-1', 1), 100.0), events.append)
    with pytest.raises(AssistantError) as raised:
        ears.listening.start_apart(TurnRequest(TurnKey('listen-2', 1), 100.0), events.append)
    assert raised.value.code == ErrorCode.BUSY
    ears.start()
    assert [(e.kind, e.outcome) for e in events] == [(Kind.FINAL, Outcome.STOPPED)]


# Requests -------------------------------------------------------------------------------------

SETTINGS = {'no_speech_timeout_ms': 8000, 'silence_ms': 2000, 'max_utterance_ms': 30000,
            'vad_threshold': 0.5, 'partials': True, 'endpointing': 'smart'}


def ask(**changes):
    wanted = {'dialog_id': DIALOG, 'turn': 1, 'listen_from_s': 0.0, 'wake_phrase': '',
              'no_speech_timeout_ms': 0, 'now_s': 1000.0, **changes}
    return dialog_request(SETTINGS.__getitem__, **wanted)


def test_request_takes_the_settings():
    request = ask()
    assert request.listen_from_s == 1000.0
    assert request.no_speech_timeout_s == 8.0
    assert request.endpointing.smart


@pytest.mark.parametrize('changes', [
    {'dialog_id': ''}, {'dialog_id': 'x' * 65}, {'turn': 0}, {'wake_phrase': 'x' * 101},
    {'no_speech_timeout_ms': 1}, {'no_speech_timeout_ms': 10**9}, {'listen_from_s': 1006.0}])
def test_bad_request_names_the_field(changes):
    with pytest.raises(AssistantError, match=next(iter(changes)).removesuffix('_s')) as raised:
        ask(**changes)
    assert raised.value.code == ErrorCode.INVALID_ARGUMENT


def test_old_listen_from_is_limited_to_what_is_kept():
    assert listen_from(900.0, 1000.0) == 992.0
    assert listen_from(995.0, 1000.0) == 995.0


def test_apart_request_refuses_a_silly_silence():
    with pytest.raises(AssistantError, match='silence_ms'):
        apart_request(SETTINGS.__getitem__, listen_id='listen-1', no_speech_timeout_ms=0,
                      silence_ms=5, now_s=1.0)


def test_a_turn_ends_when_the_clock_is_set_back():
    ears = FakeEars()
    ears.start()
    ears.feed(1.0, 0.0)
    ears.now_s -= 3600.0
    ears.feed(0.1, 0.0)
    assert ears.told == [(1, 'FINAL', 'FAILED')]
    assert 'clock of the computer was set back by 3600 s' in ears.events[0].error_msg
    ears.start(turn=2, from_s=ears.now_s)
    ears.feed(9.0, 0.0)
    assert ears.told[-1] == (2, 'FINAL', 'NO_SPEECH')


def test_a_slow_transcriber_gets_no_second_look_before_the_first_is_done():
    looks: list[tuple[Future, Callable]] = []

    def slow(function: Callable) -> Future:
        looks.append((Future(), function))
        return looks[-1][0]

    def done(nothing: bool = False) -> None:
        future, function = looks[-1]
        text = function()
        future.set_result(None if nothing else text)

    ears = FakeEars(submit=slow)
    key = TurnKey(DIALOG, 1)
    ears.listening.start(TurnRequest(key, 100.0, over_playback=True), ears.events.append)
    ears.feed(1.2, 0.95)
    assert len(looks) == 1
    done(nothing=True)
    ears.feed(0.5, 0.95)
    assert len(looks) == 2
    ears.feed(0.4, 0.0)
    assert len(looks) == 2, 'the text of the pause is made instead'
    done()
    assert ears.told[-1] == (1, 'PARTIAL', 'SPEECH')


def test_while_a_transcription_takes_long_only_the_newest_pause_waits_for_its_text():
    jobs: list[tuple[Future, Callable]] = []

    def slow(function: Callable) -> Future:
        jobs.append((Future(), function))
        return jobs[-1][0]

    ears = FakeEars(submit=slow)
    ears.start()
    ears.feed(0.6, 0.95)
    ears.feed(1.0, 0.0)
    began = jobs[0][1]()  # and takes long
    for _ in range(10):
        ears.feed(0.6, 0.95)
        ears.feed(1.0, 0.0)
    assert len(jobs) == 2
    jobs[0][0].set_result(began)
    ears.feed(1.5, 0.0)
    assert ears.told == [(1, 'STARTED', 'SPEECH')]
    jobs[1][0].set_result(jobs[1][1]())
    ears.feed(0.1, 0.0)
    assert ears.told[-1] == (1, 'FINAL', 'SPEECH')
    assert ears.events[-1].key.revision == 10 and len(jobs) == 2
