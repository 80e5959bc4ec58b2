"""What the keeper's thread does while Celery's parent forks, in a process of its own."""

import subprocess
import sys

import pytest

FORKS = """
import os, signal, sys, threading, time
from pathlib import Path
from types import SimpleNamespace
from hosting import starting
from hosting.folder import open_folder

folder = open_folder(Path(sys.argv[1]))
with folder.held(0):
    pass

rounds, is_over = 0, threading.Event()
def go_on(act):
    global rounds
    while not is_over.is_set():
        act()
        rounds += 1

def fork_children(act):
    '''Children that live on, forked while a thread does this again and again.'''
    threading.Thread(target=go_on, args=(act,), daemon=True).start()
    while rounds < 3:
        time.sleep(0.001)
    children = []
    for _ in range(100):
        pid = os.fork()
        if pid == 0:
            signal.pause()
        children.append(pid)
        time.sleep(0.001)
    return children
"""

LOOKS = """
children = fork_children(lambda: folder.holder(0))
is_over.set()
time.sleep(0.1)  # for the last look to end
with folder.held(0) as is_ours:
    print("held" if is_ours else "not held")
"""

STARTS = """
starting.sys = SimpleNamespace(executable="true")
children = fork_children(lambda: starting.start_host().wait())
before, ends_at = rounds, time.monotonic() + 20
while rounds == before and time.monotonic() < ends_at:
    time.sleep(0.01)
print("started" if rounds > before else "hangs")
"""

END = """
for pid in children:
    os.kill(pid, signal.SIGKILL)
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.parametrize(("program", "says"), [(LOOKS, "held"), (STARTS, "started")])
def test_a_child_that_is_forked_meanwhile_inherits_nothing(tmp_path, program, says):
    done = subprocess.run(
        [sys.executable, "-c", FORKS + program + END, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout.strip() == says
