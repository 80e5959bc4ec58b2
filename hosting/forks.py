"""Holds up the forks of this process while a thread has something open that no child may inherit.

The parent of the prefork children forks while another of its threads looks after the hosts. A
child that inherits a lock holds it, and one that inherits the pipe of a process that is just being
started keeps whoever starts it waiting: both for as long as the child lives.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_forking = Lock()


@contextmanager
def no_fork() -> Iterator[None]:
    """No thread of this process forks during the block, which must be short."""
    with _forking:
        yield


os.register_at_fork(
    before=_forking.acquire,
    after_in_parent=_forking.release,
    after_in_child=_forking.release,
)
