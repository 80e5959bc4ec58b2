"""How slowly a client may send: threads are few, and one that waits for a sender serves nobody."""

import errno
import socket
import time
from collections.abc import Callable
from typing import Any


class PacedSocket:
    """A connection that ends when its client sends too slowly; otherwise the socket itself.

    What counts is the time that a reader spent waiting for bytes of the current request, headers
    and body alike: never more than `grace_s` at a time, and in all no more than that and a second
    for every `min_bytes_per_s` that came. Time in which nobody wanted to read costs nothing.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        grace_s: float,
        min_bytes_per_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._socket = connection
        self._grace_s = grace_s
        self._min_bytes_per_s = min_bytes_per_s
        self._clock = clock
        self._waited_s = 0.0
        self._received = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def begin(self) -> None:
        """Start counting anew, for the next request of the connection."""
        self._waited_s, self._received = 0.0, 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        """The next bytes. Raises ConnectionResetError when the client is too slow."""
        earned_s = self._received / self._min_bytes_per_s
        left_s = min(self._grace_s, self._grace_s + earned_s - self._waited_s)
        prior_s = self._socket.gettimeout()
        if left_s <= 0:
            raise too_slow()
        began_at = self._clock()
        self._socket.settimeout(left_s if prior_s is None else min(left_s, prior_s))
        try:
            data = self._socket.recv(size, flags)
        except TimeoutError as error:
            if prior_s is not None and prior_s < left_s:
                raise  # whoever set that timeout asked for it
            raise too_slow() from error
        finally:
            self._socket.settimeout(prior_s)
            self._waited_s += self._clock() - began_at
        self._received += len(data)
        return data


def too_slow() -> ConnectionResetError:
    """As if the client had gone: nobody would read an answer to half a request."""
    return ConnectionResetError(errno.ECONNRESET, "the client sends too slowly")
