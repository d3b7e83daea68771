# SPDX-License-Identifier: Apache-2.0
"""Is there a microphone and a speaker? Exit code 0: both; 1: says which is missing."""

from __future__ import annotations

import sys


def missing() -> list[str]:
    """Return which default devices PortAudio does not find."""
    try:
        import sounddevice
    except OSError as error:
        return [f'PortAudio ({error})']
    lacking = []
    for kind, name in (('input', 'microphone'), ('output', 'speaker')):
        try:
            sounddevice.query_devices(kind=kind)
        except (sounddevice.PortAudioError, ValueError):
            lacking.append(name)
    return lacking


def main() -> int:
    """Say what is missing."""
    lacking = missing()
    if lacking:
        print(f'va: no {" and no ".join(lacking)} found on this machine', flush=True)
    return 1 if lacking else 0


if __name__ == '__main__':
    sys.exit(main())
