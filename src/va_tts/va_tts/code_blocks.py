# SPDX-License-Identifier: Apache-2.0
"""Finds fenced code in text that streams in; it is announced in a few words and not read out."""

from __future__ import annotations

import re

CODE_WORDS = {
    'en': 'Here is some code.', 'es': 'Aquí hay código.', 'fr': 'Voici du code.',
    'it': 'Ecco del codice.', 'pt': 'Aqui está o código.',
}
"""Said once for each block, by the language of the voice; English for the others."""

_OPENING = re.compile(
    r'(?:^|(?<=[\s:]))(?P<fence>`{3,}|~{3,})'
    r'(?:[\w+#.{-][^`\n]{0,100}|[ \t]{0,9}[\w+#.-]{0,20}[ \t]{0,9})\n', re.MULTILINE)


def code_words(language: str) -> str:
    """What is said for a block; ``language``: two letters."""
    return CODE_WORDS.get(language, CODE_WORDS['en'])


def find_opening(text: str) -> re.Match[str] | None:
    """The first line that opens a block, or the end of a line that does, with its line end."""
    return _OPENING.search(text)


def is_empty(inside: str, fence: str, final: bool) -> bool | None:
    """Whether there is no code between the fences; None: what follows decides.

    Args:
        inside: what follows the opening line; final: no text will follow.
    """
    inside = inside.lstrip()
    if fence.startswith(inside) and inside != fence:
        return not inside if final else None
    return inside.startswith(fence)


def find_end(inside: str, fence: str, final: bool) -> int | None:
    """Where a block ends, its closing fence included; None: not decided yet.

    Fences are closed also in the middle of a line: so no mistake of a model swallows what follows.

    Args:
        inside: begins after the opening line; final: no text will follow, it ends at the latest.
    """
    start = inside.find(fence)
    if start < 0:
        return len(inside) if final else None
    end = start + len(inside[start:]) - len(inside[start:].lstrip(fence[0]))
    return end if final or end < len(inside) else None
