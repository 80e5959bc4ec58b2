"""Starts a process of a model host."""

import subprocess
import sys
from pathlib import Path

from config import model_host_environment
from hosting.forks import no_fork

PROGRAM = Path(__file__).resolve().parent.parent / "worker.py"


def start_host(*options: str) -> "subprocess.Popen[bytes]":
    """Run `worker.py model-host` with these options; it says what it does where we do.

    In a session of its own: a terminal's Ctrl-C is not for it, and the host of a device serves
    the children of other workers, too, and outlives this one.
    """
    with no_fork():
        return subprocess.Popen(
            [sys.executable, str(PROGRAM), "model-host", *options],
            env=model_host_environment(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
