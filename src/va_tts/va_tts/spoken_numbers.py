# SPDX-License-Identifier: Apache-2.0
"""English words for what is written in digits: money, times of day, ranges, sums, units, years.

What is left out here espeak-ng reads by itself: ``3.14``, ``1,299``, ``50%``, ``1st``.
"""

from __future__ import annotations

import re

_MONEY = re.compile(
    r'(?:\bUS)?([$£€])\s?(?=\.?\d)(\d[\d,]*)?(?:\.(\d{1,2})(?!\d))?'
    r'(\s+(?:thousand|million|billion|trillion)\b|[kKMB]\b)?')
_SCALES = {'k': ' thousand', 'K': ' thousand', 'M': ' million', 'B': ' billion'}
_COINS = {'$': ('dollar', 'cent'), '£': ('pound', 'penny'), '€': ('euro', 'cent')}
_TIME = re.compile(r'(?<![\d:.])([01]?\d|2[0-4]):([0-5]\d)(?![\d:])(?=(\s?[ap]\.?m\b)?)', re.I)
_HALF_OF_DAY = re.compile(r'(?<=\d)\s?([ap]m)\b', re.I)
_RANGE = re.compile(r'(?<![\d/-])(\d{1,2}|\d{4})[-–]([1-9]\d?|[1-9]\d{3})(?![\d-]|\s*=)')
_YEAR = re.compile(r'(?<![\d.,$£€:/-])(1[1-9])([1-9]\d)(?![\d:/%°-]|[.,]\d)')
_UNITS = {
    'km/h': 'kilometers per hour', 'mph': 'miles per hour', 'm/s': 'meters per second',
    'km': 'kilometers', 'cm': 'centimeters', 'mm': 'millimeters', 'kg': 'kilograms',
    'GB': 'gigabytes', 'MB': 'megabytes', 'kWh': 'kilowatt hours', 'Hz': 'hertz',
    'kHz': 'kilohertz', 'ml': 'milliliters',
}
_UNIT = re.compile(
    r'(?<=\d)\s?(' + '|'.join(sorted(map(re.escape, _UNITS), key=len, reverse=True)) + r')\b')
_SIGNS = tuple((re.compile(pattern), words) for pattern, words in (
    (r'(?<=[\d)])\s?\*\s?(?=[\d(])', ' times '), (r'(?<=[\d)]) / (?=[\d(])', ' divided by '),
    (r'(?<=[\d)]) [-−–] (?=[\d(])', ' minus '), (r'(?<![\w)-])[-−](?=\d)', 'minus '),
    (r'(?<=\w) < (?=\w)', ' is less than '), (r'(?<=\w) > (?=\w)', ' is greater than '),
    (r'(?<=[\w)])(?:\^2(?!\d)|²)', ' squared'), (r'(?<=[\w)])(?:\^3(?!\d)|³)', ' cubed'),
    (r'(?<=[\w)])\^(?=\d)', ' to the power of '), (r'#(?=\d)', 'number '),
    (r'~(?=\d)', 'about '), (r'(?<![\d/])1/2(?![\d/])', 'one half'),
    (r'(?<![\d/])1/4(?![\d/])', 'one quarter'), (r'(?<![\d/])3/4(?![\d/])', 'three quarters'),
    (r'(?<![\d/])1/3(?![\d/])', 'one third'), (r'(?<![\d/])2/3(?![\d/])', 'two thirds'),
))


def in_words(text: str) -> str:
    """Put signs and digits in words where espeak-ng would spell, drop or misread them."""
    text = _RANGE.sub(_say_range, text)
    text = _TIME.sub(_say_time, _MONEY.sub(_say_money, text))
    text = _HALF_OF_DAY.sub(lambda match: f' {match[1].upper()}', text)
    for pattern, words in _SIGNS:
        text = pattern.sub(words, text)
    text = _UNIT.sub(lambda match: ' ' + _UNITS[match[1]], text)
    return _YEAR.sub(r'\1 \2', text)


def _say_range(match: re.Match[str]) -> str:
    first, last = match.groups()
    return match[0] if first == last else f'{first} to {last}'


def _say_money(match: re.Match[str]) -> str:
    coin, small = _COINS[match[1]]
    amount, fraction, scale = (match[2] or '0').rstrip(','), match[3], match[4]
    tail = ',' if (match[2] or '').endswith(',') else ''
    if scale:
        point = f'.{fraction}' if fraction else ''
        return f'{amount}{point}{_SCALES.get(scale, scale)} {coin}s{tail}'
    words = [f'{amount} {coin}{"" if amount == "1" else "s"}']
    cents = int((fraction or '0').ljust(2, '0'))
    if cents and amount == '0':
        words.clear()
    if cents:
        many = 'pence' if small == 'penny' else f'{small}s'
        words.append(f'{cents} {small if cents == 1 else many}')
    return ' and '.join(words) + tail


def _say_time(match: re.Match[str]) -> str:
    hour, minute = str(int(match[1])), match[2]
    if minute == '00':
        return hour if match[3] else f"{hour} o'clock"
    return f'{hour} oh {minute[1]}' if minute[0] == '0' else f'{hour} {minute}'
