# SPDX-License-Identifier: Apache-2.0
"""Measuring waits in recordings: known sounds at known places. No model, no device."""

from __future__ import annotations

import json
from pathlib import Path
import sys
import wave

from hearing.texts import VOICES
import numpy as np
import pytest
from run import main
import soundfile
from virtual_room.acoustics import convolved, synthetic_rir
from voice.ears import Ears, NotComing
from voice.figures import spread, summary, waits
from voice.reports import disagreement, gaps, stages
from voice.sound import end_of_sound, located, longest_gap_s, onset, RATE
from voice.systems import Peer
from voice.talk import Line
from voice.texts import script

RANDOM = np.random.default_rng(7)
T0_S = 1_800_000_000.0


def speech(seconds: float, seed: int = 1) -> np.ndarray:
    """Noise in syllables, as broad and as uneven as speech, silent at no end."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE)
    swell = 0.4 + 0.6 * np.abs(np.sin(np.arange(count) / RATE * 12.0 + 0.5))
    return (0.1 * swell * random.standard_normal(count)).astype(np.float32)


def silence(seconds: float, level: float = 0.0) -> np.ndarray:
    return (level * RANDOM.standard_normal(round(seconds * RATE))).astype(np.float32)


@pytest.mark.parametrize('first', [0, 1, 79, 80, 12_345, 16_001])
def test_the_first_audible_sample_is_found_to_the_sample(first):
    sound = np.zeros(2 * RATE, np.float32)
    sound[first:first + 800] = 0.1
    assert onset(sound, 0, sound.size) == first


def test_what_is_too_soft_is_silence():
    sound = np.concatenate([silence(0.5, 0.001), 0.5 * speech(0.5)])
    assert onset(sound, 0, sound.size) == pytest.approx(8000, abs=8)
    assert onset(silence(1.0, 0.001), 0, RATE) is None
    assert onset(sound, 0, 7900) is None
    assert onset(sound, 20 * RATE, 30 * RATE) is None


def test_a_sound_ends_before_enough_silence():
    sound = np.concatenate([speech(1.0), silence(0.3), speech(0.5), silence(1.0), speech(0.2)])
    assert end_of_sound(sound, 0, 0.6) == pytest.approx(1.8 * RATE, abs=80)
    assert end_of_sound(sound, 0, 0.2) == pytest.approx(1.0 * RATE, abs=80)
    assert end_of_sound(sound, 0, 2.0) is None
    assert longest_gap_s(sound, 0, round(1.8 * RATE)) == pytest.approx(0.3, abs=0.011)


@pytest.mark.parametrize('offset', [4000, 4001, 9973])
def test_a_clip_is_found_in_a_noisy_room_to_the_sample(offset):
    clip = speech(1.2)
    room = synthetic_rir(3, RATE)
    direct = int(np.argmax(np.abs(room)))
    heard = silence(3.0, 0.003)
    wet = convolved(clip, room)
    heard[offset:offset + wet.size] += wet[:heard.size - offset]
    assert located(heard, clip, 0, heard.size) == offset + direct
    assert located(silence(3.0, 0.01), clip, 0, 3 * RATE) is None
    assert located(clip[:100], clip, 0, 100) is None


def a_line(folder: Path, text: str, clip: np.ndarray, start_s: float, kind='question') -> Line:
    wav = folder / f'{text}.wav'
    soundfile.write(wav, np.concatenate([np.zeros(500), clip, np.zeros(700)]), RATE,
                    subtype='FLOAT')
    return Line(kind, text, 'a', wav, T0_S + start_s, T0_S + start_s + clip.size / RATE, True)


@pytest.fixture
def recorded(tmp_path):
    """A user at 1.0 s and 6.0 s; answers 0.5 s after the first and during the second."""
    first, second = speech(1.0, 1), speech(2.0, 2)
    mic, speaker = silence(12.0, 0.001), np.zeros(12 * RATE, np.float32)
    mic[16_000:16_000 + first.size] += first
    mic[96_000:96_000 + second.size] += second
    speaker[40_000:56_000] = speech(1.0, 3)
    speaker[100_000:130_000] = speech(30_000 / RATE, 4)
    # The room's clock is 50 ms off: the recording counts.
    return ([a_line(tmp_path, 'one', first, 1.05), a_line(tmp_path, 'two', second, 5.95)],
            mic, speaker)


def test_waits_are_counted_from_the_recordings(recorded):
    answered, cut_off = waits(*recorded, T0_S)
    assert answered.outcome == 'answered'
    assert answered.wait_ms == pytest.approx(500.0, abs=6.0)
    assert answered.clock_ms == pytest.approx(50.0, abs=6.0)
    assert answered.sound[0] == pytest.approx(40_000, abs=8)
    assert answered.heard_s - answered.end_s == pytest.approx(0.5, abs=0.006)
    assert cut_off.outcome == 'cut_off'
    assert summary([answered, cut_off]) == {
        'p50': round(answered.wait_ms), 'p95': round(answered.wait_ms), 'n': 1,
        'missed': 0, 'cut_off': 1, 'lost': 0, 'pause_ms': {'p50': 0, 'p95': 0}}


def test_no_answer_and_no_user(recorded):
    lines, mic, speaker = recorded
    assert [w.outcome for w in waits(lines, mic, 0 * speaker, T0_S)] == ['missed', 'missed']
    assert [w.outcome for w in waits(lines, 0 * mic, speaker, T0_S)] == ['lost', 'lost']


def test_spread_of_few_values():
    assert spread([100, 200, 300]) == {'p50': 200, 'p95': 290, 'n': 3}
    assert spread([]) == {'p50': None, 'p95': None, 'n': 0}


def test_the_longest_gap_of_each_answer_counts():
    told = ({'outcome': 'answered', 'longest_gap_ms': 100},
            {'outcome': 'answered', 'longest_gap_ms': 300},
            {'outcome': 'interrupted', 'longest_gap_ms': 900}, {'outcome': 'answered'})
    assert gaps({'data': data} for data in told) == {'p50': 200, 'p95': 290, 'n': 2}


def test_reports_are_held_against_the_recording(recorded):
    found = waits(*recorded, T0_S)
    data = {'speech_end': T0_S + 2.04, 'endpoint_decided': T0_S + 2.3, 'final_text': T0_S + 2.2,
            'first_token': T0_S + 2.25, 'first_synthesised': T0_S + 2.45,
            'first_audio': T0_S + 2.48}
    differ = disagreement(found, [{'data': data}, {'data': {}}])
    assert differ['speech_end']['p50'] == pytest.approx(40, abs=6)
    assert differ['first_audio']['p50'] == pytest.approx(-20, abs=2)
    assert differ['first_audio']['n'] == 1
    assert stages([{'data': data}])['final_text'] == {'p50': 160, 'p95': 160, 'n': 1}


def test_every_voice_gets_its_share_of_the_questions():
    dialogs = script(31, 2)
    assert sum(len(asked) for _, asked in dialogs) == 31
    assert {voice for voice, _ in dialogs} == set(VOICES)
    assert len({text for _, asked in dialogs for text in asked}) == 30
    assert 'af_heart' not in VOICES and len(VOICES) == 6


class Growing:
    """A recording that is being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with wave.open(str(path), 'wb') as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)

    def add(self, samples: np.ndarray) -> None:
        with self.path.open('ab') as file:
            file.write((samples * 32767).astype('<i2').tobytes()[:-1])
            file.write(b'\0')


def test_ears_follow_a_recording_while_it_grows(tmp_path):
    recording = Growing(tmp_path / 'speaker.wav')
    ears = Ears(recording.path)
    recording.add(silence(1.0))
    assert ears.wait_for_sound(0.0, 0.0) is None
    recording.add(speech(0.5))
    heard_s = ears.wait_for_sound(0.2, 1.0)
    assert heard_s == pytest.approx(1.0, abs=0.006)
    assert ears.now_s == pytest.approx(1.5)
    with pytest.raises(NotComing, match='not silent'):
        ears.wait_for_quiet(heard_s, 0.4, 0.0)
    recording.add(silence(0.5))
    assert ears.wait_for_quiet(heard_s, 0.4, 1.0) == pytest.approx(1.5, abs=0.006)


def test_ears_end_with_what_they_listen_to(tmp_path):
    recording = Growing(tmp_path / 'speaker.wav')
    with pytest.raises(NotComing, match='it died'):
        Ears(recording.path, lambda: 'it died').wait_for_sound(0.0, 60.0)


PEER = ('import json, sys; print(json.dumps({"event": "ready"}), flush=True); print("noise");'
        'print(json.dumps({"event": "reply", "text": sys.stdin.readline()}), flush=True);'
        'sys.stdin.read()')


def test_a_peer_talks_in_lines(tmp_path):
    peer = Peer([sys.executable, '-c', PEER], tmp_path / 'log')
    peer.start({})
    try:
        peer.wait_ready()
        peer.new_dialog()
        assert peer.problem() == ''
    finally:
        peer.stop()
    assert [event['event'] for event in peer.events] == ['ready', 'line', 'reply']
    assert 'exit code 0' in peer.problem()


def test_a_peer_that_dies_is_named(tmp_path):
    peer = Peer([sys.executable, '-c', 'import sys; sys.exit(3)'], tmp_path / 'log')
    peer.start({})
    with pytest.raises(NotComing, match='exit code 3'):
        peer.wait_ready()
    peer.stop()


def test_without_pipecat_that_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('VA_PEERS', str(tmp_path / 'none'))
    assert main(['voice', '--only', 'pipecat', '--out', str(tmp_path)]) == 0
    assert 'pipecat is not installed' in capsys.readouterr().out
    assert not (tmp_path / 'scorecard.json').exists()


@pytest.mark.parametrize(('words', 'said'), [
    (('voice', '--turns', '0'), '0: expected a whole number from 1 to 1000'),
    (('voice', '--only', 'loud'), "'loud'"), (('boot', '--boots', 'many'), 'many: expected'),
    (('soak', '--turns', '-3'), '-3'), (('scale', '--ros-domain', '500'), '500: expected'),
    (('speed',), "'speed'")])
def test_a_wrong_command_line_is_refused(words, said, capsys):
    with pytest.raises(SystemExit):
        main(list(words))
    assert said in capsys.readouterr().err


def test_the_lock_of_the_peers_is_pinned_and_hashed():
    lock = (Path(__file__).resolve().parents[2] / 'bench/peers/requirements.lock').read_text()
    packages = [line for line in lock.splitlines() if line[:1].isalpha()]
    assert all('==' in line for line in packages)
    assert lock.count('--hash=') >= len(packages)
    assert json.dumps(lock).count('pipecat-ai==1.14.0') == 1
