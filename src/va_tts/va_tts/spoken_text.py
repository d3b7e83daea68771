# SPDX-License-Identifier: Apache-2.0
"""What is said for what is written: markdown, lists, links, emoji, abbreviations, money."""

from __future__ import annotations

import re

from va_tts.spoken_numbers import in_words

_RULE_MARKS = frozenset('-*_=|: \t')
_IMAGE_OR_LINK = re.compile(r'!?\[([^\]\[]{0,300})\]\([^)(\s]{0,500}(?:\s+"[^"]{0,200}")?\)')
_FOOTNOTE = re.compile(r'\[\^[^\]\s]{1,30}\]:?')
_LINK_BY_NAME = re.compile(r'!?\[([^\]\[]{1,300})\]\[[^\]\[]{0,100}\]')
_LINK_TARGET = re.compile(
    r'^[ \t]*\[[^\]\[]{1,100}\]:[ \t]*(?:https?://|www\.|/)\S{1,500}.{0,200}$', re.MULTILINE)
_URL = re.compile(r'\b(?:https?://|www\.)([^\s/?#)>]+)[^\s)>]*')
_HEADING_OR_QUOTE = re.compile(r'^[ \t]*(?:#{1,6}[ \t]+|(?:>[ \t]?)+)', re.MULTILINE)
_BULLET = re.compile(r'^[ \t]*[-*+•‣◦][ \t]+(?:\[[ xX]\][ \t]+)?', re.MULTILINE)
_NUMBERED = re.compile(r'^[ \t]*(\d{1,3})[.)][ \t]+', re.MULTILINE)
_TABLE_BAR = re.compile(r'^[ \t]*\||\|[ \t]*$', re.MULTILINE)
_STRONG = re.compile(r'\*\*|__|~~|`+')
_STAR = re.compile(r'(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)|^\*|\*$')
_UNDERSCORE = re.compile(r'(?<![A-Za-z0-9])_(?=\S)|(?<=\S)_(?![A-Za-z0-9])')
_MAIL = re.compile(r'\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}\b')
_TAG = re.compile(r'</?[a-zA-Z][^<>]{0,80}>')
_SMILEY = re.compile(r'(?<!\S)[:;=]-?[)(DPpoO/|](?!\w)')
_EMOJI = re.compile(
    '[\U0001F000-\U0001FAFF☀-➿⬀-⯿⌀-⏿←-⇿'
    '\uFE0E\uFE0F\u200D\u20E3\U000E0020-\U000E007F©®™]')
_SYMBOLS = (
    ('&', ' and '), ('°C', ' degrees Celsius'), ('°F', ' degrees Fahrenheit'),
    ('°', ' degrees'), ('≈', ' about '), ('≤', ' at most '), ('≥', ' at least '),
    ('×', ' times '), ('÷', ' divided by '), ('±', ' plus or minus '),
)
_ABBREVIATIONS = tuple(
    (re.compile(pattern), words) for pattern, words in (
        (r'\bDr\.(?=\s)', 'Doctor'), (r'\bMr\.(?=\s)', 'Mister'), (r'\bMrs\.(?=\s)', 'Missus'),
        (r'\bMs\.(?=\s)', 'Miz'), (r'\bProf\.(?=\s)', 'Professor'),
        (r'\bSt\.(?=\s+[A-Z])', 'Saint'), (r'\b[Vv]s\.', 'versus'),
        (r'\be\.g\.,?', 'for example,'), (r'\bi\.e\.,?', 'that is,'),
        (r'\betc\.(?=\s+[a-z]|\s*[,;)])', 'et cetera'), (r'\betc\.', 'et cetera.'),
        (r'\bapprox\.', 'approximately'), (r'\bNo\.(?=\s?\d)', 'number'),
        (r'\ba\.m\.(?=\s+[a-z]|[,;)])', 'AM'), (r'\bp\.m\.(?=\s+[a-z]|[,;)])', 'PM'),
        (r'\ba\.m\.', 'AM.'), (r'\bp\.m\.', 'PM.'), (r'\bMt\.(?=\s+[A-Z])', 'Mount'),
    ))
_INITIALS = re.compile(r'\b(?:[A-Z]\.){1,4}(?=\s+\w)')
_HAS_WORD = re.compile(r'[^\W_]')
_SENTENCE_MARKS = '.!?…:;,。！？'


def spoken(text: str, language: str = 'en') -> str:
    """Turn written text into the words to say; empty when there is nothing to say.

    Args:
        text: one piece; markdown is allowed, also a half of it, as ``**bold`` in a piece.
        language: two letters; abbreviations, money and units are only put in words in English.
    """
    text = _without_markdown(text)
    text = _SMILEY.sub('', _EMOJI.sub('', text))
    if language == 'en':
        text = _in_english(text)
    text = _joined_lines(text)
    return text if _HAS_WORD.search(text) else ''


def _without_markdown(text: str) -> str:
    text = '\n'.join(line for line in text.splitlines() if not _is_drawing(line.strip()))
    text = _FOOTNOTE.sub('', _LINK_TARGET.sub('', text))
    text = _LINK_BY_NAME.sub(r'\1', _IMAGE_OR_LINK.sub(r'\1', text))
    text = _URL.sub(_say_host, text)
    text = _MAIL.sub(_say_mail, text)
    text = _TAG.sub('', text)
    text = _HEADING_OR_QUOTE.sub('', text)
    text = _STRONG.sub('', _BULLET.sub('', text))
    text = _NUMBERED.sub(r'\1: ', text)
    text = _TABLE_BAR.sub('', text).replace('|', ',')
    text = _UNDERSCORE.sub('', _STAR.sub('', text))
    return text.replace('_', ' ')


def _is_drawing(line: str) -> bool:
    """Whether a line says nothing: a ruler, the line below a table's head, a code fence."""
    is_ruler = len(line) >= 3 and _RULE_MARKS.issuperset(line)
    return is_ruler or line.startswith(('```', '~~~'))


def _say_host(match: re.Match[str]) -> str:
    host = match[1].removeprefix('www.')
    name = host.rstrip('.,;:!?')
    ending = host[len(name):] or match[0][len(match[0].rstrip('.,;:!?')):]
    return name.replace('.', ' dot ') + ending


def _say_mail(match: re.Match[str]) -> str:
    return match[0].replace('@', ' at ').replace('.', ' dot ')


def _in_english(text: str) -> str:
    text = in_words(text)
    for symbol, words in _SYMBOLS:
        text = text.replace(symbol, words)
    text = _INITIALS.sub(lambda match: match[0].replace('.', ' ').rstrip(), text)
    for pattern, words in _ABBREVIATIONS:
        text = pattern.sub(words, text)
    return text


def _joined_lines(text: str) -> str:
    """One line; lines that do not end in a mark get a full stop, so that the voice rests there."""
    lines = [' '.join(line.split()) for line in text.splitlines()]
    lines = [line for line in lines if _HAS_WORD.search(line)]
    ended = [line if line[-1] in _SENTENCE_MARKS else f'{line}.' for line in lines[:-1]]
    return re.sub(r'\s+([,.;:!?])', r'\1', ' '.join([*ended, *lines[-1:]]))
