# SPDX-License-Identifier: Apache-2.0
"""What a person gets from a demonstration: the picture, the list of events, the closing words."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from va_common.config_loader import Config
from va_interfaces.msg import PlaybackEvent, Transcript
from virtual_room.conversation import Record
from virtual_room.narrator import Narrator
from virtual_room.observer import Observer
from virtual_room.room import VirtualRoom
from virtual_room.timeline import draw, Mark, Span


def engines(config: Config, profile: str) -> dict[str, str]:
    """What listens, understands, thinks and speaks with this configuration."""
    stt, llm, tts = config.section('stt'), config.section('llm'), config.section('tts')
    cpu = profile == 'cpu'
    wake_words = config.section('kwd')['wake_words']
    assert isinstance(wake_words, tuple)
    llm_engine = _chosen(llm['engine'], 'llama_cpp' if cpu else 'ollama')
    tts_engine = _chosen(tts['engine'], 'onnx' if cpu else 'torch')
    return {
        'kwd': f'openwakeword {"+".join(map(str, wake_words))}',
        'stt': f'faster-whisper {stt["model_cpu" if cpu else "model"]}, {stt["aec_backend"]}',
        'llm': f'{llm_engine} {llm["model_cpu" if cpu else "model"]}'.strip(),
        'tts': f'kokoro {tts_engine} {tts["voice"]}'}


def _chosen(setting: object, automatic: str) -> str:
    return automatic if setting == 'auto' else str(setting)


def draw_conversation(path: Path, record: Record, room: VirtualRoom, observer: Observer,
                      verdict: str) -> None:
    """The timeline of both channels."""
    zero = room.t0_s
    marks = [Mark(e.stamp_s - zero, f'wake {e.message.score:.2f}', '#d62728')
             for e in record.wakes]
    marks += [Mark(e.stamp_s - zero, 'final text', '#9467bd')
              for e in observer.since(0, 'stt/transcript')
              if e.message.kind == Transcript.FINAL and e.message.text]
    draw(path, room.mic_wav, room.speaker_wav,
         user=[Span(s.start_s - zero, s.end_s - zero, s.line.shown) for s in record.said],
         assistant=_spoken(observer, zero), marks=marks,
         states=[(e.stamp_s - zero, str(e.message.name))
                 for e in observer.since(0, 'loader/state')],
         title=f'A conversation in the virtual room: {verdict}')


def _spoken(observer: Observer, zero: float) -> list[Span]:
    """What the assistant said, from its playback events."""
    begun: dict[str, float] = {}
    spans = []
    for seen in observer.since(0, 'tts/playback'):
        message = seen.message
        if message.kind == PlaybackEvent.STARTED:
            begun[message.utterance_id] = seen.stamp_s
        elif message.kind in (PlaybackEvent.FINISHED, PlaybackEvent.INTERRUPTED):
            start = begun.pop(message.utterance_id, seen.stamp_s)
            spans.append(Span(start - zero, seen.stamp_s - zero, message.text))
    return spans


def write_events(observer: Observer, room: VirtualRoom, path: Path) -> None:
    """The room's own account, then a line per message: seconds of the recording, topic, fields."""
    zero = room.t0_s
    with path.open('w') as file:
        file.write(json.dumps({'topic': 'room', **room.summary}) + '\n')
        for seen in observer.since(0):
            fields = {name: value for name in seen.message.get_fields_and_field_types()
                      if isinstance(value := getattr(seen.message, name), str | int | float)}
            times = {'t': round((seen.stamp_s or seen.received_s) - zero, 3),
                     'received': round(seen.received_s - zero, 3)}
            file.write(json.dumps({**times, 'topic': seen.topic, **fields}) + '\n')


def summarise(report: dict[str, Any], out: Path, tell: Narrator) -> None:
    """The last lines a person reads."""
    turns = report['turns']
    tell.plain()
    if report['passed']:
        tell.verdict(True, f'Passed: {len(turns)} questions asked, understood and answered aloud; '
                     f'{report["wakes"]["got"]} wakes, none false.')
    else:
        tell.verdict(False, 'Failed:')
        for problem in report['problems'][:3]:
            tell.plain(f'  - {problem}')
        if len(report['problems']) > 3:
            tell.plain(f'  … {len(report["problems"]) - 3} more in the report')
    waits = [turn['voice_to_voice_ms'] / 1000 for turn in turns if turn['voice_to_voice_ms'] > 0]
    if waits:
        tell.plain('The answers began ' + ', '.join(f'{wait:.1f}' for wait in waits)
                   + ' s after the user stopped speaking.')
    folder = out.relative_to(Path.cwd()) if out.is_relative_to(Path.cwd()) else out
    tell.plain(f'Listen to {folder}/speaker.wav and {folder}/mic.wav; '
               f'look at {folder}/timeline.png.\nAll of it in figures: {folder}/report.json')
