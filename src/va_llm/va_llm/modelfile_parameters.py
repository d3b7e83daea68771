# SPDX-License-Identifier: Apache-2.0
"""The ``PARAMETER`` names of an Ollama Modelfile: type, range and Ollama's default of each.

Names and types: ``api.Options`` of Ollama 0.25 and its Modelfile reference. Ollama itself checks
no ranges; these refuse what no engine can use.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Final

Value = int | float | bool | str

# strconv.ParseBool of Go, which Ollama uses.
_BOOLS: Final = {
    **dict.fromkeys(('1', 't', 'T', 'TRUE', 'true', 'True'), True),
    **dict.fromkeys(('0', 'f', 'F', 'FALSE', 'false', 'False'), False),
}


@dataclass(frozen=True)
class Parameter:
    """One parameter: what its value must be."""

    kind: type
    """int, float, bool or str."""
    low: float = -math.inf
    high: float = math.inf
    default: Value | None = None
    """What Ollama uses when the Modelfile does not say; None: the model's or the runtime's."""
    deprecated: bool = False
    """Ollama warns and ignores it."""
    load_time: bool = False
    """Takes effect when the model is loaded, not per request."""

    @property
    def expected(self) -> str:
        """What a value must be, for a person."""
        if self.kind is bool:
            return 'true or false'
        if self.kind is str:
            return 'a text that is not empty'
        noun = 'an integer' if self.kind is int else 'a number'
        if math.isinf(self.low) and math.isinf(self.high):
            return noun
        return f'{noun} from {self.low:.10g} to {self.high:.10g}'

    def parse(self, text: str) -> Value:
        """Read a value.

        Raises:
            ValueError: wrong type or out of range; the message is :attr:`expected`.
        """
        try:
            value = self._convert(text)
        except (ValueError, KeyError):
            raise ValueError(self.expected) from None
        if self.kind in (int, float) and not self.low <= float(value) <= self.high:
            raise ValueError(self.expected)
        return value

    def _convert(self, text: str) -> Value:
        if self.kind is bool:
            return _BOOLS[text]
        if self.kind is str:
            if not text:
                raise ValueError
            return text
        if '_' in text:  # Python reads 1_000, Go does not
            raise ValueError
        return int(text) if self.kind is int else float(text)


_INT32: Final = 2**31 - 1

PARAMETERS: Final[dict[str, Parameter]] = {
    # Sampling
    'temperature': Parameter(float, 0, 2, 0.8),
    'top_k': Parameter(int, 0, 100_000, 40),
    'top_p': Parameter(float, 0, 1, 0.9),
    'min_p': Parameter(float, 0, 1, 0.0),
    'typical_p': Parameter(float, 0, 1, 1.0),
    'repeat_last_n': Parameter(int, -1, 1_048_576, 64),
    'repeat_penalty': Parameter(float, 0.01, 10, 1.1),
    'presence_penalty': Parameter(float, -2, 2, 0.0),
    'frequency_penalty': Parameter(float, -2, 2, 0.0),
    'seed': Parameter(int, -1, 2**32 - 1, -1),
    'stop': Parameter(str),
    # Length
    'num_predict': Parameter(int, -2, 1_048_576, -1),
    'num_keep': Parameter(int, -1, 1_048_576, 4),
    # Loading
    'num_ctx': Parameter(int, 64, 1_048_576, load_time=True),
    'num_batch': Parameter(int, 1, 65_536, 512, load_time=True),
    'num_gpu': Parameter(int, -1, _INT32, -1, load_time=True),
    'main_gpu': Parameter(int, 0, 255, 0, load_time=True),
    'num_thread': Parameter(int, 0, 1024, 0, load_time=True),
    'use_mmap': Parameter(bool, load_time=True),
    # Gone from Ollama, still in many Modelfiles
    'mirostat': Parameter(int, 0, 2, deprecated=True),
    'mirostat_eta': Parameter(float, 0, 10, deprecated=True),
    'mirostat_tau': Parameter(float, 0, 100, deprecated=True),
    'tfs_z': Parameter(float, 0, 10, deprecated=True),
    'penalize_newline': Parameter(bool, deprecated=True),
    'num_gqa': Parameter(int, 1, 1024, deprecated=True),
    'numa': Parameter(bool, deprecated=True, load_time=True),
    'low_vram': Parameter(bool, deprecated=True, load_time=True),
    'f16_kv': Parameter(bool, deprecated=True, load_time=True),
    'logits_all': Parameter(bool, deprecated=True, load_time=True),
    'vocab_only': Parameter(bool, deprecated=True, load_time=True),
    'use_mlock': Parameter(bool, deprecated=True, load_time=True),
}
