# SPDX-License-Identifier: Apache-2.0
"""openWakeWord's models, run frame by frame with ONNX Runtime.

The streaming computation is that of ``openwakeword.utils.AudioFeatures`` and
``openwakeword.model.Model`` 0.6.0 (Apache-2.0); a test compares the scores. The library itself is
not imported: it brings scikit-learn, which takes ten times as long to start as all of this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from va_common.audio_io import Int16, SAMPLE_RATE
from va_common.errors import AssistantError, ErrorCode
from va_kwd.wake_check import load_check
from va_kwd.wake_words import WakeWord

FRAME: Final = 1280
"""Samples of one frame: 80 ms."""
FRAME_S: Final = FRAME / SAMPLE_RATE

_CONTEXT = 480  # samples before the frame that its first mel windows reach back
_MEL_BINS = 32
_MEL_WINDOW = 76  # mel frames of one embedding
_FRAME_MELS = 8
_WINDOW_FRAMES = -(-_MEL_WINDOW // _FRAME_MELS)  # frames that one embedding reaches back
_EMBEDDING = 96
WARM_UP_FRAMES = 5  # scores of the first frames mean nothing

Float32 = npt.NDArray[np.float32]


class WakeScorer(Protocol):
    """What the detector needs of an engine."""

    def score(self, frame: Int16) -> dict[str, float]:
        """Scores 0..1 by wake word after one more frame, int16 (1280,) at 16 kHz."""
        ...

    def whole_phrase(self, name: str) -> float:
        """Probability, 0 to 1, that all of a word's phrase was said, not only its end."""
        ...

    def reset(self) -> None:
        """Forget the sound so far."""
        ...


class WakeEngine:
    """Several wake words scored on shared features. Not thread-safe: one thread feeds it.

    Args:
        words: the models and their names.
        melspectrogram: openWakeWord's ``melspectrogram.onnx``.
        embedding: openWakeWord's ``embedding_model.onnx``.

    Raises:
        AssistantError: MODEL_MISSING for a missing file; ENGINE_FAILED for one that is damaged or
            has the wrong shape, naming both.
    """

    def __init__(self, words: Sequence[WakeWord], melspectrogram: Path, embedding: Path) -> None:
        self._mel = _session(melspectrogram)
        _check_shape(self._mel, melspectrogram, (None, None), 'a melspectrogram model')
        self._embedding = _session(embedding)
        _check_shape(self._embedding, embedding, (None, _MEL_WINDOW, _MEL_BINS, 1),
                     'an embedding model')
        self.names = tuple(word.name for word in words)
        self._words = {word.name: _session(word.path) for word in words}
        for word in words:
            _check_shape(self._words[word.name], word.path, (None, None, _EMBEDDING),
                         'a wake word model of openWakeWord')
        self._lengths = {name: int(session.get_inputs()[0].shape[1])
                         for name, session in self._words.items()}
        self._checks = {name: load_check(name, length * _EMBEDDING)
                        for name, length in self._lengths.items()}
        longest = max(self._lengths.values())
        self._skipped: deque[Int16] = deque(maxlen=longest + _WINDOW_FRAMES)
        self._start = self._embed_noise(longest)
        self.reset()
        self._check_scores()

    def reset(self) -> None:
        """Forget the sound so far; as openWakeWord does, begin with features of weak noise."""
        self._context = np.zeros(_CONTEXT, np.int16)
        self._mels: Float32 = np.ones((_MEL_WINDOW, _MEL_BINS), np.float32)
        self._features = self._start.copy()
        self._frames = 0
        self._skipped.clear()

    def skip(self, frame: Int16) -> None:
        """Take one more frame without a score; the next score is what it would be otherwise.

        Args:
            frame: as of :meth:`score`.

        Raises:
            AssistantError: as there.
        """
        _check_frame(frame)
        self._skipped.append(frame)
        self._frames += 1

    def score(self, frame: Int16) -> dict[str, float]:
        """Scores 0..1 by wake word after one more frame.

        Args:
            frame: int16 (1280,), 16 kHz, directly after the one before.

        Raises:
            AssistantError: INVALID_ARGUMENT for another shape or type.
        """
        _check_frame(frame)
        self._take(np.concatenate((*self._skipped, frame)))
        self._skipped.clear()
        self._frames += 1
        if self._frames <= WARM_UP_FRAMES:
            return dict.fromkeys(self._words, 0.0)
        return {name: self._score_word(name) for name in self._words}

    def _take(self, frames: Int16) -> None:
        sound = np.concatenate((self._context, frames))
        self._context = sound[-_CONTEXT:]
        mels = np.concatenate((self._mels, self._melspectrogram(sound)))
        self._mels = mels[-_MEL_WINDOW:]
        # After more than are kept of the skipped ones, the oldest features come of no true sound:
        # those that are looked at do.
        count = min(len(frames) // FRAME, len(self._features))
        ends = len(mels) - _FRAME_MELS * np.arange(count)[::-1]
        features = self._embed(np.stack([mels[end - _MEL_WINDOW:end] for end in ends]))
        self._features = np.concatenate((self._features[count:], features))

    def features(self, name: str) -> Float32:
        """What the model of a word is given after the last frame, (frames, 96)."""
        return self._features[-self._lengths[name]:]

    def whole_phrase(self, name: str) -> float:
        """Probability, 0 to 1, that all of the phrase was said; 1 for a word without a check."""
        check = self._checks[name]
        return 1.0 if check is None else check.probability(self.features(name))

    def _score_word(self, name: str) -> float:
        session = self._words[name]
        given = {session.get_inputs()[0].name: self.features(name)[None]}
        return float(session.run(None, given)[0].ravel()[0])

    def _melspectrogram(self, sound: Int16) -> Float32:
        given = {self._mel.get_inputs()[0].name: sound.astype(np.float32)[None]}
        mels: Float32 = self._mel.run(None, given)[0].reshape(-1, _MEL_BINS)
        # Brings the ONNX model near to Google's original.
        return mels / np.float32(10) + np.float32(2)

    def _embed(self, windows: Float32) -> Float32:
        given = {self._embedding.get_inputs()[0].name: windows[..., None]}
        return self._embedding.run(None, given)[0].reshape(-1, _EMBEDDING)

    def _embed_noise(self, count: int) -> Float32:
        # A fixed seed: the same sound gives the same scores each time.
        samples = (_MEL_WINDOW + _FRAME_MELS * count) * 160 + _CONTEXT
        noise = np.random.default_rng(0).integers(-1000, 1000, samples).astype(np.int16)
        mels = self._melspectrogram(noise)
        return self._embed(np.stack(
            [mels[_FRAME_MELS * i:][:_MEL_WINDOW] for i in range(count)]))

    def _check_scores(self) -> None:
        """One score of each, so that a model that cannot run fails now and with its name."""
        for name in self._words:
            try:
                self._score_word(name)
            except Exception as error:
                message = f'wake word {name}: its model cannot be run: {error}'
                raise AssistantError(ErrorCode.ENGINE_FAILED, message) from error


def _check_frame(frame: Int16) -> None:
    if frame.shape != (FRAME,) or frame.dtype != np.int16:
        message = f'frame {frame.dtype} {frame.shape}: expected int16 ({FRAME},)'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)


def _session(path: Path) -> Any:
    import onnxruntime

    if not path.is_file():
        message = f'{path}: no such file; expected an .onnx model (./va models fetches them)'
        raise AssistantError(ErrorCode.MODEL_MISSING, message)
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # Else each number of frames that are caught up has a plan and, in the end, 8 MB more are held.
    options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=['CPUExecutionProvider'])
    except Exception as error:  # onnxruntime has a class of its own for each kind of damage
        message = (f'{path}: not an ONNX model or damaged ({type(error).__name__}); '
                   './va models verifies and fetches again')
        raise AssistantError(ErrorCode.ENGINE_FAILED, message) from None


def _check_shape(session: Any, path: Path, expected: tuple[int | None, ...], what: str) -> None:
    inputs = session.get_inputs()
    shape = tuple(inputs[0].shape) if len(inputs) == 1 else ()
    fits = len(shape) == len(expected) and all(
        want is None or want == have for want, have in zip(expected, shape, strict=True))
    # A wake word model must say how many embeddings it takes.
    if fits and expected[-1] == _EMBEDDING:
        fits = isinstance(shape[1], int)
    if not fits:
        wanted = '×'.join('?' if n is None else str(n) for n in expected)
        found = '×'.join(str(n) for n in shape) or f'{len(inputs)} inputs'
        message = f'{path}: input {found}; expected {what} with one input {wanted}'
        raise AssistantError(ErrorCode.ENGINE_FAILED, message)
