# SPDX-License-Identifier: Apache-2.0
"""The language model gives way to speech: its words come far sooner than they can be spoken."""

from __future__ import annotations

from contextlib import suppress
import os
from pathlib import Path

NICE = 5
"""Kokoro's two threads wait for each other, so that a third one that computes on two cores costs
more than its share: a sentence takes 1.1 s alone, 1.8 s beside it, 1.5 s beside it at 5 and at 10.
At 10 the first word once took 11 s while other programs were busy."""


def give_way() -> None:
    """Lower the priority of this thread and of those that it will start.

    Linux weighs sessions before processes where a desktop has it do so (``sched(7)``, autogroup):
    then that of the session is lowered too, if it is this process's own.
    """
    os.nice(NICE)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # a kernel without autogroups
            Path('/proc/self/autogroup').write_text(str(NICE))
