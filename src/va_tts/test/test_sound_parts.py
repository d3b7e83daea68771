# SPDX-License-Identifier: Apache-2.0
"""Trimming, the play clock, the line of the device, the reference, what was heard."""

import numpy as np
import pytest
from tts_fakes import BLOCK, FakeDevice, LATENCY_S, RATE, tone

from va_common.testing import FakeClock
from va_tts.heard import Heard, PieceSound
from va_tts.play_clock import PlayClock
from va_tts.playout import Dry, FADE_S, FarEnd, LOOK_AHEAD_S, Played, Playout
from va_tts.reference import CHUNK, Reference
from va_tts.trim_silence import CLAUSE_TAIL_S, SENTENCE_TAIL_S, tail_for, trim

SILENCE = np.zeros(12_000, np.float32)


# trim


def test_trim_keeps_short_pauses() -> None:
    sound = np.concatenate([SILENCE, tone(1.0, 24_000), SILENCE])
    assert len(trim(sound, 24_000, 0.1)) == pytest.approx(24_000 * 1.13, abs=240)


def test_trim_adds_the_pause_that_is_missing() -> None:
    assert len(trim(tone(1.0, 24_000), 24_000, 0.1)) == pytest.approx(24_000 * 1.1, abs=240)


def test_trim_of_silence_is_empty() -> None:
    assert len(trim(SILENCE, 24_000, 0.1)) == 0
    assert len(trim(np.zeros(0, np.float32), 24_000, 0.1)) == 0


@pytest.mark.parametrize('text, tail', [
    ('It is.', SENTENCE_TAIL_S), ('"It is!"', SENTENCE_TAIL_S), ('it is,', CLAUSE_TAIL_S),
    ('and', CLAUSE_TAIL_S),
])
def test_tail(text: str, tail: float) -> None:
    assert tail_for(text) == tail


# play clock


def test_clock_smooths_jitter() -> None:
    clock = PlayClock(RATE, LATENCY_S)
    random = np.random.default_rng(1)
    starts = []
    for number in range(500):
        now = 1000 + number * 0.01
        late = float(random.uniform(0, 0.003))
        stream = 5 + number * 0.01
        starts.append(clock.block(BLOCK, now + late, stream, stream + LATENCY_S))
    steps = np.diff(starts[100:])
    assert np.abs(steps - 0.01).max() < 0.0005
    assert starts[-1] == pytest.approx(1000 + 4.99 + LATENCY_S, abs=0.002)


def test_clock_follows_a_gap_at_once() -> None:
    clock = PlayClock(RATE, LATENCY_S)
    clock.block(BLOCK, 1000.0, 5.0, 5.03)
    assert clock.block(BLOCK, 1002.0, 7.0, 7.03) == pytest.approx(1002.03)


@pytest.mark.parametrize('step_s', [0.02, -0.02])
def test_clock_follows_a_small_step_within_half_a_second(step_s: float) -> None:
    clock = PlayClock(RATE, LATENCY_S)
    late_s = [clock.block(BLOCK, 1000.0 + at, 5.0 + at, 5.03 + at + (step_s if k >= 1000 else 0))
              - 1000.03 - at for k in range(1050) for at in (0.01 * k,)]
    assert late_s[999] == pytest.approx(0.0, abs=1e-4)
    assert late_s[1049] == pytest.approx(step_s, abs=1e-3)


def test_clock_settles_after_a_gap_whose_first_time_was_wrong() -> None:
    clock = PlayClock(RATE, LATENCY_S)
    clock.block(BLOCK, 1000.0, 5.0, 5.03)
    clock.block(BLOCK, 1002.0, 7.0, 7.035)  # 5 ms too late
    for k in range(1, 100):
        start_s = clock.block(BLOCK, 1002.0 + 0.01 * k, 7.0 + 0.01 * k, 7.03 + 0.01 * k)
    assert start_s == pytest.approx(1002.03 + 0.99, abs=5e-4)


def test_clock_without_times_of_the_device_uses_its_latency() -> None:
    assert PlayClock(RATE, 0.05).block(BLOCK, 1000.0, 5.0, 5.0) == pytest.approx(1000.05)
    assert PlayClock(RATE, 0.05).block(BLOCK, 1000.0, 5.0, 0.0) == pytest.approx(1000.05)


def test_clock_follows_a_system_clock_that_is_set() -> None:
    clock = PlayClock(RATE, LATENCY_S)
    clock.block(BLOCK, 1000.0, 5.0, 5.03)
    assert clock.block(BLOCK, 5000.0, 5.01, 5.04) == pytest.approx(5000.03)
    assert clock.block(BLOCK, 900.0, 5.02, 5.05) == pytest.approx(900.03)


# playout


class Line:
    """A line with a device and the reports it made."""

    def __init__(self) -> None:
        self.reports: list[object] = []
        self.clock = FakeClock()
        self.playout = Playout(RATE, self.reports.append)
        self.device = FakeDevice(self.playout, self.clock)

    def of(self, kind: type) -> list:
        return [report for report in self.reports if isinstance(report, kind)]


@pytest.fixture
def line() -> Line:
    return Line()


def test_silence_when_there_is_nothing(line: Line) -> None:
    line.device.run(0.05)
    assert not line.device.heard.any()
    assert not line.reports


def test_segments_follow_without_a_gap(line: Line) -> None:
    first, second = tone(0.123, RATE), tone(0.2, RATE)
    line.playout.add(1, 0, first)
    line.playout.add(1, 1, second)
    line.device.run(0.5)
    both = np.concatenate([first, second])
    assert np.array_equal(line.device.heard[:len(both)], both)
    assert not line.device.heard[len(both):].any()
    assert sum(report.frames for report in line.of(Played)) == len(both)
    assert line.of(Played)[0].start_s == pytest.approx(1000 + LATENCY_S)
    assert [dry.start_s for dry in line.of(Dry)] == [pytest.approx(1000 + LATENCY_S + 0.323)]

def test_far_end_is_announced_again_after_an_underrun() -> None:
    line = Line()
    line.playout.add(1, 0, tone(1.0, RATE))
    line.device.run(0.3)
    line.clock.advance(0.05)
    gap_s = line.clock()
    line.device.run(0.3)
    assert [report.anew for report in line.of(FarEnd)].count(True) == 1
    announced: dict[int, float] = {}  # by play time in samples: what was said of it last
    for report in line.of(FarEnd):
        first = round((report.start_s - gap_s) * RATE)
        announced.update(enumerate(report.samples.tolist(), first))
    after = round(LATENCY_S * RATE)
    heard = line.device.heard[-round(0.3 * RATE):]
    assert [announced[after + n] for n in range(len(heard))] == pytest.approx(heard.tolist())



def test_far_end_is_what_is_heard_and_comes_ahead_of_it(line: Line) -> None:
    line.playout.add(1, 0, tone(0.5, RATE))
    line.playout.set_gain(0.5)
    line.device.run(0.01)
    announced = sum(len(report.samples) for report in line.of(FarEnd))
    assert announced == BLOCK + round(LOOK_AHEAD_S * RATE)
    line.playout.add(1, 1, tone(0.3, RATE))
    line.device.run(1.0)
    sound = np.concatenate([report.samples for report in line.of(FarEnd)])
    assert len(sound) == round(0.8 * RATE)
    assert np.allclose(sound[BLOCK:], line.device.heard[BLOCK:len(sound)], atol=1e-6)
    end_s = None
    for report in line.of(FarEnd):
        assert end_s is None or report.start_s == pytest.approx(end_s)
        end_s = report.start_s + len(report.samples) / RATE


def test_cut_fades_within_ten_ms(line: Line) -> None:
    line.playout.add(1, 0, tone(1.0, RATE))
    line.device.run(0.1)
    line.playout.cut({1})
    before = len(line.device.heard)
    line.device.run(0.1)
    tail = np.flatnonzero(line.device.heard[before:])
    assert len(tail) and tail[-1] < round(FADE_S * RATE)
    assert np.abs(np.diff(line.device.heard)).max() < 0.1, 'a click'


def test_cut_of_what_has_not_begun_is_silent(line: Line) -> None:
    line.playout.add(1, 0, tone(1.0, RATE))
    line.playout.cut({1})
    line.device.run(0.1)
    assert not line.device.heard.any()


def test_cut_leaves_the_others(line: Line) -> None:
    other = tone(0.1, RATE, 0.2)
    line.playout.add(1, 0, tone(1.0, RATE))
    line.playout.add(2, 0, other)
    line.device.run(0.05)
    line.playout.cut({1})
    line.device.run(0.5)
    assert sum(report.frames for report in line.of(Played) if report.owner == 2) == len(other)


def test_volume_changes_without_a_click_and_is_clipped(line: Line) -> None:
    line.playout.add(1, 0, tone(1.0, RATE, 0.8))
    line.device.run(0.1)
    line.playout.set_gain(2.0)
    line.device.run(0.2)
    assert np.abs(line.device.heard).max() == 1.0
    line.playout.set_gain(0.0)
    line.device.run(0.2)
    assert not line.device.heard[-BLOCK:].any()


# heard


def make_heard(*texts: str, frames: int = RATE) -> Heard:
    heard = Heard(RATE)
    heard.pieces = [PieceSound(text, frames) for text in texts]
    return heard


def test_heard_text_is_whole_pieces_and_a_share_of_words() -> None:
    heard = make_heard('one two three four', 'five six')
    heard.pieces[0].add_run(10.0, RATE, RATE)
    heard.pieces[1].add_run(11.0, RATE, RATE)
    assert heard.text(9.0) == ''
    assert heard.text(10.5) == 'one two'
    assert heard.text(11.0) == 'one two three four'
    assert heard.text(11.6) == 'one two three four five'
    assert heard.text(99.0) == 'one two three four five six'
    assert heard.position_s(11.25) == pytest.approx(1.25)
    assert (heard.start_s, heard.end_s) == (10.0, 12.0)


def test_heard_does_not_count_gaps() -> None:
    heard = make_heard('one two')
    heard.pieces[0].add_run(10.0, RATE // 2, RATE)
    heard.pieces[0].add_run(15.0, RATE // 2, RATE)
    assert heard.position_s(12.0) == pytest.approx(0.5)
    assert heard.text(12.0) == 'one'


def test_silent_pieces_are_heard_in_passing() -> None:
    heard = make_heard('one', 'x', 'two')
    heard.pieces[1].silent = True
    heard.pieces[0].add_run(10.0, RATE, RATE)
    assert heard.text(11.0) == 'one x'


# reference


def test_reference_is_chunks_with_play_times() -> None:
    chunks: list[tuple[np.ndarray, float]] = []
    reference = Reference(RATE, lambda samples, start, anew: chunks.append((samples, start)))
    sound = tone(1.0, RATE)
    for start in range(0, RATE, BLOCK):
        reference.push(sound[start:start + BLOCK], 50.0 + start / RATE)
    reference.flush()
    assert all(len(samples) == CHUNK for samples, _ in chunks[:-1])
    assert sum(len(samples) for samples, _ in chunks) == pytest.approx(16_000, abs=2)
    for number, (_, start_s) in enumerate(chunks):
        assert start_s == pytest.approx(50 + number * 0.08, abs=0.0002)
    whole = np.concatenate([samples for samples, _ in chunks])[1000:15_000] / 32768
    assert np.abs(whole - tone(1.0, 16_000)[1000:15_000]).max() < 0.01, 'not aligned in time'


def test_reference_tells_that_the_play_times_made_a_step() -> None:
    told: list[bool] = []
    reference = Reference(RATE, lambda samples, start, anew: told.append(anew))
    reference.push(tone(0.2, RATE), 50.0)
    before = len(told)
    reference.push(tone(0.3, RATE), 50.1, anew=True)
    reference.flush()
    assert not any(told[:before])
    assert told[before:] == [True] + [False] * (len(told) - before - 1)


def test_reference_begins_anew_after_a_gap() -> None:
    starts: list[float] = []
    reference = Reference(RATE, lambda samples, start, anew: starts.append(start))
    reference.push(tone(0.1, RATE), 50.0)
    reference.push(tone(0.1, RATE), 60.0)
    reference.flush()
    assert [round(start, 2) for start in starts] == [50.0, 50.08, 60.0, 60.08]


def test_reference_drops_what_a_cut_replaced() -> None:
    starts: list[float] = []
    reference = Reference(RATE, lambda samples, start, anew: starts.append(start))
    reference.push(tone(0.1, RATE), 50.0)
    reference.push(tone(0.1, RATE), 50.02)
    reference.flush()
    assert [round(start, 2) for start in starts] == [50.0, 50.02, 50.1]
