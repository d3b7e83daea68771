# SPDX-License-Identifier: Apache-2.0
"""The answer is begun in a pause of the user: real engines, in the virtual room."""
from collections.abc import Iterator
import json
import time

import pytest
from settings_of_tests import PAUSED
from virtual_room.hearing import word_error

from va_common.ros_time import to_seconds
from va_interfaces.msg import PlaybackEvent, ReplyChunk, Transcript
from va_interfaces.srv import TriggerWake

SILENCE_MS = 10_000
"""Long enough that also a slow machine has an answer before the end of the turn."""
DEFAULT_MS = 2000


@pytest.fixture
def patient(robot) -> Iterator[None]:
    """The end of a turn is decided late."""
    assert robot.set_parameter('stt', 'silence_ms', SILENCE_MS)[0]
    yield
    assert robot.set_parameter('stt', 'silence_ms', DEFAULT_MS)[0]


def woken(robot, observer, mark):
    answer = robot.call(TriggerWake, 'loader/wake')
    assert answer.error_code == 0, answer.error_msg
    assert observer.wait(
        lambda e: e.topic == 'loader/state' and e.message.name == 'listening', 20.0, mark=mark)
    return answer.dialog_id


def report_of(observer, mark):
    report = observer.wait(lambda e: e.topic == 'loader/turn_report', 120.0, mark=mark)
    assert report is not None and report.message.outcome == 'answered'
    return report.message


def drafts(observer, mark) -> list[ReplyChunk]:
    return [e.message for e in observer.since(mark, 'llm/draft')]


def test_the_answer_is_there_before_the_turn_has_ended(robot, user, observer, idle, patient):
    woken(robot, observer, idle)
    user.say(PAUSED[2]).times()
    ahead = report_of(observer, idle)
    assert to_seconds(ahead.first_token) < to_seconds(ahead.endpoint_decided)
    assert to_seconds(ahead.first_audio) > to_seconds(ahead.endpoint_decided)
    assert len({(c.dialog_id, c.turn) for c in drafts(observer, idle)}) == 1
    assert observer.wait(
        lambda e: e.topic == 'loader/state' and e.message.name == 'idle', 30.0, mark=idle)

    assert robot.set_parameter('llm', 'speculation', False)[0]
    try:
        mark = observer.mark()
        woken(robot, observer, mark)
        user.say(PAUSED[2]).times()
        after = report_of(observer, mark)
    finally:
        assert robot.set_parameter('llm', 'speculation', True)[0]
    assert to_seconds(after.first_token) > to_seconds(after.endpoint_decided)
    assert not drafts(observer, mark)


def test_who_goes_on_after_a_pause_hears_only_the_answer_to_the_whole(
        assistant, robot, user, observer, idle, patient):
    dialog_id = woken(robot, observer, idle)
    user.say(PAUSED[0]).times()
    drafted = observer.wait(lambda e: e.topic == 'llm/draft' and e.message.text, 30.0, mark=idle)
    assert drafted is not None, 'nothing was begun in the pause'
    _, end_s = user.say(PAUSED[1]).times()
    heard = observer.wait(
        lambda e: (e.topic == 'stt/transcript' and e.message.kind == Transcript.FINAL
                   and e.message.dialog_id == dialog_id),
        end_s - time.time() + 60.0, mark=idle)
    assert heard is not None and heard.message.revision > drafted.message.revision
    assert word_error(' '.join(PAUSED[:2]), heard.message.text) <= 0.4
    report_of(observer, idle)
    assert any(c.revision == drafted.message.revision and c.error_code
               for c in drafts(observer, idle)), 'the first draft was not given up'
    said = ''.join(e.message.text for e in observer.since(idle, 'llm/chunk'))
    revisions = {e.message.revision for e in observer.since(idle, 'llm/chunk')}
    played = {e.message.revision for e in observer.since(idle, 'tts/playback')
              if e.message.source == PlaybackEvent.SOURCE_REPLY}
    assert revisions == played == {heard.message.revision}

    assert observer.wait(
        lambda e: e.topic == 'loader/state' and e.message.name == 'idle', 30.0, mark=idle)
    file, = (assistant.log.parent / 'log').rglob(f'*{dialog_id}*')
    records = [json.loads(line) for line in file.read_text().splitlines()]
    spoken = {role: [r['text'] for r in records if r['role'] == role]
              for role in ('USER', 'ASSISTANT')}
    assert spoken == {'USER': [heard.message.text], 'ASSISTANT': [said]}
