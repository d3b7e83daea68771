# SPDX-License-Identifier: Apache-2.0
"""The speaker on a real PortAudio and a private PulseAudio, and the topic sink."""

from collections.abc import Iterator
import threading
import time

from conftest import PrivatePulse, Recorder
import numpy as np
import pytest
from tts_fakes import RATE, tone

from va_common.errors import AssistantError, ErrorCode
from va_common.settings import by_name
from va_common.testing import wait_for
from va_tts.playout import Dry, Played, Playout
from va_tts.speaker import Speaker
from va_tts.speaker_keeper import SpeakerKeeper
from va_tts.topic_sink import LEAD_S, TopicSink

SLOW_MACHINE_S = 5.0
"""Granted on top of what is wanted: other tests may hold the cores."""


class Sound:
    """A started speaker with a line."""

    def __init__(self, rate: int = RATE, block_s: float = 0.01) -> None:
        self.reports: list[object] = []
        self.underruns = 0
        self.speaker = Speaker('', rate, block_s, self._underrun)
        self.speaker.open()
        self.playout = Playout(self.speaker.rate, self.reports.append)
        self.speaker.start(self.playout)

    def _underrun(self) -> None:
        self.underruns += 1

    def dry(self) -> list[Dry]:
        return [report for report in self.reports if isinstance(report, Dry)]

    def close(self) -> None:
        self.speaker.stop()
        self.speaker.close()


@pytest.fixture
def sound(recorder: Recorder) -> Iterator[Sound]:
    sound = Sound()
    wait_for(lambda: sound.speaker.blocks > 50, 10.0, 'the device asks for sound steadily')
    yield sound
    sound.close()


def test_what_is_played_is_recorded_and_on_time(sound: Sound, recorder: Recorder) -> None:
    recorder.clear()
    sound.playout.add(1, 0, tone(0.5, RATE))
    wait_for(sound.dry, 5.0, 'all of it is handed over')
    wait_for(lambda: time.time() > sound.dry()[0].start_s + 0.2, 5.0, 'all of it was heard')
    recorded = recorder.sound().astype(np.float32) / 32768
    loud = np.flatnonzero(np.abs(recorded) > 0.02)
    assert (loud[-1] - loud[0]) / RATE == pytest.approx(0.5, abs=0.1)
    assert np.abs(recorded).max() == pytest.approx(0.3, abs=0.02)
    played = next(report for report in sound.reports if isinstance(report, Played))
    # The recorder hears it when it is played, and later if the machine is busy.
    assert -0.08 < recorder.loud_times()[0] - played.start_s < 0.5
    assert sound.speaker.problem() is None
    assert 0.005 < sound.speaker.latency_s < 0.2


def test_cut_is_silent_soon(sound: Sound, recorder: Recorder) -> None:
    sound.playout.add(1, 0, tone(5.0, RATE))
    wait_for(recorder.loud_times, 5.0, 'it is heard')
    cut_s = time.time()
    sound.playout.cut({1})
    wait_for(sound.dry, 5.0, 'the line is empty')
    wait_for(lambda: time.time() > cut_s + 2.0, 5.0, 'silence')
    # 45 ms measured on an idle machine; uncut it would go on for 5 s.
    assert recorder.loud_times()[-1] - cut_s < 1.5


def test_start_stop_ten_times(pulse: PrivatePulse) -> None:
    playout = Playout(RATE, lambda report: None)
    for _ in range(10):
        speaker = Speaker('', RATE, 0.02, lambda: None)
        speaker.open()
        speaker.start(playout)
        assert speaker.problem() is None
        speaker.stop()
        assert speaker.problem() is not None
        speaker.close()
        speaker.close()
    assert not [thread for thread in threading.enumerate() if 'speaker' in thread.name]


def test_missing_device_names_those_that_are_there(pulse: PrivatePulse) -> None:
    with pytest.raises(AssistantError, match=r"'no such'.*expected one of") as raised:
        Speaker('no such', RATE, 0.01, lambda: None).open()
    assert raised.value.code == ErrorCode.DEVICE_FAILED


def test_start_before_open(pulse: PrivatePulse) -> None:
    with pytest.raises(AssistantError, match='not open'):
        Speaker('', RATE, 0.01, lambda: None).start(Playout(RATE, lambda report: None))


def test_exception_in_the_callback_is_a_problem_and_silence(sound: Sound) -> None:
    sound.playout.fill = lambda out, start_s: 1 / 0  # type: ignore[method-assign]
    wait_for(lambda: 'ZeroDivisionError' in (sound.speaker.problem() or ''), 5.0, 'a problem')


FAULTS = {
    # The server moves the stream to the sink of the microphone: it runs on, and nobody hears it.
    'unplugged': (PrivatePulse.unplug, PrivatePulse.plug),
    'server killed': (PrivatePulse.kill, PrivatePulse.start),
    'server frozen': (lambda server: server.freeze(True), lambda server: server.freeze(False)),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_lost_speaker_is_noticed_and_opened_again(pulse: PrivatePulse, fault: str) -> None:
    break_it, mend_it = FAULTS[fault]
    server = PrivatePulse()
    lost: list[float] = []
    back = threading.Event()
    try:
        server.start()
        server.enter()
        sound = Sound()
        keeper = SpeakerKeeper(
            sound.speaker, lambda reason: lost.append(time.monotonic()), lambda: sound.playout,
            back.set)
        keeper.start()
        wait_for(lambda: sound.speaker.blocks > 20, 10.0, 'the device asks for sound')
        broken_s = time.monotonic()
        break_it(server)
        wait_for(lambda: lost, 10.0, 'the loss is noticed')
        assert lost[0] - broken_s < 3.0 + SLOW_MACHINE_S
        assert "speaker 'default' is gone" in (keeper.problem or '')
        wait_for(lambda: keeper.describe().get('reopen attempts', '0') >= '2', 20.0,
                 'it is tried again and again')
        assert not back.is_set()
        mend_it(server)
        wait_for(back.is_set, 20.0, 'it is back')
        before = sound.speaker.blocks
        wait_for(lambda: sound.speaker.blocks > before + 20, 10.0, 'it asks for sound')
        assert keeper.problem is None
        assert sound.speaker.problem() is None
        recorder = Recorder(server)
        sound.playout.add(1, 0, tone(1.0, RATE))
        wait_for(recorder.loud_times, 10.0, 'it is heard')
        recorder.close()
        keeper.stop()
        sound.close()
        assert len(lost) == 1
    finally:
        server.close()
        pulse.enter()


@pytest.fixture
def coarse(pulse: PrivatePulse) -> Iterator[None]:
    """Somebody records what the server plays, 20 ms at a time: so it plays."""
    recorder = Recorder(pulse, latency_ms=20)
    yield
    recorder.close()


def stall(sound: Sound) -> None:
    """Keep the audio thread from filling a block for longer than the device has sound for."""
    filled, fill = threading.Event(), sound.playout.fill

    def fill_late(out: np.ndarray, start_s: float) -> None:
        sound.playout.fill = fill  # type: ignore[method-assign]
        threading.Event().wait(0.2)
        fill(out, start_s)
        filled.set()

    sound.playout.fill = fill_late  # type: ignore[method-assign]
    assert filled.wait(10.0)


def test_a_stall_is_one_underrun_with_the_default_settings(coarse: None) -> None:
    settings = by_name()
    sound = Sound(settings['audio.output_rate'].default,
                  settings['audio.output_block_ms'].default / 1000)
    wait_for(lambda: sound.speaker.blocks > 40, 20.0, 'the device asks for sound')
    before = sound.underruns
    stall(sound)
    after = sound.speaker.blocks
    wait_for(lambda: sound.speaker.blocks > after + 40, 20.0, 'it goes on')
    assert sound.speaker.problem() is None
    assert sound.underruns - before < 10  # each of the 40, when it does not recover
    sound.close()


def test_a_storm_of_underruns_ends_with_a_larger_buffer(coarse: None) -> None:
    sound = Sound(44_100, 0.02)  # PortAudio on ALSA's pulse plugin does not recover with these
    keeper = SpeakerKeeper(sound.speaker, lambda reason: None, lambda: sound.playout, lambda: None)
    keeper.start()
    wait_for(lambda: sound.speaker.blocks > 40, 20.0, 'the device asks for sound')
    stall(sound)

    def steady() -> bool:
        before, blocks = sound.underruns, sound.speaker.blocks
        wait_for(lambda: sound.speaker.blocks > blocks + 40, 10.0, 'it asks for sound')
        return sound.underruns - before < 10

    wait_for(steady, 30.0, 'it plays without underruns')
    assert keeper.problem is None
    keeper.stop()
    sound.close()


# topic


def test_topic_sink_sends_in_real_time() -> None:
    sent: list[tuple[float, int, float]] = []
    sink = TopicSink(24_000, lambda samples, start: sent.append(
        (time.time(), len(samples), start)))
    playout = Playout(sink.rate, lambda report: None)
    sink.open()
    sink.start(playout)
    assert sink.problem() is None
    playout.add(1, 0, tone(1.0, 24_000))
    wait_for(lambda: len(sent) == 13, 5.0, 'all chunks are sent')
    sink.stop()
    assert sink.problem() is not None
    assert all(count == 1920 for _, count, _ in sent)
    starts = [start for _, _, start in sent]
    assert np.allclose(np.diff(starts), 0.08)
    ahead = [start - at for at, _, start in sent]
    assert max(ahead) <= LEAD_S + 0.01
    assert sent[-1][0] - sent[0][0] > 0.8
