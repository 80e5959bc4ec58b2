"""Reads on in the history of all jobs and writes messages of what somebody wants to hear.

The lines of the history are written in the transactions of what they tell, so nothing that
happened can miss its message, and nothing is told that did not happen. Lines are read in the
order of the transactions, up to the oldest that still runs (services/client_stream.py). Writing
is idempotent: whoever reads some lines again changes nothing.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import JobEvent, TranscriptionJob, WebhookCursor
from services.client_stream import PAGE_LINES, Position, horizon
from services.context import Services
from services.histories import shown_detail
from services.webhooks.events import EVENTS_OF_LINE
from services.webhooks.messages import Happening, find_targets, write_messages

logger = logging.getLogger(__name__)

NAME = "outbox"
SAVE_EVERY_S = 10.0  # where nothing was written; reading a little again does no harm
STALE_AFTER_S = 60.0  # then another reconciler may have led meanwhile
TICK = timedelta(microseconds=1)
MAX_PAGES = 5  # in one sweep: other sweeps wait


class Outbox:
    """The place in the history up to which messages are written."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._position: Position | None = None
        self._looked_at = self._saved_at = float("-inf")

    def fill(self, services: Services) -> int:
        """Write the messages of what happened since the last look. Returns how many.

        One query where nothing happened, two where nobody wants to hear of it.
        """
        written = 0
        for _ in range(MAX_PAGES):
            count, is_last = self._fill_page(services)
            written += count
            if is_last:
                break
        return written

    def _fill_page(self, services: Services) -> tuple[int, bool]:
        now = self._clock()
        is_known = now - self._looked_at < STALE_AFTER_S
        is_save_due = now - self._saved_at >= SAVE_EVERY_S
        with services.open_session() as session:
            start = self._position if is_known and self._position else _saved_position(session)
            kept = timedelta(days=services.settings.keep_webhooks_days)
            lines = _read_lines(session, start, kept)
            end = Position(lines[-1].tx, lines[-1].id) if lines else start
            targets = find_targets(session, [*_happenings(lines)])
            written = write_messages(session, targets)
            is_saved = bool(targets) or is_save_due
            if is_saved:
                _save_position(session, end)
        # After the commit: where it failed, reading on from the old place is right.
        self._position, self._looked_at = end, now
        if is_saved:
            self._saved_at = now
        return written, len(lines) < PAGE_LINES


def _saved_position(session: Session) -> Position:
    """Where the last reader was; the present when there was none."""
    query = select(WebhookCursor.tx, WebhookCursor.event_id).where(WebhookCursor.name == NAME)
    row = session.execute(query).one_or_none()
    present = session.scalar(select(horizon())) or 0
    if row is not None and row.tx <= present:
        return Position(row.tx, row.event_id)
    start = Position(present, 0)
    if row is not None:
        # From a backup: another server wrote it, and transactions are counted anew here. What
        # happened since is read from the beginning; what the backup holds was told already.
        logger.warning("webhooks_read_anew", extra={"tx": row.tx, "present": present})
        session.execute(delete(WebhookCursor).where(WebhookCursor.name == NAME))
        start = Position(0, 0)
    _save_position(session, start)
    return start


def _save_position(session: Session, position: Position) -> None:
    values = {"tx": position.tx, "event_id": position.id}
    query = insert(WebhookCursor).values(name=NAME, **values)
    moved = tuple_(WebhookCursor.tx, WebhookCursor.event_id) < tuple_(position.tx, position.id)
    session.execute(query.on_conflict_do_update(index_elements=["name"], set_=values, where=moved))


def _read_lines(session: Session, after: Position, kept: timedelta) -> Sequence[Row[Any]]:
    """The next lines of all jobs. Those of jobs that are gone are gone, too.

    None that is older than messages are kept: nobody could tell whether it was told already.
    """
    return session.execute(
        select(
            JobEvent.tx,
            JobEvent.id,
            JobEvent.job_id,
            JobEvent.event,
            JobEvent.status,
            JobEvent.attempt,
            JobEvent.at,
            JobEvent.detail,
            TranscriptionJob.tenant,
            TranscriptionJob.webhook,
        )
        .join(TranscriptionJob, TranscriptionJob.id == JobEvent.job_id)
        .where(
            tuple_(JobEvent.tx, JobEvent.id) > tuple_(after.tx, after.id),
            JobEvent.tx < horizon(),
            JobEvent.at > func.now() - kept,
        )
        .order_by(JobEvent.tx, JobEvent.id)
        .limit(PAGE_LINES)
    ).all()


def _happenings(lines: Sequence[Row[Any]]) -> Iterator[Happening]:
    for line in lines:
        for place, event in enumerate(EVENTS_OF_LINE.get(line.event, ())):
            yield Happening(
                job_id=line.job_id,
                tenant=line.tenant,
                webhook=line.webhook,
                event=event,
                source=f"{line.id}:{event}",
                status=line.status,
                attempt=line.attempt,
                # Two of one line keep their order.
                at=line.at + place * TICK,
                facts=shown_detail(line.detail),
            )
