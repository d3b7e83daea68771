# SPDX-License-Identifier: Apache-2.0
"""Lines of child processes on their way to the application log."""

import pytest

from va_common.testing import FakeClock
from va_loader.child_lines import ChildLines, KINDS, REPEAT_S, shareable


class Log:
    def __init__(self):
        self.lines, self.clock = [], FakeClock()
        self.children = ChildLines(lambda name, line: self.lines.append((name, line)), self.clock)


@pytest.mark.parametrize('line', [
    'ALSA lib pcm.c:8570:(snd_pcm_recover) underrun occurred',
    'Fatal Python error: Segmentation fault', 'Traceback (most recent call last):',
    '  File "/x/va_stt/node.py", line 12, in do_configure'])
def test_known_kinds_go_through(line):
    assert shareable(line) == line


@pytest.mark.parametrize('line', [
    'ValueError: what is my mother called', "KeyError: 'my secret is out'",
    'what is my mother called', '    say(my secret)', 'transcript=my secret'])
def test_nothing_that_may_be_a_transcript_goes_through(line):
    shared = shareable(line)
    assert shared is not None
    assert not {'mother', 'secret'} & set(shared.replace('=', ' ').split())


def test_the_type_of_an_exception_is_kept():
    assert shareable('va_common.errors.AssistantError: x y').startswith(
        'va_common.errors.AssistantError')
    assert shareable('    ^^^^^') is None


def test_a_flood_of_one_kind_is_counted():
    log = Log()
    for number in range(1000):
        log.children.take('tts', f'ALSA lib pcm.c:{number}:(snd_pcm_recover) underrun occurred')
        log.clock.advance(0.01)
    assert len(log.lines) == 1
    log.clock.advance(REPEAT_S)
    log.children.take('tts', 'ALSA lib pcm.c:1:(snd_pcm_recover) underrun occurred')
    assert log.lines[1][1].endswith('(999 more like it before)')


def test_each_node_has_lines_of_its_own():
    log = Log()
    for name in ('tts', 'stt', 'tts'):
        log.children.take(name, 'ALSA lib x')
    assert [name for name, _ in log.lines] == ['tts', 'stt']


def test_what_is_remembered_is_bounded():
    log = Log()
    for kind in range(10 * KINDS):
        log.children.take('tts', f'ALSA lib {"x" * kind}')
    assert len(log.children._seen) == KINDS
