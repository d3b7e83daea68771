# SPDX-License-Identifier: Apache-2.0
"""Runs a command in a network namespace that has nothing but loopback: exit code 125 where not
permitted.

usage: python loopback_only.py COMMAND [ARGUMENT...]
"""
import ctypes
import fcntl
import os
from pathlib import Path
import socket
import struct
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
NOT_PERMITTED = 125


def enter() -> None:
    """Leave the network of this host; raises OSError where that is not permitted."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    own_user = user != 0
    if libc.unshare(CLONE_NEWNET | (CLONE_NEWUSER if own_user else 0)) != 0:
        raise OSError(ctypes.get_errno(), 'unshare')
    if own_user:
        Path('/proc/self/setgroups').write_text('deny')
        Path('/proc/self/uid_map').write_text(f'{user} {user} 1')
        Path('/proc/self/gid_map').write_text(f'{group} {group} 1')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack('16sh', b'lo', IFF_UP))


def main() -> int:
    try:
        enter()
    except OSError as error:
        print(f'no network namespace here: {error}', file=sys.stderr)
        return NOT_PERMITTED
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == '__main__':
    sys.exit(main())
