# SPDX-License-Identifier: Apache-2.0
"""Lets the audio thread run before the threads that compute, where the system allows it."""

from __future__ import annotations

import os
import threading

REALTIME_PRIORITY = 10
NICE = -11


def raise_priority() -> str:
    """Raise the calling thread's priority as far as the process may.

    Allowed to root, or by ``LimitRTPRIO=`` of systemd, or rtprio in limits.conf.

    Returns:
        ``realtime``, ``raised`` or ``normal``.
    """
    try:
        # A process that is started from this thread must not inherit it.
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(REALTIME_PRIORITY))
        return 'realtime'
    except (OSError, AttributeError):
        pass  # not allowed, or not Linux: the next best
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        return 'raised'
    except OSError:
        return 'normal'
