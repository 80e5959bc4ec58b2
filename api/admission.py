"""How many requests are worked on at once."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]
PLACES = "scriptorium.places"


def limit_concurrency(app: WsgiApp, maximum: int) -> WsgiApp:
    """The application, for at most that many requests at once; the others wait in line.

    An answer that is made already and only has to be sent does not count. So event streams,
    which are sent for as long as somebody listens, take no place from uploads, although the
    server has threads for both.
    """
    places = threading.BoundedSemaphore(maximum)

    def call(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ[PLACES] = places
        with places:
            return app(environ, start_response)

    return call


@contextmanager
def outside(environ: Mapping[str, Any]) -> Iterator[None]:
    """Leave the place of this request to others while it only waits; stand in line again after."""
    places: threading.Semaphore | None = environ.get(PLACES)
    if places is None:  # the server has no such limit
        yield
        return
    places.release()
    try:
        yield
    finally:
        places.acquire()
