# SPDX-License-Identifier: Apache-2.0
"""The families of figures by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hearing import barge_in, echo, talkover, turns, underruns, wake, words
from hearing.chain import Engines
from hearing.sounds import Sounds

Family = Callable[[Engines, Sounds, bool], dict[str, Any]]

FAMILIES: dict[str, Family] = {
    'echo': echo.measure,
    'turns': turns.measure,
    'one_breath': words.one_breath,
    'words': words.error_rates,
    'wake': wake.recall,
    'self_wakes': wake.self_wakes,
    'invented': words.invented,
    'false_wakes': wake.false_wakes,
    'barge_in': barge_in.measure,
    'underruns': underruns.measure,
    'talkover': talkover.measure,
}
"""Each takes the models, the sounds and whether to be quick, and returns figures."""
