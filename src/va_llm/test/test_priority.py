# SPDX-License-Identifier: Apache-2.0
"""The priority of the process, as the system tells it."""
import os
import subprocess
import sys

from va_llm.priority import NICE

SHOW = """
import os, threading
from va_llm import main

def run_node(node):
    thread = threading.Thread(target=lambda: print(os.getpriority(os.PRIO_PROCESS, 0)))
    thread.start()
    thread.join()

main.run_node = run_node
main.main()
"""


def test_all_threads_of_the_node_give_way():
    done = subprocess.run([sys.executable, '-c', SHOW], capture_output=True, text=True,
                          start_new_session=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICE)
