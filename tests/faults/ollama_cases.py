# SPDX-License-Identifier: Apache-2.0
"""Ollama refuses, hangs in the middle of an answer, or cuts it off. The server is a named fake."""
from __future__ import annotations

from collections.abc import Callable
import time

from virtual_room.observer import Seen

from faults.dialog_judge import ANSWER_S, let_window_open
from faults.evidence import Evidence, Trouble
from faults.fake_ollama import MODEL
from faults.reasons import look_for_reasons
from faults.situations import call, end_dialog, expect_state, reach
from faults.world import QUESTION, World
from va_interfaces.msg import PlaybackEvent, Transcript
from va_interfaces.srv import TriggerWake

APOLOGY_S = 60.0
AWAY_S = 25.0
"""Longer than all restarts that a node is given."""


def settings(url: str) -> dict[str, str]:
    """Settings of an assistant that thinks with Ollama."""
    return {'llm.engine': 'ollama', 'llm.ollama_url': url, 'llm.model': MODEL,
            'llm.first_token_timeout_ms': '3000', 'llm.token_timeout_ms': '2000'}


def misbehaving(script: str, word: str, lasting: bool = False
                ) -> Callable[[World, Evidence], None]:
    """A case: the question gets no whole answer; ``word`` is in the reason.

    It is asked again by itself. Unless ``lasting`` Ollama is well by then and answers; else the
    user gets an apology. The next question is answered.
    """

    def play(world: World, evidence: Evidence) -> None:
        reach(world, 'idle')
        mark = world.watch.mark()
        if script == 'refuse':
            world.ollama.stop()
        else:
            world.ollama.script = script
        try:
            dialog_id = _ask(world)
            evidence.fault_s = _final_s(world, mark)
            failed = world.watch.wait(lambda e: e.topic == 'llm/chunk'
                                      and e.message.dialog_id == dialog_id
                                      and e.message.error_code != 0, 30.0, mark=mark)
            if failed is None:
                raise Trouble('no chunk of the reply tells of the failure')
            evidence.noticed_s = failed.received_s
            if lasting:
                apology = world.watch.wait(_speaks(dialog_id), APOLOGY_S, mark=mark)
                evidence.require(apology, f'no apology within {APOLOGY_S:.0f} s')
                world.watch.rest(AWAY_S)
                evidence.require(world.require().running, 'it gave up while Ollama was away')
        finally:
            world.ollama.script = 'ok'
            world.ollama.start()
        if not world.watch.until(lambda: world.watch.hears(world.offset), 30.0):
            raise Trouble('it did not hear again within 30 s')
        evidence.recovered_s = time.time() if not lasting else apology and apology.received_s
        if not lasting:
            evidence.require(world.watch.wait(_finished(dialog_id), ANSWER_S, mark=mark),
                             'neither the answer nor an apology was spoken to its end')
        let_window_open(world, evidence, dialog_id, mark)
        _answers_again(world, evidence)
        call(world)
        look_for_reasons(world, evidence, mark, 'llm', (word,), ('log', 'status'))
        end_dialog(world)

    return play


def refused_at_boot(world: World, evidence: Evidence) -> None:
    """Nobody answers at boot; the server comes up while the assistant retries."""
    world.ollama.stop()
    try:
        assistant = world.start(settings(world.ollama.url))
        if not world.watch.until(lambda: 'not reachable' in assistant.output()
                                 or not assistant.running, 60.0):
            raise Trouble('it did not say that Ollama is not reachable')
    finally:
        evidence.strike()
        world.ollama.start()
    world.wait_ready()
    evidence.recovered_s = time.time()
    call(world)
    look_for_reasons(world, evidence, assistant.mark, 'llm', ('not reachable',), ('state', 'log'))
    end_dialog(world)


def absent(world: World, evidence: Evidence) -> None:
    """Nobody ever answers at boot: it ends with the reason."""
    from faults.start_cases import refused

    world.ollama.stop()
    try:
        world.start(settings(world.ollama.url) | {'loader.restart_backoff_ms': '200,500'})
        refused(world, evidence, 1, ('not reachable', 'ollama'))
    finally:
        world.ollama.start()


def _ask(world: World) -> str:
    mark = world.watch.mark()
    answer = world.robot.call(TriggerWake, 'loader/wake')
    if world.watch.wait_state(('acknowledging', 'listening'), 10.0, mark) is None:
        raise Trouble(f'no dialog began: {answer.error_msg}')
    world.user.say(QUESTION).times()
    expect_state(world, 'thinking', mark)
    return str(answer.dialog_id)


def _answers_again(world: World, evidence: Evidence) -> None:
    """The next question, in the follow-up window or after it, is answered."""
    end_dialog(world)
    mark = world.watch.mark()
    dialog_id = _ask(world)
    evidence.require(world.watch.wait(_replies(dialog_id), ANSWER_S, mark=mark),
                     'the next question was not answered')


def _final_s(world: World, mark: int) -> float:
    final = world.watch.wait(lambda e: e.topic == 'stt/transcript'
                             and e.message.kind == Transcript.FINAL, 20.0, mark=mark)
    if final is None:
        raise Trouble('the question was not heard')
    return max(final.received_s, world.ollama.broke_s)


def _replies(dialog_id: str) -> Callable[[Seen], bool]:
    return lambda e: (e.topic == 'tts/playback' and e.message.dialog_id == dialog_id
                      and e.message.source == PlaybackEvent.SOURCE_REPLY
                      and e.message.kind == PlaybackEvent.STARTED)


def _finished(dialog_id: str) -> Callable[[Seen], bool]:
    """The answer or an apology, to its end."""
    return lambda e: (e.topic == 'tts/playback' and e.message.dialog_id == dialog_id
                      and e.message.kind == PlaybackEvent.FINISHED
                      and (e.message.source == PlaybackEvent.SOURCE_REPLY
                           or 'orry' in e.message.text))


def _speaks(dialog_id: str) -> Callable[[Seen], bool]:
    """An apology; what is heard of it stands in the events after its beginning."""
    return lambda e: (e.topic == 'tts/playback' and e.message.dialog_id == dialog_id
                      and e.message.source == PlaybackEvent.SOURCE_SPEAK
                      and 'orry' in e.message.text)
