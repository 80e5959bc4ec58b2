"""A model host of its own for a job that may have killed the one it shared.

Who was at work in a host that died cannot know whose recording it was. Its next attempt gets a
process of its own: if it kills that one too, nobody else loses anything.
"""

import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from domain.errors import Stopped
from hosting.folder import HostFolder
from hosting.starting import start_host

ASK_S = 0.1
END_S = 5.0  # from being asked to end; its work is over by then


@contextmanager
def isolated_host(folder: HostFolder, should_stop: Callable[[], bool]) -> Iterator[str]:
    """Start a host that ends with the block; returns its place.

    One at a time on a machine: it holds a second copy of the weights. Raises Stopped while it
    waits for its turn.
    """
    place = f"alone-{os.getpid()}"
    with _turn(folder, should_stop):
        process = start_host("--alone", place)
        try:
            yield place
        finally:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            folder.socket(place).unlink(missing_ok=True)


@contextmanager
def _turn(folder: HostFolder, should_stop: Callable[[], bool]) -> Iterator[None]:
    with (folder.path / "alone.lock").open("a") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if should_stop():
                    raise Stopped from None
                time.sleep(ASK_S)
        yield
