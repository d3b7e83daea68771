# SPDX-License-Identifier: Apache-2.0
"""Turns what programs ask for into a checked :class:`~va_stt.turn_listener.TurnRequest`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey
from va_stt.turn_listener import TurnRequest
from va_stt.vad_finalize import Endpointing

KEPT_S = 8.0
AHEAD_S = 5.0
MAX_ID = 64
MAX_PHRASE = 100
MAX_PHRASES = 50
TIMEOUT_MS = (100, 120_000)
SILENCE_MS = (200, 10_000)

Setting = Callable[[str], Any]


def listen_from(asked_s: float, now_s: float) -> float:
    """Where listening begins, Unix seconds.

    Args:
        asked_s: as asked, 0: now.
        now_s: present time.

    Returns:
        Not older than the ``KEPT_S`` that are kept.

    Raises:
        AssistantError: INVALID_ARGUMENT more than ``AHEAD_S`` in the future.
    """
    if asked_s <= 0.0:
        return now_s
    if asked_s > now_s + AHEAD_S:
        raise _refused('listen_from', f'{asked_s - now_s:.1f} s ahead', f'at most {AHEAD_S:g} s')
    return max(asked_s, now_s - KEPT_S)


def dialog_request(setting: Setting, *, dialog_id: str, turn: int, listen_from_s: float,
                   wake_phrase: str, no_speech_timeout_ms: int, now_s: float,
                   over_playback: bool = False,
                   stop_phrases: Sequence[str] = ()) -> TurnRequest:
    """The request of ``stt/start``.

    Raises:
        AssistantError: INVALID_ARGUMENT naming the field.
    """
    if not 1 <= len(dialog_id) <= MAX_ID:
        raise _refused('dialog_id', f'{len(dialog_id)} characters', f'1 to {MAX_ID}')
    if turn < 1:
        raise _refused('turn', turn, '1 or more')
    if len(wake_phrase) > MAX_PHRASE:
        raise _refused('wake_phrase', f'{len(wake_phrase)} characters', f'at most {MAX_PHRASE}')
    if len(stop_phrases) > MAX_PHRASES:
        raise _refused('stop_phrases', f'{len(stop_phrases)} phrases', f'at most {MAX_PHRASES}')
    if (longest := max(map(len, stop_phrases), default=0)) > MAX_PHRASE:
        raise _refused('stop_phrases', f'{longest} characters', f'at most {MAX_PHRASE} each')
    request = _request(setting, TurnKey(dialog_id, turn), listen_from(listen_from_s, now_s),
                       wake_phrase, no_speech_timeout_ms, 0)
    return replace(request, over_playback=over_playback, stop_phrases=tuple(stop_phrases))


def apart_request(setting: Setting, *, listen_id: str, no_speech_timeout_ms: int,
                  silence_ms: int, now_s: float) -> TurnRequest:
    """The request of ``stt/listen``.

    Raises:
        AssistantError: INVALID_ARGUMENT naming the field.
    """
    return _request(setting, TurnKey(listen_id, 1), now_s, '', no_speech_timeout_ms, silence_ms)


def _request(setting: Setting, key: TurnKey, listen_from_s: float, wake_phrase: str,
             no_speech_timeout_ms: int, silence_ms: int) -> TurnRequest:
    timeout_ms = no_speech_timeout_ms or int(setting('no_speech_timeout_ms'))
    silence_ms = silence_ms or int(setting('silence_ms'))
    _check('no_speech_timeout_ms', timeout_ms, TIMEOUT_MS)
    _check('silence_ms', silence_ms, SILENCE_MS)
    return TurnRequest(
        key, listen_from_s, wake_phrase,
        no_speech_timeout_s=timeout_ms / 1000, max_utterance_s=setting('max_utterance_ms') / 1000,
        vad_threshold=setting('vad_threshold'), partials=setting('partials'),
        endpointing=Endpointing(silence_ms / 1000, setting('endpointing') == 'smart'))


def _check(name: str, value: int, span: tuple[int, int]) -> None:
    if not span[0] <= value <= span[1]:
        raise _refused(name, value, f'0 or {span[0]} to {span[1]}')


def _refused(name: str, value: object, expected: str) -> AssistantError:
    return AssistantError(ErrorCode.INVALID_ARGUMENT, f'{name} {value}: expected {expected}')
