"""Looks at the database for everybody who listens, and hands out what is new.

One thread for each web process, however many listen, and only while somebody does.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol
from uuid import UUID

from domain.errors import DatabaseUnavailable, TooManyStreams
from services.client_stream import ClientStream, read_page
from services.context import Services
from services.event_feed import Wanted, read_news, snapshot
from services.job_stream import JobStream
from services.queue_positions import QueuePositions
from services.stream_event import StreamEvent

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5  # a person does not see a shorter delay
PING_EVERY_S = 15.0  # proxies cut what is silent for long
MAX_WAITING = 128  # events; whoever leaves that many unread does not read any more
CUT_AFTER_S = 1.0  # what a reader has for the last bytes when the server stops

Stream = JobStream | ClientStream


class Connection(Protocol):
    """The connection that a stream is sent over."""

    def is_gone(self) -> bool:
        """Whether the reader has closed it."""

    def cut(self) -> None:
        """End it, also while something is written to it."""


class NoConnection:
    """For streams that are not sent anywhere."""

    def is_gone(self) -> bool:
        """Never."""
        return False

    def cut(self) -> None:
        """Nothing to end."""


NO_CONNECTION = NoConnection()


class Listener:
    """The place where the hub leaves the events of one stream."""

    def __init__(self, connection: Connection) -> None:
        self.stream: Stream | None = None  # None: not yet in the hub's care
        self._connection = connection
        self._events: list[StreamEvent] = []
        self._changed = threading.Condition()
        self._is_over = False
        self._is_released = False

    def put(self, make_events: Callable[[], Sequence[StreamEvent]]) -> None:
        """Leave events, or cut off a reader that does not read: it can come back for them.

        They are made under the lock, so that the stream's mark never runs ahead of them.
        """
        with self._changed:
            if self._is_over or self._is_released:
                return
            if len(self._events) >= MAX_WAITING:
                self._is_over = True
                self._connection.cut()
            else:
                self._events.extend(make_events())
            self._changed.notify()

    def end(self) -> None:
        """Let the stream end after the events that are here already."""
        with self._changed:
            self._is_over = True
            self._changed.notify()

    def wait(self, timeout_s: float) -> tuple[list[StreamEvent], bool]:
        """The next events, or a sign of life after the timeout; and whether they are the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._is_over, timeout_s)
            events, self._events = self._events, []
            if not events and not self._is_over and self.stream is not None:
                events = [StreamEvent(id=self.stream.mark, comment="ping")]
            return events, self._is_over

    def release(self) -> None:
        """From now on the connection may be used for something else."""
        with self._changed:
            self._is_released = True

    def cut(self) -> None:
        """End the connection of a stream that is still there."""
        with self._changed:
            if not self._is_released:
                self._connection.cut()

    def end_if_gone(self) -> None:
        """Give the thread back at once when the reader has left, not at the next sign of life."""
        with self._changed:
            if not self._is_released and self._connection.is_gone():
                self._is_over = True
                self._changed.notify()


class EventHub:
    """The listeners of this process, and the thread that looks for them."""

    def __init__(self, services: Services) -> None:
        self.positions = QueuePositions()
        self._services = services
        self._listeners: set[Listener] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._is_blind = False

    @property
    def count(self) -> int:
        """How many streams there are."""
        return len(self._listeners)

    @property
    def is_closing(self) -> bool:
        """Whether the server was told to stop."""
        return self._closing.is_set()

    def reserve(self, connection: Connection = NO_CONNECTION) -> Listener:
        """A place for a stream over this connection. Raises TooManyStreams."""
        maximum = self._services.settings.max_event_streams
        with self._lock:
            if len(self._listeners) >= maximum:
                raise TooManyStreams(
                    f"this process serves {maximum} event streams already", maximum=maximum
                )
            listener = Listener(connection)
            self._listeners.add(listener)
        return listener

    def release(self, listener: Listener) -> None:
        """Give the place back."""
        listener.release()
        with self._lock:
            self._listeners.discard(listener)

    def follow(self, listener: Listener, stream: Stream) -> Iterator[StreamEvent]:
        """What happens from now on, and signs of life, until the stream or the server ends."""
        if stream.is_over:
            return
        self._attach(listener, stream)
        is_over = False
        while not is_over:
            events, is_over = listener.wait(PING_EVERY_S)
            yield from events

    def close(self) -> None:
        """End every stream, now and from now on. May be called by a signal handler."""
        self._closing.set()
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener.end()
        if listeners:
            timer = threading.Timer(CUT_AFTER_S, self._cut_all)
            timer.daemon = True
            timer.start()

    def _attach(self, listener: Listener, stream: Stream) -> None:
        with self._lock:
            listener.stream = stream
            if self._closing.is_set():
                listener.end()
            elif self._thread is None:
                self._thread = threading.Thread(target=self._run, name="event-hub", daemon=True)
                self._thread.start()

    def _cut_all(self) -> None:
        """A reader that does not read would keep its thread in a write."""
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener.cut()

    def _run(self) -> None:
        while listeners := self._attached():
            for listener in listeners:
                listener.end_if_gone()
            try:
                self._look(listeners)
            except DatabaseUnavailable:
                self._say_blind(listeners)
            except Exception:  # readers come back and go on where they were
                logger.exception("event_look_crashed")
                for listener in listeners:
                    listener.end()
                    listener.stream = None
            self._closing.wait(LOOK_EVERY_S)

    def _attached(self) -> Sequence[Listener]:
        with self._lock:
            found = tuple(each for each in self._listeners if each.stream is not None)
            if self._closing.is_set() or not found:
                self._thread = None
                return ()
            return found

    def _look(self, listeners: Sequence[Listener]) -> None:
        jobs = [(each, each.stream) for each in listeners if isinstance(each.stream, JobStream)]
        clients = [
            (each, each.stream) for each in listeners if isinstance(each.stream, ClientStream)
        ]
        with snapshot(self._services) as session:
            if jobs:
                news = read_news(session, merge([stream.wanted for _, stream in jobs]))
                waiting = [job_id for job_id, found in news.items() if found.is_in_line]
                places = self.positions.read(session, waiting)
            if clients:
                after = min(stream.position for _, stream in clients)
                page = read_page(session, {stream.client for _, stream in clients}, after)
        self._is_blind = False
        for listener, job in jobs:
            listener.put(partial(job.take, news.get(job.job_id), places))
            if job.is_over:
                listener.end()
                listener.stream = None
        for listener, client in clients:
            listener.put(partial(client.take, page))

    def _say_blind(self, listeners: Sequence[Listener]) -> None:
        if self._is_blind:
            return
        self._is_blind = True
        logger.warning("event_streams_wait_for_database")
        for listener in listeners:
            listener.put(lambda: [StreamEvent(comment="the database does not answer, waiting")])


def merge(wanted: Sequence[Wanted]) -> list[Wanted]:
    """One wish for each job, which covers all that listen to it."""
    merged: dict[UUID, Wanted] = {}
    for want in wanted:
        least = merged.get(want.job_id, want)
        merged[want.job_id] = Wanted(
            want.job_id,
            min(want.event_id, least.event_id),
            min(want.window, least.window),
            min(want.segments, least.segments),
        )
    return list(merged.values())
