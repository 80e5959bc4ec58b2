"""Tiny processes to supervise: `python -m ...stub BEHAVIOUR NAME FOLDER`.

Each notes what happens to it in FOLDER/events, one line per event.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

BEHAVIOUR, NAME, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
JOB = "import time, sys; time.sleep(0.5); open(sys.argv[1], 'a').write('job finished\\n')"


def note(event):
    with (FOLDER / "events").open("a") as stream:
        stream.write(f"{event} {NAME}\n")


def leave(_number, _frame):
    note("stopped")
    sys.exit(0)


def leave_after_the_job(_number, _frame):
    job.wait()
    note("stopped" if job.returncode == 0 else "lost its job")
    sys.exit(0)


def leave_last(_number, _frame):
    while "stopped" not in (FOLDER / "events").read_text():
        time.sleep(0.02)
    leave(_number, _frame)


def ignore(_number, _frame):
    note("ignored")


signal.signal(signal.SIGTERM, leave)
if BEHAVIOUR == "with-job":
    job = subprocess.Popen([sys.executable, "-c", JOB, str(FOLDER / "events")])
    signal.signal(signal.SIGTERM, leave_after_the_job)
if BEHAVIOUR == "leaves-last":
    signal.signal(signal.SIGTERM, leave_last)
if BEHAVIOUR == "stubborn":
    signal.signal(signal.SIGTERM, ignore)
note("started")
# Renamed into place: who waits for the file never reads it half written.
unfinished = FOLDER / f"{NAME}.unfinished"
unfinished.write_text(str(os.getpid()))
unfinished.rename(FOLDER / f"{NAME}.pid")
sys.stdout.write(f"{NAME} is here\n")
sys.stdout.flush()
if BEHAVIOUR == "failing":
    sys.exit("the cause of it all")
while True:
    time.sleep(60)
