# SPDX-License-Identifier: Apache-2.0
"""Puts room, assistant, user, observer and judge together for one demonstration."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
import os
from pathlib import Path
import shutil
from typing import Any

from va_common.config_loader import load
from va_common.profile import resolve
from virtual_room.conversation import Conversation, NotComing, Record
from virtual_room.heard import HeardRecorder
from virtual_room.hearing import Ear
from virtual_room.narrator import Narrator
from virtual_room.observer import Observer
from virtual_room.product import DEFAULT_CONFIG, Product, write_config
from virtual_room.report import Judge, make_report, write_report
from virtual_room.room import VirtualRoom
from virtual_room.room_process import RoomSettings
from virtual_room.script import Script
from virtual_room.summary import draw_conversation, engines, summarise, write_events
from virtual_room.voices import SyntheticUser, Voices

_FILES = ('report.json', 'mic.wav', 'speaker.wav', 'timeline.png', 'assistant.log', 'events.jsonl',
          'heard.wav')


@dataclass(frozen=True)
class DemoSettings:
    """One demonstration."""

    out: Path
    room: RoomSettings
    config: Path | None = None
    profile: str = ''
    port_offset: int | None = None
    namespace: str = ''
    heard: bool = False
    'whether to write heard.wav'
    options: tuple[str, ...] = ()
    'further options for main'
    changes: dict[str, str] = field(default_factory=dict)
    'further changes of the configuration, by section.key'


class Demonstration:
    """Runs the conversation once; leaves its files in ``settings.out`` and nothing running."""

    def __init__(self, settings: DemoSettings, narrator: Narrator | None = None) -> None:
        self.settings = settings
        self.narrator = narrator or Narrator()
        self.report: dict[str, Any] = {}
        self._config = self._write_config()
        self._values = load(self._config)

    def run(self, make_script: Callable[[Voices], Script]) -> bool:
        """Whether it passed."""
        out = self.settings.out
        for name in _FILES:
            (out / name).unlink(missing_ok=True)
        voices = Voices(tell=self.narrator.note)
        self._welcome()
        script = make_script(voices)
        with ExitStack() as stack:
            stack.enter_context(_environment(self._ros_environment()))
            room = stack.enter_context(VirtualRoom(self.settings.room))
            self.narrator.zero_s = room.t0_s
            observer = stack.enter_context(Observer(self.settings.namespace))
            observer.listeners.append(self.narrator.hear)
            heard = HeardRecorder(observer.node) if self.settings.heard else None
            product = Product(self._config, room.environment(), out / 'assistant.log')
            stack.callback(product.kill)
            record = self._converse(product, observer, SyntheticUser(room, voices), script)
            room.close()
            if heard is not None:
                heard.write(out / 'heard.wav', room.t0_s)
            self._judge(record, room, observer, script)
        return bool(self.report['passed'])

    def _write_config(self) -> Path:
        changes = {'logger.log_dir': str(self.settings.out / 'log')} | self.settings.changes
        if self.settings.profile:
            changes['system.profile'] = self.settings.profile
        if self.settings.port_offset is not None:
            changes['system.port_offset'] = str(self.settings.port_offset)
        shutil.rmtree(self.settings.out / 'log', ignore_errors=True)
        return write_config(self.settings.out / 'assistant.ini', changes,
                            self.settings.config or DEFAULT_CONFIG)

    def _ros_environment(self) -> dict[str, str]:
        """Beside another assistant: a ROS domain of its own, unless one is set."""
        offset = self._values.section('system')['port_offset']
        if offset and 'ROS_DOMAIN_ID' not in os.environ:
            return {'ROS_DOMAIN_ID': str(1 + int(str(offset)) % 100)}
        return {}

    def _welcome(self) -> None:
        tell = self.narrator
        tell.title('A conversation with the assistant, in a virtual room')
        tell.plain('The assistant is the real one. Its microphone and speaker are software, the\n'
                   'user is a synthetic voice, the room adds echo and noise. Ctrl-C ends it.\n')

    def _converse(self, product: Product, observer: Observer, user: SyntheticUser,
                  script: Script) -> Record:
        greeting = str(self._values.section('loader')['greeting'])
        conversation = Conversation(product, observer, user, script, self.narrator, greeting)
        self.narrator.note('starting the assistant')
        product.start(*self.settings.options)
        try:
            conversation.hold()
        except NotComing as problem:
            conversation.record.problems.append(str(problem))
            self.narrator.verdict(False, f'Stopping: {problem}')
        finally:
            self.narrator.note('stopping the assistant, as Ctrl-C does')
            self._end(product, conversation.record)
        return conversation.collect()

    def _end(self, product: Product, record: Record) -> None:
        gave_up = not product.running
        record.exit_code = product.stop()
        if record.exit_code != 0 and not (gave_up and record.problems):
            how = 'did not end within 20 s' if record.exit_code is None else \
                f'ended with exit code {record.exit_code}'
            record.problems.append(f'the assistant {how}, expected 0: {product.last_lines()}')
        left = product.left_over()
        if left:
            record.problems.append(f'still running after the end: {", ".join(left)}')

    def _judge(self, record: Record, room: VirtualRoom, observer: Observer,
               script: Script) -> None:
        out = self.settings.out
        self.narrator.note('listening to the recording of the speaker')
        judge = Judge(record, room.speaker_wav, room.t0_s, Ear())
        profile = resolve(str(self._values.section('system')['profile'])).name
        self.report = make_report(
            judge, profile=profile, engines=engines(self._values, profile),
            greeting=str(self._values.section('loader')['greeting']),
            expected_wakes=script.expected_wakes, expected_turns=2 + len(script.one_breath))
        write_report(self.report, out / 'report.json')
        write_events(observer, room, out / 'events.jsonl')
        draw_conversation(out / 'timeline.png', record, room, observer,
                          'passed' if self.report['passed'] else 'failed')
        summarise(self.report, out, self.narrator)


class _environment:
    """Set environment variables for the length of a ``with`` block."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> None:
        for name, value in self._values.items():
            self._before[name] = os.environ.get(name)
            os.environ[name] = value

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
