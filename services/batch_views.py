"""What a caller sees of a batch: how many of its jobs stand where, and each item in its order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Row, case, func, select, tuple_

from domain.errors import BatchNotFound, CursorInvalid
from domain.lifecycle import TERMINAL, JobStatus
from models import Batch, TranscriptionJob
from services.context import Services
from services.job_lists import decode_cursor, encode_cursor

Job = TranscriptionJob

REFUSED = "refused"
number_of_job = Job.door_fields["batch_number"].astext.cast(Integer)
MAX_DIGITS = 6  # of a number in a cursor


@dataclass(frozen=True)
class BatchView:
    """One batch as it stands. Jobs that were removed since do not count any more."""

    batch_id: UUID
    name: str | None
    created_at: datetime
    total: int  # items: jobs and refused ones
    counts: dict[str, int]  # jobs by status, and `refused`
    progress: float  # mean of the jobs, a finished one counting as 1
    is_finished: bool  # no job will change by itself


@dataclass(frozen=True)
class BatchItemView:
    """One item: a job, or with `status` refused the error that it was refused with."""

    number: int
    status: str
    name: str | None
    job_id: UUID | None = None
    progress: float | None = None
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class BatchItems:
    """A page of items by their numbers."""

    items: list[BatchItemView]
    next_cursor: str | None
    has_more: bool


@dataclass(frozen=True)
class BatchPage:
    """A page of batches, the newest first."""

    batches: list[BatchView]
    next_cursor: str | None
    has_more: bool


def get_batch(services: Services, batch_id: UUID, *, tenant: str) -> BatchView:
    """How it stands. Raises BatchNotFound, also for somebody else's."""
    return _views(services, [find_batch(services, batch_id, tenant)])[0]


def list_batches(
    services: Services, *, tenant: str, cursor: str | None = None, limit: int = 25
) -> BatchPage:
    """One page of a tenant's batches. Raises CursorInvalid."""
    query = (
        select(Batch)
        .where(Batch.tenant == tenant)
        .order_by(Batch.created_at.desc(), Batch.id.desc())
        .limit(limit + 1)
    )
    if cursor:
        query = query.where(tuple_(Batch.created_at, Batch.id) < tuple_(*decode_cursor(cursor)))
    with services.open_statement() as session:
        rows = session.scalars(query).all()
    page = rows[:limit]
    has_more = len(rows) > limit
    return BatchPage(
        batches=_views(services, page),
        next_cursor=encode_cursor(page[-1].created_at, page[-1].id) if has_more else None,
        has_more=has_more,
    )


def list_items(
    services: Services, batch_id: UUID, *, tenant: str, cursor: str | None = None, limit: int = 25
) -> BatchItems:
    """One page of its items, in their order. Raises BatchNotFound, CursorInvalid."""
    if cursor is not None and not (
        cursor.isascii() and cursor.isdecimal() and len(cursor) <= MAX_DIGITS
    ):
        raise CursorInvalid("this cursor is not one that this server handed out")
    after = int(cursor or 0)
    batch = find_batch(services, batch_id, tenant)
    query = (
        select(number_of_job.label("number"), Job.id, Job.status, Job.progress, Job.name)
        .add_columns(Job.original_filename, Job.error_type, Job.error_message)
        .where(Job.batch_id == batch_id, Job.tenant == tenant, number_of_job > after)
        .order_by(number_of_job)
        .limit(limit + 1)
    )
    with services.open_statement() as session:
        jobs = session.execute(query).all()
    refused = [_refused(entry) for entry in batch.refused if entry["number"] > after]
    items = sorted([*map(_item, jobs), *refused], key=lambda item: item.number)
    has_more = len(items) > limit
    return BatchItems(items[:limit], str(items[limit - 1].number) if has_more else None, has_more)


def find_batch(services: Services, batch_id: UUID, tenant: str) -> Batch:
    """The row. Raises BatchNotFound, also for somebody else's."""
    query = select(Batch).where(Batch.id == batch_id, Batch.tenant == tenant)
    with services.open_statement() as session:
        batch = session.scalar(query)
    if batch is None:
        raise BatchNotFound("there is no batch with this id", batch_id=str(batch_id))
    return batch


def open_job_ids(services: Services, batch_id: UUID) -> Sequence[UUID]:
    """Its jobs that are not finished, those that wait first."""
    query = (
        select(Job.id)
        .where(Job.batch_id == batch_id, Job.status.not_in(TERMINAL))
        .order_by(Job.status, Job.created_at)
    )
    with services.open_statement() as session:
        return session.scalars(query).all()


def _views(services: Services, batches: Sequence[Batch]) -> list[BatchView]:
    ids = [batch.id for batch in batches]
    done = case((Job.status.in_(TERMINAL), 1.0), else_=Job.progress)
    query = (
        select(Job.batch_id, Job.status, func.count().label("jobs"), func.sum(done).label("done"))
        .where(Job.batch_id.in_(ids))
        .group_by(Job.batch_id, Job.status)
    )
    with services.open_statement() as session:
        rows = session.execute(query).all() if ids else []
    return [_view(batch, [row for row in rows if row.batch_id == batch.id]) for batch in batches]


def _view(batch: Batch, rows: Sequence[Row[Any]]) -> BatchView:
    counts = {status.value: 0 for status in JobStatus} | {REFUSED: len(batch.refused)}
    counts |= {row.status: row.jobs for row in rows}
    jobs = sum(row.jobs for row in rows)
    return BatchView(
        batch_id=batch.id,
        name=batch.name,
        created_at=batch.created_at,
        total=jobs + len(batch.refused),
        counts=counts,
        progress=round(sum(row.done for row in rows) / jobs, 4) if jobs else 1.0,
        is_finished=all(row.status in TERMINAL for row in rows),
    )


def _item(row: Row[Any]) -> BatchItemView:
    return BatchItemView(
        number=row.number,
        status=row.status,
        name=row.name or row.original_filename,
        job_id=row.id,
        progress=row.progress,
        code=row.error_type,
        message=row.error_message,
    )


def _refused(entry: dict[str, Any]) -> BatchItemView:
    return BatchItemView(
        number=entry["number"],
        status=REFUSED,
        name=entry["name"],
        code=entry["code"],
        message=entry["message"],
    )
