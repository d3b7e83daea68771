# SPDX-License-Identifier: Apache-2.0
"""Dialogs of a user with the assistant, seen from its topics."""
import json
import time

from virtual_room.hearing import word_error

from va_interfaces.msg import PlaybackEvent, Transcript
from va_interfaces.srv import TriggerWake

QUESTION = 'what is the capital of Spain?'


def is_state(name):
    return lambda e: e.topic == 'loader/state' and e.message.name == name


def playback(kind, source):
    return lambda e: (e.topic == 'tts/playback' and e.message.kind == kind
                      and e.message.source == source)


def final(e):
    """What the user said; the silent end of the dialog before may come after its last state."""
    return (e.topic == 'stt/transcript' and e.message.kind == Transcript.FINAL
            and e.message.outcome == Transcript.OUTCOME_SPEECH)


def test_wake_question_answer_sleep(assistant, user, observer, idle):
    _, end_s = user.say(f'Hey Jarvis, {QUESTION}').times()
    wake = observer.wait(lambda e: e.topic == 'kwd/wake', 8.0, mark=idle)
    assert wake is not None
    assert wake.message.model == 'hey_jarvis'
    assert wake.message.score >= 0.6
    heard = observer.wait(final, end_s - time.time() + 12.0, mark=idle)
    assert heard is not None
    assert word_error(QUESTION, heard.message.text) <= 0.34
    key = heard.message.dialog_id, heard.message.turn
    assert key[1] == 1
    spoken = observer.wait(playback(PlaybackEvent.FINISHED, PlaybackEvent.SOURCE_REPLY), 90.0,
                           mark=idle)
    assert spoken is not None
    assert (spoken.message.dialog_id, spoken.message.turn) == key
    report = observer.wait(lambda e: e.topic == 'loader/turn_report', 5.0, mark=idle)
    assert report is not None
    assert report.message.outcome == 'answered'
    assert 0 < report.message.voice_to_voice_ms < 20000
    assert observer.wait(is_state('idle'), 12.0, mark=idle)
    names = [e.message.name for e in observer.since(idle, 'loader/state')]
    visited = [name for name in dict.fromkeys(names) if name != 'acknowledging']
    assert visited == ['listening', 'thinking', 'speaking', 'follow_up', 'idle']


def test_the_dialog_is_on_disk(assistant, observer):
    """After the test above: every record of the dialog, in order."""
    report = observer.since(0, 'loader/turn_report')[-1].message
    files = list((assistant.log.parent / 'log').rglob(f'*{report.dialog_id}*'))
    assert len(files) == 1
    assert files[0].stat().st_mode & 0o777 == 0o600
    records = [json.loads(line) for line in files[0].read_text().splitlines()]
    roles = [record['role'] for record in records]
    assert {'USER', 'ASSISTANT', 'LATENCY'} <= set(roles)
    assert roles.index('USER') < roles.index('ASSISTANT')


def test_push_to_talk(robot, user, observer, idle):
    answer = robot.call(TriggerWake, 'loader/wake')
    assert answer.error_code == 0, answer.error_msg
    assert answer.dialog_id
    assert observer.wait(is_state('listening'), 10.0, mark=idle)
    _, end_s = user.say('How many legs does a spider have?').times()
    heard = observer.wait(final, end_s - time.time() + 12.0, mark=idle)
    assert heard is not None
    assert heard.message.dialog_id == answer.dialog_id
    assert word_error('How many legs does a spider have?', heard.message.text) <= 0.34
    assert observer.wait(is_state('follow_up'), 90.0, mark=idle)
    assert observer.wait(is_state('idle'), 12.0, mark=idle)


def test_its_own_voice_does_not_wake_it(robot, observer, idle):
    from va_interfaces.action import Speak
    result = robot.act(Speak, 'tts/speak', Speak.Goal(text='Hey Jarvis. Hey Jarvis.'))
    assert result.error_code == 0, result.error_msg
    assert observer.wait(lambda e: e.topic == 'kwd/wake', 2.0, mark=idle) is None


def test_a_near_miss_does_not_wake_it(user, observer, idle):
    from virtual_room.script import NEAR_MISS
    _, end_s = user.say(NEAR_MISS).times()
    assert observer.wait(lambda e: e.topic == 'kwd/wake', end_s - time.time() + 2.5,
                         mark=idle) is None
