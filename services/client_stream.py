"""All transitions of one client's jobs as a stream, to be gone on with from any of them.

Lines of different jobs are written by transactions that run at the same time, so a line may
become visible after one with a higher id. Whoever went by the ids alone would skip it. Here
the order is that of the transactions, and nothing is read of those that are not older than
every running one: up to that horizon, what is visible is all that there will ever be. The
price: a transaction that writes for long, anywhere on the server, holds the stream up.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import BigInteger, Row, Text, cast, func, select, tuple_
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from domain.access import DEFAULT_TENANT
from models import JobEvent, TranscriptionJob
from services.context import Services
from services.event_feed import snapshot
from services.histories import shown_detail
from services.job_stream import id_invalid
from services.stream_event import StreamEvent

PAGE_LINES = 2_000  # of all clients: what one look may cost


@dataclass(frozen=True, order=True)
class Position:
    """A place in the history of everything: after this line of this transaction."""

    tx: int
    id: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Undo `str`. Raises OptionInvalid."""
        found = re.fullmatch(r"([0-9]{1,18})-([0-9]{1,18})", text)
        if found is None:
            raise id_invalid(text)
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.tx}-{self.id}"


@dataclass(frozen=True)
class Page:
    """Lines of some clients after a position, and the position to go on from."""

    lines: Sequence[Row[Any]]
    end: Position
    is_last: bool


class ClientStream:
    """Turns lines of the history into events of one client, each once, from a position on."""

    is_over = False

    def __init__(self, client: str, position: Position, *, tenant: str = DEFAULT_TENANT) -> None:
        self.client = client
        self.tenant = tenant
        self.position = position

    @property
    def mark(self) -> str:
        """The id that a reader goes on from."""
        return str(self.position)

    def take(self, page: Page) -> list[StreamEvent]:
        """The events that a page makes, which may begin before the stream's position."""
        events = [
            StreamEvent("transition", _facts(line), str(Position(line.tx, line.id)))
            for line in page.lines
            if (line.tenant, line.client) == (self.tenant, self.client)
            and Position(line.tx, line.id) > self.position
        ]
        self.position = max(self.position, page.end)
        return events


def open_client_stream(
    services: Services, client: str, last_id: str, *, tenant: str = DEFAULT_TENANT
) -> ClientStream:
    """A stream from that id on; from now on when it is empty. Raises OptionInvalid."""
    with snapshot(services) as session:
        present = Position(session.scalar(select(horizon())) or 0, 0)
    if not last_id:
        return ClientStream(client, present, tenant=tenant)
    position = Position.parse(last_id)
    if position > present:
        raise id_invalid(last_id)
    return ClientStream(client, position, tenant=tenant)


def catch_up(services: Services, stream: ClientStream) -> tuple[list[StreamEvent], bool]:
    """The next events of a stream, and whether that was all so far."""
    with snapshot(services) as session:
        page = read_page(session, [stream.client], stream.position)
    return stream.take(page), page.is_last


def read_page(session: Session, clients: Collection[str], after: Position) -> Page:
    """The next lines of these clients. Two queries, in a snapshot."""
    where = (tuple_(JobEvent.tx, JobEvent.id) > tuple_(after.tx, after.id),)
    until, tx, event_id = session.execute(_bounds(*where)).one()
    end = Position(until, 0) if tx is None else Position(tx, event_id)
    lines = session.execute(
        select(
            JobEvent.tx,
            JobEvent.id,
            JobEvent.job_id,
            JobEvent.event,
            JobEvent.status,
            JobEvent.attempt,
            JobEvent.at,
            JobEvent.detail,
            TranscriptionJob.client,
            TranscriptionJob.tenant,
        )
        .join(TranscriptionJob, TranscriptionJob.id == JobEvent.job_id)
        .where(
            *where,
            tuple_(JobEvent.tx, JobEvent.id) <= tuple_(end.tx, end.id),
            TranscriptionJob.client.in_(clients),
        )
        .order_by(JobEvent.tx, JobEvent.id)
    ).all()
    return Page(lines, max(after, end), is_last=tx is None)


def _bounds(*where: ColumnElement[bool]) -> Any:
    """The horizon, and the last line of a full page; nothing for a page that is not full."""
    last = (
        select(JobEvent.tx, JobEvent.id)
        .where(*where, JobEvent.tx < horizon())
        .order_by(JobEvent.tx, JobEvent.id)
        .offset(PAGE_LINES - 1)
        .limit(1)
        .subquery()
    )
    now = select(horizon().label("horizon")).subquery()
    return select(now.c.horizon, last.c.tx, last.c.id).select_from(
        now.outerjoin(last, last.c.id.is_not(None))
    )


def horizon() -> ColumnElement[int]:
    """The oldest transaction that still runs; the next one when none does."""
    return cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger)


def _facts(line: Row[Any]) -> dict[str, Any]:
    return {
        "job_id": str(line.job_id),
        "event": line.event,
        "status": line.status,
        "attempt": line.attempt,
        "at": line.at,
        "detail": shown_detail(line.detail),
    }
