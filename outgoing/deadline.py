"""A point in time after which an exchange is over, whatever the other side does."""

import socket
import threading
from contextlib import suppress
from time import monotonic
from typing import Self

from outgoing.errors import OutgoingFailed

SHORTEST_S = 0.001  # with a timeout of 0 a socket would not wait at all


class Deadline:
    """Counts down from `total_s`, and can cut the connection when it is over.

    A timeout of a socket starts anew with each byte, so a server that drips would never meet
    it; and the lines of an answer's head are read by a library that asks for no time.
    """

    def __init__(self, total_s: float) -> None:
        self._end = monotonic() + total_s
        self._timer: threading.Timer | None = None
        self._has_cut = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.disarm()

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self._has_cut or monotonic() >= self._end

    def left_s(self, at_most_s: float) -> float:
        """Seconds left, but not more than so many. Raises OutgoingFailed when there are none."""
        if self.is_over:
            raise over()
        return min(max(SHORTEST_S, self._end - monotonic()), at_most_s)

    def arm(self, connected: socket.socket) -> None:
        """Shut this connection when the time is up. Raises OutgoingFailed if it is already."""
        self.disarm()
        self._timer = threading.Timer(self.left_s(threading.TIMEOUT_MAX), self._cut, (connected,))
        self._timer.daemon = True
        self._timer.start()

    def disarm(self) -> None:
        """Leave the connection alone."""
        if self._timer is not None:
            self._timer.cancel()

    def _cut(self, connected: socket.socket) -> None:
        self._has_cut = True
        with suppress(OSError):  # closed meanwhile
            # Not the method of an SSL socket, which would take its TLS away from a reader at work.
            socket.socket.shutdown(connected, socket.SHUT_RDWR)


def over() -> OutgoingFailed:
    """What happened when the time is up."""
    return OutgoingFailed("deadline", "the other server took too long in all")
