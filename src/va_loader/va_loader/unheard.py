# SPDX-License-Identifier: Apache-2.0
"""Which part of a reply is still to be spoken after its speaker was lost."""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(r'[.!?…]+[)\]"\'”’*_`]*(?=\s)|[。！？]|\n')


def split_unheard(text: str, heard: str) -> tuple[str, str]:
    """Split a reply at the beginning of the sentence that was not heard to its end.

    Args:
        text: the reply as far as it is known.
        heard: what was heard of it: its beginning, with spaces of its own.

    Returns:
        What need not be said again, and the rest.
    """
    end = _end_of(text, heard)
    if not text[end:].strip():
        return text, ''
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if match.end() > end:
            break
        start = match.end()
    return text[:start], text[start:]


def _end_of(text: str, heard: str) -> int:
    """Index in ``text`` after as many letters, without spaces, as were heard."""
    left = sum(not letter.isspace() for letter in heard)
    for index, letter in enumerate(text):
        if not left:
            return index
        left -= not letter.isspace()
    return len(text)
