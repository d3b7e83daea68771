# SPDX-License-Identifier: Apache-2.0
"""Replies made ready ahead: heard at once when they are wanted, and never otherwise."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_stream_queue import DIALOG, Stage
from tts_fakes import LATENCY_S

from va_common.errors import AssistantError, ErrorCode
from va_common.testing import wait_for
from va_tts.drafts import MAX_AGE_S, READY_PIECES
from va_tts.playback_events import Identity, Kind, Source
from va_tts.utterance import PieceState, Request

TEXT = 'One two three four. Five six seven eight. Nine ten eleven twelve.'
GIVEN_UP = AssistantError(ErrorCode.CANCELLED, 'stopped: the user speaks on')


class DraftStage(Stage):
    """The queue with its fakes, and drafts."""

    def draft(self, sequence: int = 0, text: str = TEXT, turn: int = 1, revision: int = 0,
              is_last: bool = False, error: AssistantError | None = None) -> None:
        identity = Identity(Source.REPLY, f'{DIALOG}/{turn}', DIALOG, turn, revision)
        self.queue.draft(Request(identity, 'af_heart', 1.0), sequence, text,
                         is_last or error is not None, error)

    def words(self) -> list[str]:
        return [text for text, _, _ in self.engine.spoken]

    def ready(self, pieces: int) -> None:
        """Wait until so many pieces have been asked of the engine and the last is done."""
        wait_for(lambda: len(self.engine.spoken) >= pieces and not self.synthesiser.busy, 5.0,
                 f'{pieces} pieces ahead')

    def silent(self) -> bool:
        self.device.run(0.5)
        self.queue.flush()
        return not self.events and not np.any(self.device.heard)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[DraftStage]:
    stage = DraftStage(tmp_path)
    yield stage
    stage.engine.go.set()
    stage.queue.close()
    stage.synthesiser.close()
    assert not [line for line in stage.warnings if 'thread' in line]


def test_a_draft_is_made_and_not_heard(stage: DraftStage) -> None:
    stage.draft(text=TEXT + ' Yes.')
    stage.ready(READY_PIECES)
    assert stage.words() == ['One two three four.', 'Five six seven eight.']
    assert stage.silent()
    assert stage.queue.length == 0


def test_the_reply_it_was_made_for_is_heard_at_once(stage: DraftStage) -> None:
    stage.draft(0, 'One two three four. Five')
    stage.draft(1, ' six seven eight.')
    stage.ready(1)
    stage.engine.go.clear()  # nothing that has to be made now would be heard
    begun_s = stage.clock()
    stage.reply(0, TEXT, is_last=True)
    stage.device.run(0.2)
    stage.queue.flush()
    assert stage.of(Kind.STARTED)[0].stamp_s == pytest.approx(begun_s + LATENCY_S)
    stage.engine.go.set()
    stage.play(3.0)
    assert stage.of(Kind.FINISHED)[0].text == TEXT
    assert stage.words().count('One two three four.') == 1


def test_a_single_sentence_is_made_when_the_draft_ends(stage: DraftStage) -> None:
    stage.draft(0, 'One two three.')
    stage.draft(1, '', is_last=True)
    stage.ready(1)
    assert stage.words() == ['One two three.']
    assert stage.silent()
    stage.reply(0, 'One two three.')
    stage.reply(1, '', is_last=True)
    stage.play(1.0)
    assert stage.of(Kind.FINISHED)[0].text == 'One two three.'
    assert stage.words() == ['One two three.']


def test_a_piece_in_the_making_is_not_made_twice(stage: DraftStage) -> None:
    stage.engine.go.clear()
    stage.draft()
    wait_for(lambda: len(stage.words()) == 1, 5.0, 'the first piece begins')
    stage.reply(0, TEXT, is_last=True)
    stage.engine.go.set()
    stage.play(3.0)
    assert stage.of(Kind.FINISHED)[0].text == TEXT
    assert len(stage.words()) == 3


@pytest.mark.parametrize(('text', 'revision'), [('No, never. Not at all.', 0), (TEXT, 1)])
def test_another_reply_is_made_anew(stage: DraftStage, text: str, revision: int) -> None:
    stage.draft()
    stage.ready(READY_PIECES)
    stage.reply(0, text, is_last=True, revision=revision)
    stage.play(3.0)
    assert [event.text for event in stage.of(Kind.FINISHED)] == [text]
    assert len(stage.events) == len([e for e in stage.events if e.identity.revision == revision])


def test_the_reply_goes_on_beyond_the_draft(stage: DraftStage) -> None:
    stage.draft(0, 'One two three four. Fi')
    stage.reply(0, 'One two three four. Five six', is_last=False)
    stage.reply(1, ' seven eight.', is_last=True)
    stage.play(2.0)
    assert stage.of(Kind.FINISHED)[0].text == 'One two three four. Five six seven eight.'


@pytest.mark.parametrize('ended_by', ['given up', 'newer draft', 'newer reply', 'stop', 'lost'])
def test_a_draft_that_is_not_wanted_is_aborted(stage: DraftStage, ended_by: str) -> None:
    stage.engine.go.clear()
    stage.draft()
    wait_for(lambda: len(stage.words()) == 1, 5.0, 'the first piece begins')
    if ended_by == 'given up':
        stage.draft(1, '', error=GIVEN_UP)
    elif ended_by == 'newer draft':
        stage.draft(text='', revision=1)
    elif ended_by == 'newer reply':
        stage.reply(0, '', turn=2)
    elif ended_by == 'stop':
        stage.queue.stop(DIALOG, 1, 'enough')
    else:
        stage.clock.advance(MAX_AGE_S + 1)
    wait_for(lambda: not stage.synthesiser.busy, 5.0, 'the synthesis ends')
    stage.engine.go.set()
    assert stage.silent()
    assert len(stage.words()) == 1


def test_giving_up_an_older_revision_changes_nothing(stage: DraftStage) -> None:
    stage.draft(revision=1)
    stage.draft(1, '', revision=0, error=GIVEN_UP)
    stage.ready(READY_PIECES)
    assert len(stage.words()) == READY_PIECES


def test_a_draft_gives_way_to_what_is_heard_and_is_made_later(stage: DraftStage) -> None:
    stage.engine.go.clear()
    stage.draft()
    wait_for(lambda: len(stage.words()) == 1, 5.0, 'the first piece begins')
    stage.speak('A robot says something.')
    wait_for(lambda: len(stage.words()) == 2, 5.0, 'the robot goes before')
    assert stage.words()[1] == 'A robot says something.'
    stage.reply(0, TEXT, is_last=True)
    stage.engine.go.set()
    stage.play(4.0)
    assert stage.kinds() == ['STARTED', 'FINISHED', 'STARTED', 'FINISHED']
    assert stage.of(Kind.FINISHED)[1].text == TEXT


def test_a_reply_survives_that_its_draft_gave_way_just_before(stage: DraftStage) -> None:
    stage.engine.go.clear()
    stage.draft()
    wait_for(lambda: len(stage.words()) == 1, 5.0, 'the first piece begins')
    with stage.queue._lock:  # the worker cannot tell of the abort in between
        stage.speak('A robot says something.')
        stage.reply(0, TEXT, is_last=True)
    stage.engine.go.set()
    stage.play(4.0)
    assert [event.text for event in stage.of(Kind.FINISHED)] == ['A robot says something.', TEXT]
    assert not stage.of(Kind.FAILED)


def test_a_draft_of_an_outdated_turn_is_refused(stage: DraftStage) -> None:
    stage.reply(0, 'Yes.', is_last=True, turn=2)
    with pytest.raises(AssistantError) as caught:
        stage.draft(turn=1)
    assert caught.value.code == ErrorCode.OUTDATED


def test_a_draft_with_a_gap_is_of_no_use(stage: DraftStage) -> None:
    stage.draft(0, 'One two three four. Five six')
    stage.draft(2, ' eight.')
    stage.reply(0, TEXT, is_last=True)
    stage.play(3.0)
    assert stage.of(Kind.FINISHED)[0].text == TEXT


def test_a_late_chunk_of_a_draft_that_is_being_spoken(stage: DraftStage) -> None:
    stage.draft(0, 'One two')
    stage.reply(0, TEXT, is_last=True)
    stage.draft(1, ' three')
    stage.draft(0, 'One two')
    stage.play(3.0)
    assert [event.text for event in stage.of(Kind.FINISHED)] == [TEXT]


def test_a_failed_draft_is_tried_again_in_earnest(stage: DraftStage) -> None:
    stage.engine.error = AssistantError(ErrorCode.ENGINE_FAILED, 'broken')
    stage.draft()
    stage.ready(1)
    assert stage.silent()
    stage.engine.error = None
    stage.reply(0, TEXT, is_last=True)
    stage.play(3.0)
    assert stage.of(Kind.FINISHED)[0].text == TEXT


def test_without_a_speaker_there_are_no_drafts(stage: DraftStage) -> None:
    stage.draft()
    stage.ready(READY_PIECES)
    stage.queue.block(AssistantError(ErrorCode.DEVICE_FAILED, 'unplugged'))
    stage.queue.change_rate(16_000)
    stage.queue.resume()
    stage.reply(0, 'One two three four.', is_last=True)
    with stage.queue._lock:
        piece = stage.queue._line[0].pieces[0]
        assert piece.state is not PieceState.READY, 'it was made for another rate'
