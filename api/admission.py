"""How many requests are worked on at once."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


def limit_concurrency(app: WsgiApp, maximum: int) -> WsgiApp:
    """The application, for at most that many requests at once; the others wait in line.

    An answer that is made already and only has to be sent does not count. So event streams,
    which are sent for as long as somebody listens, take no place from uploads, although the
    server has threads for both.
    """
    places = threading.BoundedSemaphore(maximum)

    def call(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with places:
            return app(environ, start_response)

    return call
