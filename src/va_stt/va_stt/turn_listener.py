# SPDX-License-Identifier: Apache-2.0
"""One turn: waits for speech, follows it, works ahead in its pauses, decides its end.

Plain logic: voice frames and results go in, events and requests come out. Time is the time of
the audio. A pause of ``early_s`` has the text made ahead (PARTIAL); speech after it makes
revision + 1, so that the text for the FINAL is usually there when the endpoint is decided.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey
from va_stt.interruption import Alarm, glimpse, Interruption, is_stop_phrase
from va_stt.sentence_end import open_ended, word_count
from va_stt.speech_evidence import invented
from va_stt.turn_events import (
    Action,
    JudgeRequest,
    Kind,
    Outcome,
    TranscribeRequest,
    TurnEvent,
)
from va_stt.vad_finalize import (
    Endpointing,
    Onset,
    Pause,
    RESUME_S,
    Stretches,
    VadFrame,
    VoicedFrames,
)
from va_stt.wake_phrase import cut_wake_phrase
from va_stt.whisper_cuda import Transcription

PRE_ROLL_S = 0.3
"""Sound before the first voiced frame that is transcribed too: soft consonants."""
WORD_TAIL_S = 0.1
"""The wake word's last sound lasts a little beyond the end that kwd reports."""
ONE_BREATH_S = 1.0
"""After the wake word; whoever begins later is asked "Yes?" before."""
WAKE_WORD_S = 1.5
"""How far back the wake word begins, when the speech is joined to it."""
JOINED_S = 0.3
"""Speech this close to the wake word is transcribed together with it."""
TEXT_TIMEOUT_S = 20.0
CONTINUES = 0.06
"""Probability of a comma at the end above which a text is no whole sentence. With ``base`` and the
voices of :mod:`~va_stt.end_of_turn`: 6 % of 53 whole ones have more, 53 % of their beginnings."""
VETO_S = 0.3
"""How long words over playback are told before their FINAL: who knows what the assistant says may
give the turn up, before llm answers it."""
NOTHING_S = 0.5
"""Silence after which a sound without words is taken for noise; speech before that joins it."""


@dataclass(frozen=True)
class TurnRequest:
    """What to listen for."""

    key: TurnKey
    listen_from_s: float
    """Sound from here on counts, Unix seconds."""
    wake_phrase: str = ''
    """Cut from the text; empty: no wake word came before."""
    no_speech_timeout_s: float = 8.0
    max_utterance_s: float = 30.0
    vad_threshold: float = 0.5
    partials: bool = True
    endpointing: Endpointing = field(default_factory=Endpointing)
    over_playback: bool = False
    """The assistant speaks meanwhile: alarms are told, and withdrawn when they have no words."""
    stop_phrases: tuple[str, ...] = ()
    """A text that is one of these and no more ends the turn with OUTCOME_STOP."""


class _State(Enum):
    WAITING = 'waiting'
    SPEAKING = 'speaking'
    PAUSED = 'paused'
    ENDED = 'ended'     # the endpoint is decided, the text is not there yet
    DONE = 'done'


class TurnListener:
    """Listens for one turn. Not thread-safe: :class:`~va_stt.listening.Listening` locks."""

    def __init__(self, request: TurnRequest) -> None:
        self._request = request
        self._revision = request.key.revision
        self._state = _State.WAITING
        self._voiced_frames = VoicedFrames(request.vad_threshold, request.over_playback)
        tail_s = WORD_TAIL_S if request.wake_phrase else 0.0
        self._count_from_s = request.listen_from_s + tail_s
        self._onset = Onset(self._count_from_s, request.over_playback)
        self._over = Interruption(request.stop_phrases) if request.over_playback else None
        self._alarm = Alarm()
        self._first_speech = True
        self._announced = False
        self._text: Transcription | None = None
        self._believed: Transcription | None = None
        self._pause = Pause(0.0)
        self._end_probability, self._nothing_heard = 0.0, False
        self._now_s = request.listen_from_s
        self._forget_speech()

    def is_asked_by(self, request: TurnRequest) -> bool:
        """Whether ``request`` asks for what this turn was begun for."""
        return replace(self._request, key=request.key) == request

    @property
    def key(self) -> TurnKey:
        """The turn, with the present revision."""
        return replace(self._request.key, revision=self._revision)

    @property
    def done(self) -> bool:
        """Whether FINAL has been given."""
        return self._state is _State.DONE

    def wants(self, revision: int) -> bool:
        """Whether a result for this revision is still of use."""
        return not self.done and revision == self._revision

    def on_frame(self, frame: VadFrame) -> list[Action]:
        """Take the next 32 ms."""
        self._now_s = frame.end_s
        voiced = self._voiced_frames.judge(frame, self._state is not _State.WAITING)
        if self._state is _State.WAITING:
            return self._wait(frame, voiced)
        if self._state is _State.SPEAKING:
            return self._follow(frame, voiced)
        if self._state is _State.PAUSED:
            return self._rest(frame, voiced)
        if self._state is _State.ENDED and self._text is not None:
            return self._final_when_told()
        if self._state is _State.ENDED and frame.end_s - self._endpoint_s > TEXT_TIMEOUT_S:
            return self.fail(AssistantError(
                ErrorCode.TIMEOUT, f'no transcription within {TEXT_TIMEOUT_S:g} s'))
        return []

    def on_text(self, revision: int, heard: Transcription) -> list[Action]:
        """Take what was transcribed for a revision."""
        if not self.wants(revision) or self._state not in (_State.PAUSED, _State.ENDED):
            return []
        text = ''
        if self._has_words(heard):
            text = cut_wake_phrase(heard.text, self._request.wake_phrase)
        if not text and self._believed is None:
            self._nothing_heard = True
            return self._nothing_said() if self._nothing_is_certain() else []
        # What was understood before a pause stays when nothing is made of what came after it.
        self._text = self._believed = replace(heard, text=text) if text else self._believed
        if self._state is _State.ENDED:
            return self._final_when_told()
        return [*self._tell_partial(), *self._end_if_whole()]

    def on_glimpse(self, revision: int, heard: Transcription) -> list[Action]:
        """Take what was transcribed in the middle of speech over playback."""
        over = self._over
        if over is None or over.believed or not self.wants(revision) \
                or not over.has_words(heard, self._voiced_s):
            return []
        text = cut_wake_phrase(heard.text, self._request.wake_phrase)
        if not text:
            return []
        over.believed, self._told_s = True, self._now_s
        self._believed = replace(heard, text=text)
        return [self._event(Kind.PARTIAL, self._believed)]

    def _tell_partial(self) -> list[Action]:
        if self._over is not None:
            self._told_s = self._told_s if self._over.believed else self._now_s
            self._over.believed = True
        elif not self._request.partials:
            return []
        return [replace(self._event(Kind.PARTIAL), endpoint_s=self._coming_end_s())]

    def on_judgement(self, revision: int, probability: float) -> list[Action]:
        """Take how likely the turn is over, by the sound of a revision, 0 to 1."""
        if not self.wants(revision) or self._state is not _State.PAUSED:
            return []
        self._end_probability = probability
        return self._end_if_whole()

    def stop(self, reason: str = 'stop') -> list[Action]:
        """Give up: FINAL with OUTCOME_STOPPED."""
        return self._finish(Outcome.STOPPED, endpoint_reason=reason)

    def fail(self, error: AssistantError) -> list[Action]:
        """Give up: FINAL with OUTCOME_FAILED."""
        return self._finish(Outcome.FAILED, error_code=int(error.code), error_msg=error.message)

    # Waiting ----------------------------------------------------------------------------------

    def _forget_speech(self) -> None:
        self._speech_start_s = 0.0
        self._audio_from_s = 0.0
        self._voiced_end_s = 0.0
        self._voiced_s = 0.0
        self._told_s = 0.0
        self._endpoint_s = 0.0
        self._endpoint_reason = ''
        self._text = self._believed = None
        self._stretches = Stretches(0.0)

    def _wait(self, frame: VadFrame, voiced: bool) -> list[Action]:
        if self._onset.feed(frame, voiced):
            return self._begin(frame)
        waited_s = frame.end_s - self._request.listen_from_s
        alarm = self._alarm.notice(self._onset) if self._tells_alarms(waited_s) else None
        if alarm is not None:
            return [TurnEvent(self.key, alarm)]
        if waited_s >= self._request.no_speech_timeout_s and not self._onset.in_progress:
            return self._finish(Outcome.NO_SPEECH)
        return []

    def _begin(self, frame: VadFrame) -> list[Action]:
        run_start_s = self._onset.run_start_s
        assert run_start_s is not None
        self._speech_start_s = max(run_start_s, self._count_from_s)
        self._audio_from_s = run_start_s - PRE_ROLL_S
        if self._joined():
            self._audio_from_s = self._request.listen_from_s - WAKE_WORD_S
        self._stretches = Stretches(self._audio_from_s)
        self._voiced_end_s = frame.end_s
        self._voiced_s = frame.end_s - run_start_s
        self._state = _State.SPEAKING
        if self._announced:
            return []
        self._announced = True
        return [TurnEvent(self.key, Kind.STARTED, speech_start_s=self._speech_start_s)]

    def _tells_alarms(self, waited_s: float) -> bool:
        """Whether the first sign of a voice matters: to the answer, or to "Yes?"."""
        if self._over is not None:
            return not self._over.believed
        early = bool(self._request.wake_phrase) and waited_s < ONE_BREATH_S
        return not self._announced and (early or self._alarm.noticed)

    def _joined(self) -> bool:
        """Whether the speech runs on from the wake word: then both are transcribed."""
        return bool(self._request.wake_phrase) and self._first_speech \
            and self._onset.joined_to(self._count_from_s, JOINED_S)

    # Speaking and pausing ---------------------------------------------------------------------

    def _follow(self, frame: VadFrame, voiced: bool) -> list[Action]:
        if voiced:
            self._voiced_end_s = frame.end_s
            self._voiced_s += frame.end_s - frame.start_s
        if frame.end_s - self._speech_start_s >= self._request.max_utterance_s:
            return [self._transcribe(), *self._end('max_length')]
        if frame.end_s - self._voiced_end_s < self._request.endpointing.early_s:
            if self._over is not None and self._over.glimpse_due(self._voiced_s):
                return [glimpse(self._transcribe())]
            return []
        self._state = _State.PAUSED
        self._end_probability, self._nothing_heard = 0.0, False
        self._pause = Pause(self._voiced_end_s)
        self._pause.feed(frame, voiced)
        return [self._transcribe(), *self._judge(), *self._check_pause()]

    def _rest(self, frame: VadFrame, voiced: bool) -> list[Action]:
        if self._pause.feed(frame, voiced):
            return self._go_on(frame)
        if self._pause.resuming:
            return []
        if self._nothing_heard and self._nothing_is_certain():
            return self._nothing_said()
        return self._check_pause()

    def _nothing_is_certain(self) -> bool:
        """Whether a sound without words is over; a short pause may be in the middle of a word."""
        return self._state is _State.ENDED or self._pause.silence_s >= min(
            NOTHING_S, self._request.endpointing.silence_s)

    def _go_on(self, frame: VadFrame) -> list[Action]:
        told = self._text is not None
        self._revision += 1
        self._text = None
        self._stretches.skip(self._pause.since_s, frame.end_s - RESUME_S)
        self._state = _State.SPEAKING
        self._voiced_end_s = frame.end_s
        return [TurnEvent(self.key, Kind.RESUMED)] if told else []

    def _check_pause(self) -> list[Action]:
        endpointing = self._request.endpointing
        if self._pause.silence_s >= endpointing.silence_s:
            return self._end('silence')
        if self._reads_whole() and self._pause.silence_s >= endpointing.patience_s(self._words):
            return self._end('smart')
        return []

    def _judge(self) -> list[JudgeRequest]:
        """Asked once, early: the longer the silence that Smart Turn hears, the surer it gets.

        After 0.6 s it takes nearly everything for an end (92 % of beginnings of sentences).
        """
        if not self._request.endpointing.smart:
            return []
        return [JudgeRequest(self._revision, self._stretches.until(self._now_s))]

    def _end_if_whole(self) -> list[Action]:
        """End the turn where it both sounds and reads like a whole sentence."""
        if self._reads_whole() and not self._pause.resuming \
                and self._end_probability >= self._request.endpointing.sure_after(self._words):
            return self._end('smart')
        return []

    def _reads_whole(self) -> bool:
        """Whether the text can be a whole sentence; asked of smart endpointing only."""
        return self._request.endpointing.smart and self._text is not None \
            and self._text.continues <= CONTINUES \
            and not (self._text.language == 'en' and open_ended(self._text.text))

    @property
    def _words(self) -> int:
        return 0 if self._text is None else word_count(self._text.text)

    def _coming_end_s(self) -> float:
        """When the turn ends if nothing more is said and its sound does not tell sooner."""
        endpointing = self._request.endpointing
        return self._pause.since_s + (
            endpointing.patience_s(self._words) if self._reads_whole() else endpointing.silence_s)

    def _transcribe(self) -> TranscribeRequest:
        quick = self._over is not None and self._over.most_likely_nothing(self._voiced_s)
        return TranscribeRequest(
            self._revision, self._audio_from_s, self._now_s, self._voiced_s, quick=quick)

    # Ending -----------------------------------------------------------------------------------

    def _end(self, reason: str) -> list[Action]:
        self._state = _State.ENDED
        self._endpoint_s = self._now_s
        self._endpoint_reason = reason
        return self._final_when_told() if self._text is not None else []

    def _nothing_said(self) -> list[Action]:
        """It was noise, or the wake phrase alone: wait on, if there is time left."""
        waited_s = self._now_s - self._request.listen_from_s
        if self._state is _State.ENDED and waited_s >= self._request.no_speech_timeout_s:
            return self._finish(Outcome.NO_SPEECH)
        self._revision += 1
        self._state = _State.WAITING
        self._first_speech = False
        self._count_from_s = self._voiced_end_s
        self._onset = Onset(self._count_from_s, self._request.over_playback)
        self._forget_speech()
        if self._over is None:
            return []
        self._over.withdraw()
        self._alarm, self._announced = Alarm(), False
        return [TurnEvent(self.key, Kind.WITHDRAWN)]

    def _has_words(self, heard: Transcription) -> bool:
        if self._over is not None and not self._over.believed:
            return self._over.has_words(heard, self._voiced_s)
        return invented(heard, self._voiced_s) is None

    def _final_when_told(self) -> list[Action]:
        if self._over is None:
            return [self._final_speech()]
        told = [] if self._over.believed else self._tell_partial()
        return told if self._now_s - self._told_s < VETO_S else [self._final_speech()]

    def _final_speech(self) -> TurnEvent:
        self._state = _State.DONE
        event = self._event(Kind.FINAL)
        if is_stop_phrase(event.text, self._request.stop_phrases):
            return replace(event, outcome=Outcome.STOP)
        return event

    def _finish(self, outcome: Outcome, endpoint_reason: str = '', error_code: int = 0,
                error_msg: str = '') -> list[Action]:
        if self.done:
            return []
        self._state = _State.DONE
        return [TurnEvent(
            self.key, Kind.FINAL, outcome, speech_start_s=self._speech_start_s,
            speech_end_s=self._voiced_end_s, endpoint_s=self._now_s,
            endpoint_reason=endpoint_reason or 'silence', error_code=error_code,
            error_msg=error_msg)]

    def _event(self, kind: Kind, heard: Transcription | None = None) -> TurnEvent:
        heard = heard or self._text
        assert heard is not None
        return TurnEvent(
            self.key, kind, Outcome.SPEECH, heard.text, heard.language, heard.confidence,
            self._speech_start_s, self._voiced_end_s, self._endpoint_s, self._endpoint_reason)
