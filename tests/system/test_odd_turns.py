# SPDX-License-Identifier: Apache-2.0
"""Users who do not stop and answers that nobody would give: real ears and voice, a fake mind."""
from collections.abc import Callable, Iterator, Sequence
import json
from pathlib import Path
import threading
import time

from faults.fake_ollama import FakeOllamaServer, MODEL
import numpy as np
import pytest
from settings_of_tests import (
    INTERRUPTION,
    make_config,
    OTHER_DOMAIN,
    PAUSED,
    PORT_OFFSET,
    READY_S,
)
import soundfile
from virtual_room.observer import Observer, Seen
from virtual_room.product import Product
from virtual_room.robot import Robot
from virtual_room.script import VOICE
from virtual_room.voices import Voices

from va_common.ros_time import to_seconds
from va_common.testing import wait_for
from va_interfaces.msg import PlaybackEvent, Transcript
from va_interfaces.srv import TriggerWake
from va_llm.pace import DRAFTS

QUESTION = PAUSED[2]
QUICK_MS, HALTING_MS, PATIENT_MS = 700, 2000, 10_000
SOON_S = 45.0
COUNT = ('One car, two cars, three cars, four cars, five cars, six cars, seven cars, eight cars.')
PARTS = 11
PAUSE_S = 0.7
LONGEST_S = 16.0
"""Of a turn; in the ten false ends it is 14 s from the first word to the last."""
TALE = ('The robot is in the kitchen.', 'How many legs does a spider have?', INTERRUPTION, *PAUSED,
        COUNT)
"""One text over and over would be taken for an invention of Whisper's."""
FADED_S = 0.5
"""From a stop to silence, in the events of a busy machine; 10 ms at the speaker."""


class Talk:
    """An assistant whose answers are scripted, and a user who talks to it."""

    def __init__(self, product, mind, observer, robot, user, folder) -> None:
        self.product, self.mind, self.observer = product, mind, observer
        self.robot, self.user, self.folder = robot, user, folder
        self.key = ('', 0)
        'the dialog and the turn that began with the last push'
        self.release = threading.Event()
        'lets go on an answer that has stopped in the middle'

    def wake(self) -> tuple[str, int]:
        """Push to talk; returns the dialog's id and the turn that has begun.

        Not the turn of the push before: a state of that one may come late.
        """
        mark = self.observer.mark()
        answer = self.robot.call(TriggerWake, 'loader/wake')
        assert answer.error_code == 0, answer.error_msg
        state = self.wait(mark, 'loader/state', lambda m: (
            m.name in ('acknowledging', 'listening') and m.dialog_id == answer.dialog_id
            and (m.dialog_id != self.key[0] or m.turn > self.key[1])))
        self.key = state.message.dialog_id, state.message.turn
        return self.key

    def is_of_turn(self, message: object) -> bool:
        """Whether it is of the turn that was pushed last: those of older ones may come late."""
        return (message.dialog_id, message.turn) == self.key

    def wait(self, mark: int, topic: str, match: Callable[[object], bool]) -> Seen:
        seen = self.observer.wait(
            lambda e: e.topic == topic and match(e.message), SOON_S, mark=mark,
            alive=lambda: self.product.running)
        assert seen is not None, f'nothing such on {topic}; the state is {self.observer.state()}'
        return seen

    def answers(self, *pieces: str, then_holds: bool = False) -> None:
        """What the mind says from now on."""
        self.release.set()
        release = self.release = threading.Event()

        def answer() -> Iterator[str]:
            yield from pieces
            if then_holds:
                release.wait(SOON_S)
        self.mind.answer = answer

    def asks(self) -> int:
        mark = self.observer.mark()
        self.user.say(QUESTION).times()
        return mark

    def records(self, dialog_id: str, answered: int) -> list[dict]:
        """The dialog as it was kept, once the answer of turn ``answered`` is in it."""
        records: list[dict] = []

        def has_come() -> bool:
            file, = self.folder.rglob(f'*{dialog_id}*')
            records[:] = [json.loads(line) for line in file.read_text().splitlines(True)
                          if line.endswith('\n')]
            return any((r['role'], r['turn']) == ('ASSISTANT', answered) for r in records)
        wait_for(has_come, SOON_S, 'the record of the answer')
        return records

    def patience(self, silence_ms: int) -> None:
        """How long a pause ends the turns that begin from now on."""
        assert self.robot.set_parameter('stt', 'silence_ms', silence_ms)[0]

    def follow_up(self, mark: int) -> None:
        self.wait(mark, 'loader/state', lambda m: m.name == 'follow_up')


@pytest.fixture(scope='module')
def talk(room, user, tmp_path_factory):
    folder = tmp_path_factory.mktemp('odd')
    mind = FakeOllamaServer()
    mind.start()
    config = make_config(
        folder, system__port_offset=str(PORT_OFFSET + 100), llm__engine='ollama',
        llm__ollama_url=mind.url, llm__model=MODEL, stt__silence_ms=str(QUICK_MS),
        stt__max_utterance_ms=str(round(LONGEST_S * 1000)), loader__barge_in='false')
    product = Product(config, room.environment() | {'ROS_DOMAIN_ID': OTHER_DOMAIN},
                      folder / 'output.log')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_DOMAIN_ID', OTHER_DOMAIN)
        with Observer() as observer, Robot('odd_robot') as robot:
            product.start()
            try:
                talk = Talk(product, mind, observer, robot, user, folder / 'log')
                ready = observer.wait(
                    lambda e: e.topic == 'loader/state' and e.message.name in ('idle', 'fatal'),
                    READY_S, alive=lambda: product.running)
                assert ready and ready.message.name == 'idle', product.last_lines(8)
                yield talk
                talk.release.set()
                assert product.stop() == 0, product.last_lines(8)
            finally:
                product.kill()
                mind.stop()


def is_reply(talk: Talk, *kinds: int) -> Callable[[PlaybackEvent], bool]:
    return lambda m: (m.source == PlaybackEvent.SOURCE_REPLY and talk.is_of_turn(m)
                      and m.kind in kinds)


def test_whatever_is_stopped_is_never_heard_again(talk):
    """Cancelled while listening, in a pause, before and after the first word, while it is
    synthesised, while it plays and in the follow-up window: then the next question is answered.
    """
    stages = {
        'listening': ((), False, 'stt/transcript', lambda m: m.kind == Transcript.STARTED),
        'pausing': (('Stale one. ',), True, 'stt/transcript',
                    lambda m: m.kind == Transcript.PARTIAL),
        'prefill': ((), True, 'loader/state', lambda m: m.name == 'thinking'),
        'first token': (('Stale,',), True, 'llm/chunk', lambda m: 'Stale' in m.text),
        'synthesis': (('Stale three is this one here. ',), True, 'llm/chunk',
                      lambda m: 'three' in m.text),
        'playing': ((' '.join(['stale'] * 3000),), False, 'tts/playback',
                    lambda m: m.source == m.SOURCE_REPLY and m.kind == m.STARTED),
        'follow-up': (('Yes, that is so.',), False, 'loader/state',
                      lambda m: m.name == 'follow_up'),
    }
    stopped: dict[int, float] = {}
    first = talk.observer.mark()
    talk.patience(PATIENT_MS)
    dialog_id, turn = talk.wake()
    for number, (pieces, holds, topic, match) in enumerate(stages.values()):
        talk.answers(*pieces, then_holds=holds)
        mark = talk.asks()
        talk.wait(mark, topic, lambda m: (  # states come in order
            topic == 'loader/state' or talk.is_of_turn(m)) and match(m))  # noqa: B023
        talk.patience(PATIENT_MS if number == 0 else QUICK_MS)
        before = turn
        again_id, turn = talk.wake()
        stopped[before] = time.time()
        assert again_id == dialog_id
    talk.answers('It is Rome. I am sure.')
    mark = talk.asks()
    talk.follow_up(mark)

    events = [e for e in talk.observer.since(first, 'tts/playback')
              if e.message.source == PlaybackEvent.SOURCE_REPLY and e.message.turn in stopped]
    sounds = (PlaybackEvent.STARTED, PlaybackEvent.PROGRESS, PlaybackEvent.RESUMED)
    assert not [e.message for e in events if e.message.kind in sounds
                and e.stamp_s > stopped[e.message.turn] + FADED_S]
    records = talk.records(dialog_id, turn)
    told = {r['turn']: r for r in records if r['role'] == 'ASSISTANT'}
    assert told[turn]['data']['heard'] == 'It is Rome. I am sure.'
    playing = dict(zip(stages, stopped, strict=True))['playing']
    assert told[playing]['data']['outcome'] == 'interrupted'
    assert len(told[playing]['data']['heard'].split()) < 30
    asked = [m['content'] for m in talk.mind.asked[-1] if m['role'] == 'assistant']
    assert 'Stale one' not in ' '.join(asked) and 'Stale three' not in ' '.join(asked)
    assert max((len(text.split()) for text in asked), default=0) < 30


def test_answers_without_a_word_or_slower_than_speech_leave_the_dialog_alive(talk):
    talk.patience(QUICK_MS)
    for pieces, outcome in (((), 'failed'), (('🎉', ' **', '👍'), 'answered')):
        talk.answers(*pieces)
        talk.wake()
        mark = talk.asks()
        report = talk.wait(mark, 'loader/turn_report', talk.is_of_turn)
        assert report.message.outcome == outcome

    text = ['Well, this takes time. ', 'But it ends.']

    def slowly() -> Iterator[str]:
        yield text[0]
        talk.release.wait(5.0)
        yield text[1]
    talk.answers()
    talk.mind.answer = slowly
    talk.wake()
    mark = talk.asks()
    end = talk.wait(mark, 'tts/playback', is_reply(
        talk, PlaybackEvent.FINISHED, PlaybackEvent.FAILED, PlaybackEvent.INTERRUPTED)).message
    assert end.kind == PlaybackEvent.FINISHED, end.error_msg
    assert end.text == ''.join(text)


def test_ten_false_ends_in_a_row_are_one_question(talk, tmp_path):
    talk.answers('That is a lot. I shall count them.')
    talk.patience(HALTING_MS)
    sound = halting(COUNT, tmp_path)  # made before anybody listens: that takes a while
    dialog_id, turn = talk.wake()
    mark, asked = talk.observer.mark(), len(talk.mind.asked)
    _, end_s = talk.user.play(sound).times()
    final = talk.wait(mark, 'stt/transcript',
                      lambda m: m.kind == Transcript.FINAL and talk.is_of_turn(m)).message
    assert to_seconds(final.endpoint_time) > end_s
    assert final.revision >= PARTS - 3
    end = talk.wait(mark, 'tts/playback', is_reply(talk, PlaybackEvent.FINISHED)).message
    talk.follow_up(mark)
    for topic in ('tts/playback', 'llm/chunk'):
        revisions = {e.message.revision for e in talk.observer.since(mark, topic)
                     if talk.is_of_turn(e.message) and getattr(e.message, 'source', 0) == 0}
        assert revisions == {final.revision}
    assert len(talk.mind.asked) - asked <= DRAFTS + 1
    records = [r for r in talk.records(dialog_id, turn) if r['turn'] == turn]
    assert [r['text'] for r in records if r['role'] == 'USER'] == [final.text]
    assert [r['data']['heard'] for r in records if r['role'] == 'ASSISTANT'] == [end.text]


def test_who_never_stops_talking_is_answered_once(talk, tmp_path):
    talk.answers('You have a lot of cars.')
    talk.patience(HALTING_MS)
    sound = endless(TALE, LONGEST_S + 2.0, tmp_path)
    dialog_id, turn = talk.wake()
    mark, asked = talk.observer.mark(), len(talk.mind.asked)
    began_s, end_s = talk.user.play(sound).times()
    final = talk.wait(mark, 'stt/transcript',
                      lambda m: m.kind == Transcript.FINAL and talk.is_of_turn(m)).message
    assert (final.outcome, final.endpoint_reason) == (Transcript.OUTCOME_SPEECH, 'max_length')
    assert began_s + LONGEST_S / 2 < to_seconds(final.endpoint_time) < end_s
    end = talk.wait(mark, 'tts/playback', is_reply(talk, PlaybackEvent.FINISHED)).message
    assert len(talk.mind.asked) - asked <= DRAFTS + 1
    records = [r for r in talk.records(dialog_id, turn) if r['turn'] == turn]
    assert [r['text'] for r in records if r['role'] == 'USER'] == [final.text]
    assert [r['data']['heard'] for r in records if r['role'] == 'ASSISTANT'] == [end.text]


def endless(texts: Sequence[str], seconds: float, folder: Path) -> Path:
    """``texts`` over and over, without their silent ends."""
    parts = []
    for text in texts:
        sound, rate = soundfile.read(Voices().wav(text, VOICE), dtype='float32')
        voiced = np.flatnonzero(np.abs(sound) > 0.02)
        parts.append(sound[voiced[0]:voiced[-1]])
    sound = np.resize(np.concatenate(parts), round(seconds * rate))
    soundfile.write(folder / 'endless.wav', sound, rate)
    return folder / 'endless.wav'


def halting(text: str, folder: Path) -> Path:
    """``text`` in parts, cut where the voice is quietest, with a long pause after each."""
    sound, rate = soundfile.read(Voices().wav(text, VOICE), dtype='float32')
    frame = rate // 100
    level = np.abs(sound[:len(sound) // frame * frame].reshape(-1, frame)).mean(1)
    reach = len(level) // PARTS // 3
    cuts = []
    for number in range(1, PARTS):
        middle = len(level) * number // PARTS
        cuts.append(frame * (middle - reach + int(level[middle - reach:middle + reach].argmin())))
    pause = np.zeros(round(PAUSE_S * rate), np.float32)
    parts = [np.concatenate([part, pause]) for part in np.split(sound, cuts)]
    soundfile.write(folder / 'halting.wav', np.concatenate(parts), rate)
    return folder / 'halting.wav'
