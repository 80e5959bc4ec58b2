"""Server-sent events: what the lines of a stream look like, and the answer that holds them.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime

from flask import Response, request

from api.current import current_principal, current_services
from domain.access import Principal
from services.context import Services
from services.event_hub import NO_CONNECTION, Connection
from services.key_ring import is_still_good
from services.stream_event import StreamEvent

MEDIA_TYPE = "text/event-stream"
RECONNECT_MS = 2_000
HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would collect the events
}
GONE_AFTER_MS = 30_000
ASK_ABOUT_KEY_S = 15.0  # as often as something is sent in any case


def format_event(event: StreamEvent) -> bytes:
    """One block. A block without data tells nobody anything, but its id counts."""
    lines = []
    if event.comment:
        lines.append(f": {event.comment}")
    if event.name:
        lines.append(f"event: {event.name}")
        lines.append(f"data: {json.dumps(event.data, ensure_ascii=False, default=_plain)}")
    if event.id:
        lines.append(f"id: {event.id}")
    return "\n".join([*lines, "", ""]).encode()


def stream_response(events: Iterable[StreamEvent], *, on_close: Callable[[], None]) -> Response:
    """The answer that goes on while there are events and the key of the request is good."""
    told = while_key_is_good(current_services(), current_principal(), events)
    response = Response(_blocks(told), mimetype=MEDIA_TYPE, headers=HEADERS)
    response.call_on_close(on_close)
    return response


def while_key_is_good(
    services: Services, principal: Principal, events: Iterable[StreamEvent]
) -> Iterator[StreamEvent]:
    """The events, up to about 15 s after the key that asked for them was revoked or has expired.

    A stream may go on for days: a key that was stolen would else tell for as long.
    """
    asked_at = time.monotonic()
    for event in events:
        if principal.key_id is not None and time.monotonic() - asked_at >= ASK_ABOUT_KEY_S:
            if not is_still_good(services, principal.key_id):
                return
            asked_at = time.monotonic()
        yield event


def last_event_id(given: str | None) -> str:
    """Where the reader was: by the header, which a browser sets when it comes back."""
    return request.headers.get("Last-Event-ID", "").strip() or given or ""


class SocketConnection:
    """A connection of gunicorn's, to be looked after from another thread.

    The kernel ends it when the reader is gone without a word, or takes nothing for long.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._poll = select.poll()
        self._poll.register(connection, select.POLLRDHUP)
        with suppress(OSError):  # not a TCP connection
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_AFTER_MS)

    def is_gone(self) -> bool:
        """Whether the reader has closed it."""
        return bool(self._poll.poll(0))

    def cut(self) -> None:
        """End it, also while something is written to it."""
        with suppress(OSError):  # it has ended by itself
            self._socket.shutdown(socket.SHUT_RDWR)


def current_connection() -> Connection:
    """The connection of this request, where the server lets us have it."""
    given = request.environ.get("gunicorn.socket")
    return NO_CONNECTION if given is None else SocketConnection(given)


def _blocks(events: Iterable[StreamEvent]) -> Iterator[bytes]:
    yield f"retry: {RECONNECT_MS}\n\n".encode()
    for event in events:
        yield format_event(event)


def _plain(value: datetime) -> str:
    return value.isoformat()
