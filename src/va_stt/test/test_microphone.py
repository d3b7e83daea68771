# SPDX-License-Identifier: Apache-2.0
"""The microphone on a real PortAudio and a real PulseAudio with a null sink."""

from __future__ import annotations

import time

import numpy as np
import pytest

from va_common.errors import AssistantError, ErrorCode
from va_common.port_audio import refresh_devices
from va_common.testing import wait_for
from va_stt.capture_clock import SETTLING_MAX_S, STEADY_S
from va_stt.channels import ChannelMix
from va_stt.microphone import _Converter, choose_format, Microphone, StreamFormat


def tone(seconds: float, hz: float = 440.0, rate: int = 16000) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)


def collect(microphone: Microphone, seconds: float) -> tuple[np.ndarray, list[float]]:
    blocks, deadline = [], time.monotonic() + seconds + 10.0
    while sum(len(b.samples) for b in blocks) < seconds * 16000 and time.monotonic() < deadline:
        block = microphone.read(1.0)
        if block is not None:
            blocks.append(block)
    return np.concatenate([b.samples for b in blocks]), [b.start_s for b in blocks]


@pytest.mark.parametrize('rate', [16000, 44100, 48000])
def test_hears_what_is_played_at_any_rate(pulse, rate):
    microphone = Microphone('', rate)
    microphone.open()
    microphone.start()
    player = pulse.play(tone(3.0))
    sound, _ = collect(microphone, 1.5)
    microphone.stop()
    microphone.close()
    player.kill()
    player.wait(5)
    spectrum = np.abs(np.fft.rfft(sound[-8000:] * np.hanning(8000)))
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=4)


def test_times_are_of_the_capture_and_advance_with_the_samples(pulse):
    microphone = Microphone('', 16000)
    microphone.open()
    microphone.start()
    _, starts = collect(microphone, 1.0)
    now_s = time.time()
    microphone.close()
    assert now_s - 2.0 < starts[-1] < now_s
    steps = np.diff(starts)
    assert np.median(steps) == pytest.approx(0.02, abs=0.001)
    assert steps.min() > 0.0


def test_clicks_keep_their_distance_in_time(pulse):
    clicks = np.zeros(16000 * 9)
    clicks[::4000], clicks[1::4000] = 0.9, -0.9
    microphone = Microphone('', 16000)
    microphone.open()
    player = pulse.play(clicks)
    microphone.start()
    sound, starts = collect(microphone, 6.0)
    microphone.close()
    player.kill()
    player.wait(5)
    settled = int((SETTLING_MAX_S + 1.0) * 16000) // 320
    sound, starts = sound[settled * 320:], starts[settled:]
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > 8000)
    first = loud[np.concatenate([[True], np.diff(loud) > 400])]
    times = [starts[at // 320] + at % 320 / 16000 for at in first]
    assert len(times) >= 6
    # Off by STEADY_S at most, the count is pulled by that much per second.
    assert np.median(np.diff(times)) == pytest.approx(0.25, abs=0.25 * STEADY_S)


def test_unknown_device_is_named():
    with pytest.raises(AssistantError) as raised:
        Microphone('no such thing', 16000).open()
    assert raised.value.code == ErrorCode.DEVICE_FAILED
    assert 'no such thing' in raised.value.message


def test_lost_server_is_a_clear_error_and_opening_again_fails_clearly(pulse):
    microphone = Microphone('', 16000)
    microphone.open()
    microphone.start()
    collect(microphone, 0.2)
    pulse.end()

    def lost() -> bool:
        try:
            microphone.read(0.1)
        except AssistantError as error:
            return error.code == ErrorCode.DEVICE_FAILED
        return False

    wait_for(lost, 10.0, 'the loss is noticed')
    with pytest.raises(AssistantError) as raised:
        microphone.open()
    assert raised.value.code == ErrorCode.DEVICE_FAILED


def test_what_the_speaker_plays_is_no_microphone(pulse, monkeypatch):
    pulse.unplug()
    microphone = Microphone('', 16000)
    with pytest.raises(AssistantError, match='only what the speaker plays; plug it in') as raised:
        microphone.open()
    assert raised.value.code == ErrorCode.DEVICE_FAILED
    monkeypatch.setenv('PULSE_SOURCE', 'speaker.monitor')  # somebody wants just that
    chosen = Microphone('', 16000)
    chosen.open()
    chosen.close()
    monkeypatch.delenv('PULSE_SOURCE')
    pulse.plug()
    microphone.open()
    microphone.close()


def test_format_that_is_refused_falls_back_to_the_devices_own(monkeypatch):
    import sounddevice

    def check(device, channels, dtype, samplerate):
        if (samplerate, channels) != (48000, 2):
            raise sounddevice.PortAudioError('Invalid sample rate', -9997)

    about = {'name': 'card', 'max_input_channels': 2, 'default_samplerate': 48000.0, 'index': 3}
    monkeypatch.setattr('va_stt.microphone.find_device', lambda name, kind: 3)
    monkeypatch.setattr(sounddevice, 'query_devices', lambda device: about)
    monkeypatch.setattr(sounddevice, 'check_input_settings', check)
    chosen = choose_format('', 16000)
    assert (chosen.rate, chosen.channels) == (48000, 2)


def test_eight_channels_at_another_rate_are_one_at_16_khz():
    channels = ChannelMix()
    converter = _Converter(StreamFormat(0, 'array', 48000, 8), channels)
    one = (32767 * tone(4.0, rate=48000)).astype(np.int16)
    blocks = [converter.convert(np.stack([one[i:i + 960]] * 8, axis=1).tobytes(), 100 + i / 48000)
              for i in range(0, one.size, 960)]
    sound = np.concatenate([b.samples for b in blocks if b is not None])
    spectrum = np.abs(np.fft.rfft(sound[-8000:] * np.hanning(8000)))
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=4)
    assert np.abs(sound[-8000:]).max() == pytest.approx(0.3 * 32767, rel=0.05)
    assert channels.warnings() == []


def test_busy_device_says_why(monkeypatch):
    import sounddevice

    def check(**_):
        raise sounddevice.PortAudioError('Device unavailable', -9985)

    about = {'name': 'card', 'max_input_channels': 2, 'default_samplerate': 48000.0, 'index': 3}
    monkeypatch.setattr('va_stt.microphone.find_device', lambda name, kind: 3)
    monkeypatch.setattr(sounddevice, 'query_devices', lambda device: about)
    monkeypatch.setattr(sounddevice, 'check_input_settings', check)
    with pytest.raises(AssistantError, match='Device unavailable'):
        choose_format('', 16000)


def test_refresh_finds_devices_again(pulse):
    refresh_devices()
    assert choose_format('', 16000).rate == 16000


def test_another_microphone_of_the_process_is_not_taken_away(pulse):
    first, second = Microphone('', 16000), Microphone('', 16000)
    first.open()
    first.start()
    second.open()  # looks for devices
    sound, _ = collect(first, 1.0)
    assert sound.size >= 16000
    second.close()
    first.close()
    refresh_devices()
    first.open()
    first.close()
