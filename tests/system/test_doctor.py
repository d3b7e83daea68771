# SPDX-License-Identifier: Apache-2.0
"""``./va doctor`` in a room with a speaker that the microphone hears."""
from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from settings_of_tests import make_config
from virtual_room.pulse import MICROPHONE, SPEAKER
from virtual_room.room import VirtualRoom
from virtual_room.room_process import RoomSettings

HEARD = re.compile(r'heard the room at (-\d+) dBFS and the speaker at (-\d+) dBFS after (\d+) ms')


@pytest.fixture(scope='module')
def quiet_room(tmp_path_factory):
    """Noise at -56 dBFS; the speaker is heard 8 dB below what it plays."""
    with VirtualRoom(RoomSettings(out=str(tmp_path_factory.mktemp('room')))) as room:
        yield room


def doctor(room, folder):
    """What it says of the sound: its mark and its line."""
    done = subprocess.run(
        [sys.executable, '-m', 'va_loader.doctor', '--config', str(make_config(folder))],
        env=os.environ | room.environment(), capture_output=True, text=True, timeout=90)
    lines = [line for line in done.stdout.splitlines() if re.match(r'\S+ +sound ', line)]
    assert len(lines) == 1, done.stdout + done.stderr
    mark, _, text = lines[0].split(None, 2)
    return mark, text


def test_it_hears_the_speaker_with_level_and_delay(quiet_room, tmp_path):
    mark, text = doctor(quiet_room, tmp_path)
    found = HEARD.search(text)
    assert mark == 'ok' and found, text
    room_dbfs, speaker_dbfs, delay_ms = (int(number) for number in found.groups())
    assert -62 <= room_dbfs <= -50
    assert -42 <= speaker_dbfs <= -28
    assert quiet_room.settings.delay_s * 1000 <= delay_ms < 1000


def test_a_muted_speaker_is_not_heard(quiet_room, tmp_path):
    quiet_room.pulse.mute('sink', SPEAKER, True)
    try:
        mark, text = doctor(quiet_room, tmp_path)
    finally:
        quiet_room.pulse.mute('sink', SPEAKER, False)
    assert mark == 'ok'
    assert 'but not the speaker: muted, or headphones?' in text


def test_a_muted_microphone_is_trouble(quiet_room, tmp_path):
    quiet_room.pulse.mute('source', f'{MICROPHONE}.monitor', True)
    try:
        mark, text = doctor(quiet_room, tmp_path)
    finally:
        quiet_room.pulse.mute('source', f'{MICROPHONE}.monitor', False)
    assert mark == 'FAIL'
    assert 'digital silence: muted' in text
