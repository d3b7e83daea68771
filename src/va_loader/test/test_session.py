# SPDX-License-Identifier: Apache-2.0
"""A session in virtual time: the speaker is proven before the microphone is opened."""

import asyncio

import pytest

from va_loader.failures import FatalError
from va_loader.node_specs import plan
from va_loader.session import Hooks, LiveSession, SessionSettings
from va_loader.vram_guard import VramGuard

NAMES = ('logger', 'tts', 'llm', 'stt', 'kwd')


class FakeNode:
    """Comes up at once and stays up; tts says what is wrong with the speaker."""

    running = True

    def __init__(self, name, journal, problem=''):
        self.name, self.journal, self.trouble = name, journal, problem

    def spawn(self):
        pass

    async def start(self, timeout_s):
        self.journal.append(self.name)

    async def problem(self):
        return self.trouble

    async def lost(self, tell):
        await asyncio.Event().wait()

    async def quiesce(self):
        pass

    async def reap(self):
        pass


def session_of(probe, problem, mended_s=None):
    """Run a session until it is ready; what was started, shown and logged."""
    async def live():
        journal, shown, lines, ready = [], [], [], asyncio.Event()
        nodes = {name: FakeNode(name, journal, problem) for name in NAMES}

        async def speak(text):
            pass

        hooks = Hooks(shown.append, ready.set, lambda reason: None, lambda *what: None,
                      lambda name: None, lambda *what: None, lambda *line: lines.append(line),
                      speak)
        settings = SessionSettings(plan('phased_parallel', 8.0, 8.0), (1.0, 3.0, 5.0), 3, 'Hi!',
                                   probe)
        run = asyncio.ensure_future(
            LiveSession(nodes, settings, VramGuard(None, 1, 1), hooks).run())
        if mended_s is not None:
            await asyncio.sleep(mended_s)
            nodes['tts'].trouble = ''
        up = asyncio.ensure_future(ready.wait())
        await asyncio.wait((run, up), return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if run.done():
            run.result()
        run.cancel()
        await asyncio.gather(run, up, return_exceptions=True)
        return journal, shown, lines
    return live()


def test_with_a_speaker_that_works_the_microphone_follows(run):
    journal, _, _ = run(session_of('strict', ''))
    assert journal == list(NAMES)


def test_without_one_the_microphone_is_never_opened(run):
    with pytest.raises(FatalError, match='phase2 failed 4 times.*the speaker must work first'):
        run(session_of('strict', "speaker 'x' is gone"))


def test_it_is_tried_again(run):
    journal, shown, _ = run(session_of('strict', "speaker 'x' is gone", mended_s=2.0))
    assert journal == list(NAMES)
    assert any("speaker 'x' is gone" in status.reason for status in shown)


@pytest.mark.parametrize(('probe', 'warned'), [('warn', True), ('off', False)])
def test_it_need_not_be_strict(run, probe, warned):
    journal, _, lines = run(session_of(probe, "speaker 'x' is gone"))
    assert 'stt' in journal
    assert any(level == 'warning' and 'speaker' in line for level, line in lines) is warned
