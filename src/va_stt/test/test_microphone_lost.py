# SPDX-License-Identifier: Apache-2.0
"""The microphone is pulled out and put in again, on a real PortAudio and a real PulseAudio."""

from __future__ import annotations

import time

import numpy as np
import pytest

from va_common.device_calls import DeviceRetry
from va_common.retry_backoff import Backoff
from va_common.sound_server import fingerprint
from va_common.testing import wait_for
from va_stt.audio_thread import AudioThread
from va_stt.blocks import Block
from va_stt.microphone import Microphone

NOTICED_S = 3.0
SLOW_MACHINE_S = 5.0
"""Granted on top: other tests may hold the cores."""
BACK_S = 20.0


class Ear:
    """Counts what it hears."""

    wants_s = 0.0

    def __init__(self) -> None:
        self.samples = 0

    def feed(self, block: Block) -> None:
        self.samples += len(block.samples)

    def restart(self) -> None:
        pass


class Rig:
    def __init__(self) -> None:
        self.ear, self.lost, self.back = Ear(), [], []
        self.microphone = Microphone('', 16000)
        self.microphone.open()
        self.thread = AudioThread(
            self.microphone, self.ear, on_advance=lambda count: None,
            on_lost=lambda error: self.lost.append((time.monotonic(), error.message)),
            on_back=lambda: self.back.append(time.monotonic()),
            retry=DeviceRetry(Backoff((1.0, 3.0, 5.0)), fingerprint))
        self.thread.start()
        self.hears('sound comes in')

    def hears(self, what: str) -> None:
        before = self.ear.samples
        wait_for(lambda: self.ear.samples >= before + 8000, BACK_S, what)

    def close(self) -> None:
        self.thread.stop()
        self.microphone.close()


@pytest.fixture
def rig(pulse):
    noise = 0.1 * np.random.default_rng(1).standard_normal(16000 * 120)
    player = pulse.play(noise.astype(np.float32))
    rig = Rig()
    yield rig
    rig.close()
    player.kill()
    player.wait(5)


FAULTS = {
    # The server moves the stream to the speaker's monitor: it runs on and hears nothing.
    'unplugged': (lambda pulse: pulse.unplug(), lambda pulse: pulse.plug()),
    'server killed': (lambda pulse: pulse.end(), lambda pulse: pulse.start()),
    'server frozen': (lambda pulse: pulse.freeze(True), lambda pulse: pulse.freeze(False)),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_it_is_noticed_and_everything_hears_again(pulse, rig, fault):
    break_it, mend_it = FAULTS[fault]
    broken_s = time.monotonic()
    break_it(pulse)
    try:
        wait_for(lambda: rig.lost, NOTICED_S + SLOW_MACHINE_S, 'the loss is noticed')
        assert rig.lost[0][0] - broken_s < NOTICED_S + SLOW_MACHINE_S
        assert rig.thread.waits_for_device
        assert "microphone 'default' is gone" in rig.thread.problem
        assert 'plug it in' in rig.thread.problem
        wait_for(lambda: rig.thread.diagnostics().get('reopen_attempts', '0') >= '2', 20.0,
                 'it is tried again and again')
        assert not rig.back
    finally:
        mend_it(pulse)
    wait_for(lambda: rig.back, BACK_S, 'the sound is back')
    rig.hears('it goes on')
    assert rig.thread.problem is None
    assert len(rig.lost) == 1


def test_it_can_be_stopped_while_the_microphone_is_away(pulse, rig):
    pulse.unplug()
    wait_for(lambda: rig.lost, 10.0, 'the loss is noticed')
    rig.thread.stop()
    rig.thread.stop()
