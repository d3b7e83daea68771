# SPDX-License-Identifier: Apache-2.0
"""What can go wrong in set-up, said in one line."""

from __future__ import annotations

import re


class SetupError(Exception):
    """A mistake or a lack that a person can mend.

    The text names the thing, the value found, what was expected and what to do.
    """

    def __init__(self, thing: str, value: str, expected: str, todo: str) -> None:
        super().__init__(f'{thing}: {value}; expected {expected}. {todo}')
        self.thing = thing


class SaidAlready(Exception):
    """A command that set-up ran has failed, and has said itself what and why."""


AGAIN = 'then run ./va setup again: it goes on where it stopped.'

NO_NETWORK = re.compile(
    r'dns error|name resolution|failed to lookup address|NewConnectionError|ConnectTimeout|'
    r'Network is unreachable|Could not resolve|Temporary failure resolving|'
    r'error trying to connect|Connection (refused|reset|timed out)|error sending request|'
    r'operation timed out|Read timed out|ProxyError|'
    r'\b(ENOTFOUND|EAI_AGAIN|ENETUNREACH|ECONNREFUSED|ETIMEDOUT)\b')
NO_SPACE = re.compile(r'No space left on device|os error 28|ENOSPC', re.IGNORECASE)
BAD_HASH = re.compile(r'hash mismatch|DO NOT MATCH THE HASHES', re.IGNORECASE)


def last_words(output: str) -> str:
    """Return the line of a failed command's output that says most: its error, else its last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r'(error|fatal|E)\b', line, re.IGNORECASE)]
    return (telling or lines or ['no output'])[-1][:300]


def explain(what: str, output: str, log: str, *, online: bool = True) -> SetupError:
    """Turn the output of a failed command into the one line that a person needs.

    Args:
        what: what was being done.
        output: what the command said.
        log: where all of it can be read.
        online: whether the command needs a network at all.
    """
    if NO_SPACE.search(output):
        return SetupError('disk', f'full while {what}', 'room for it', f'Free some space, {AGAIN}')
    if online and NO_NETWORK.search(output):
        return SetupError(
            'network', f'no connection while {what}', 'a network during set-up',
            f'Connect (behind a proxy or a mirror: set HTTPS_PROXY or PIP_INDEX_URL), {AGAIN}')
    if BAD_HASH.search(output):
        return SetupError(
            'package', f'a hash does not match while {what} ({log})', 'the file that was locked',
            'Do not use this mirror; if there is none, report it.')
    return SetupError(what, last_words(output), 'it to succeed', f'Read {log}, {AGAIN}')
