"""How a worker that is about to stop tells its prefork children."""

import mmap


class DrainFlag:
    """One byte of memory that the worker's parent shares with its forked children.

    The parent raises it on SIGTERM; the children see it between windows and hand their jobs
    back. Celery's own shutdown only waits, for as long as the longest job takes.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)  # anonymous and shared: inherited over fork

    def raise_flag(self) -> None:
        """Ask every child to stop after its current window. Safe in a signal handler."""
        self._memory[0] = 1

    def is_raised(self) -> bool:
        """Whether the worker is about to stop."""
        return self._memory[0] == 1


DRAIN = DrainFlag()  # at import, so that it exists before the first fork
