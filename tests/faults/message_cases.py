# SPDX-License-Identifier: Apache-2.0
"""Rubbish from outside: on the gRPC ports, and as ROS messages on every topic with a listener."""
from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
import random
import socket
import time
from typing import Any

from faults.evidence import Evidence, Trouble
from faults.records import log_since
from faults.situations import call, end_dialog, reach
from faults.world import World
from va_common import qos
from va_common.ports import PORTS
from va_common.ros_time import to_msg
from va_interfaces.msg import AudioChunk, PlaybackEvent, ReplyChunk, Transcript, Wake

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
QUIET_S = 4.0
MATCH_S = 10.0
HUGE_TEXT = 'robot ' * 200_000


def garbage_on_ports(world: World, evidence: Evidence) -> None:
    """Random bytes, half a protocol and many idle connections on each health port."""
    reach(world, 'idle')
    before = world.pids()
    evidence.strike()
    noise = random.Random(1)
    idle: list[socket.socket] = []
    try:
        for name in PORTS:
            for start in (b'', PREFACE, b'GET / HTTP/1.1\r\n\r\n'):
                with socket.create_connection(('127.0.0.1', world.port(name)), 2.0) as wire:
                    _send(wire, start + noise.randbytes(200_000))
            idle += [socket.create_connection(('127.0.0.1', world.port(name)), 2.0)
                     for _ in range(20)]
        world.watch.rest(QUIET_S)
        _unmoved(world, evidence, before)
    finally:
        for wire in idle:
            wire.close()
    call(world)
    end_dialog(world)


def _send(wire: socket.socket, data: bytes) -> None:
    try:
        wire.sendall(data)
    except OSError:
        return  # the server had enough: its right


def _unmoved(world: World, evidence: Evidence, before: dict[str, int]) -> None:
    """The same processes go on hearing."""
    if not world.watch.until(lambda: world.watch.hears(world.offset), 15.0):
        raise Trouble(f'it does not hear: {world.watch.state()}')
    evidence.recovered_s = evidence.fault_s
    after = world.pids()
    replaced = [name for name, pid in before.items() if after.get(name) != pid]
    evidence.require(not replaced, f'replaced: {", ".join(replaced)}')


def messages(kind: str) -> Callable[[World, Evidence], None]:
    """A case: rubbish of one kind on all topics; no process falls, a dialog is none the wiser."""

    def play(world: World, evidence: Evidence) -> None:
        reach(world, 'idle')
        before = world.pids()
        mark = world.watch.mark()
        evidence.strike()
        count = 0
        for topic, message, profile in RUBBISH[kind]():
            _publish(world, topic, message, profile)
            count += 1
        evidence.saw(f'{count} messages')
        world.watch.rest(QUIET_S)
        _unmoved(world, evidence, before)
        dialogs = {e.message.dialog_id for e in world.watch.since(mark, 'loader/state')}
        evidence.require(dialogs <= {''}, f'a dialog began: {", ".join(sorted(dialogs - {""}))}')
        complaints: list[str] = []

        def complained() -> bool:
            lines = log_since(world.require().log_folder, evidence.started_s)
            complaints[:] = [line for line in lines if 'WARN' in line or 'ERROR' in line]
            return bool(complaints)

        world.watch.until(complained, MATCH_S, 0.5)
        evidence.told['log'] = complaints[-1][:300] if complaints else ''
        evidence.require(complaints, 'no line in the application log tells of a refused message')
        evidence.require('Traceback' not in world.require().output(), 'a traceback in its output')
        call(world)
        end_dialog(world)

    return play


def _publish(world: World, topic: str, message: Any, profile: Any) -> None:
    name = f'publisher {topic}'
    publishers = world.robot._clients
    if name not in publishers:
        publishers[name] = world.robot.node.create_publisher(type(message), topic, profile)
        publisher = publishers[name]
        world.watch.until(lambda: publisher.get_subscription_count() > 0, MATCH_S)
    publishers[name].publish(message)


Message = tuple[str, Any, Any]


def _oversized() -> Iterator[Message]:
    """Whole minutes of sound in one chunk, a hundred channels, texts of a megabyte."""
    now = to_msg(time.time())
    for topic in ('stt/audio', 'tts/reference'):
        for rate, channels, samples in ((16000, 1, 2_000_000), (16000, 200, 16000), (1, 1, 16000),
                                        (0, 0, 100), (4_000_000_000, 1, 1280), (16000, 1, 0)):
            chunk = AudioChunk(sequence=2**63, sample_rate=rate, channels=channels,
                               data=array('h', bytes(2 * samples)))
            chunk.header.stamp = now
            yield topic, chunk, qos.AUDIO
    for revision in (0, 4_000_000_000):
        for kind in (Transcript.FINAL, 99):
            yield 'stt/transcript', Transcript(
                dialog_id='d' + 'x' * 5000, turn=4_000_000_000, revision=revision, kind=kind,
                text=HUGE_TEXT, confidence=float('nan')), qos.EVENTS
    yield 'llm/chunk', ReplyChunk(dialog_id='x' * 5000, turn=1, text=HUGE_TEXT), qos.EVENTS
    yield 'llm/draft', ReplyChunk(dialog_id='x' * 5000, turn=1, text=HUGE_TEXT), qos.EVENTS
    yield 'tts/stream', ReplyChunk(dialog_id='x' * 5000, turn=1, text=HUGE_TEXT), qos.EVENTS
    yield 'tts/playback', PlaybackEvent(kind=77, source=99, dialog_id='x' * 5000, text=HUGE_TEXT,
                                        position_s=float('inf'), duration_s=float('nan')), \
        qos.EVENTS
    wake = Wake(source=77, model='x' * 5000, phrase=HUGE_TEXT, score=float('nan'))
    yield 'kwd/wake', wake, qos.EVENTS


def _disordered() -> Iterator[Message]:
    """Chunks in the wrong order, of dialogs that never were, answers to no question."""
    for sequence in (7, 3, 3, 900, 1):
        chunk = AudioChunk(sequence=sequence, sample_rate=16000, channels=1,
                           data=array('h', bytes(2560)))
        chunk.header.stamp = to_msg(time.time() + sequence)
        yield 'tts/reference', chunk, qos.AUDIO
    for sequence in (5, 2, 9):
        yield 'llm/chunk', ReplyChunk(dialog_id='d19990101T000000.000000-aaaa', turn=3,
                                      sequence=sequence, text='late'), qos.EVENTS
        yield 'tts/stream', ReplyChunk(dialog_id='robot', turn=3, sequence=sequence,
                                       text='late'), qos.EVENTS
    for kind in (PlaybackEvent.FINISHED, PlaybackEvent.STARTED, PlaybackEvent.FAILED):
        yield 'tts/playback', PlaybackEvent(kind=kind, dialog_id='d19990101T000000.000000-aaaa',
                                            turn=1), qos.EVENTS
    for kind in (Transcript.FINAL, Transcript.STARTED, Transcript.PARTIAL):
        yield 'stt/transcript', Transcript(
            kind=kind, outcome=Transcript.OUTCOME_NO_SPEECH, turn=9,
            dialog_id='d19990101T000000.000000-aaaa'), qos.EVENTS


def _stale() -> Iterator[Message]:
    """What was true an hour ago, or will be in one; and the time zero."""
    for moment in (time.time() - 3600.0, time.time() + 3600.0, 0.0):
        stamp = to_msg(moment)
        chunk = AudioChunk(sequence=1, sample_rate=16000, channels=1, data=array('h', bytes(2560)))
        chunk.header.stamp = stamp
        yield 'tts/reference', chunk, qos.AUDIO
        wake = Wake(model='hey_jarvis', phrase='hey jarvis', acknowledgement='Yes?', score=0.99,
                    word_end=stamp)
        wake.header.stamp = stamp
        yield 'kwd/wake', wake, qos.EVENTS
        event = PlaybackEvent(kind=PlaybackEvent.STARTED, turn=1,
                              dialog_id='d19990101T000000.000000-bbbb')
        event.header.stamp = stamp
        yield 'tts/playback', event, qos.EVENTS


RUBBISH: dict[str, Callable[[], Iterator[Message]]] = {
    'oversized': _oversized, 'disordered': _disordered, 'stale': _stale}
