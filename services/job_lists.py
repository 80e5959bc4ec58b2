"""Lists of jobs, newest first, in pages that stay stable while jobs arrive."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import defer

from domain.errors import CursorInvalid
from models import TranscriptionJob, TranscriptionResult
from services.context import Services
from services.views import JobView, job_view

Job = TranscriptionJob


@dataclass(frozen=True)
class JobFilter:
    """Which jobs to list; None means any."""

    status: str | None = None
    language: str | None = None
    model_size: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    filename: str | None = None  # part of the name, in any case
    tenant: str | None = None
    batch_id: UUID | None = None
    door: str | None = None


@dataclass(frozen=True)
class JobPage:
    """One page, and the cursor of the next where there is one."""

    jobs: list[JobView]
    next_cursor: str | None
    has_more: bool


def list_jobs(
    services: Services, filters: JobFilter, *, cursor: str | None = None, limit: int = 25
) -> JobPage:
    """One page of jobs, without their texts. Raises CursorInvalid."""
    query = _filtered(filters).order_by(Job.created_at.desc(), Job.id.desc()).limit(limit + 1)
    if cursor:
        query = query.where(tuple_(Job.created_at, Job.id) < tuple_(*decode_cursor(cursor)))
    with services.open_session() as session:
        rows = session.execute(query).all()
    page = rows[:limit]
    has_more = len(rows) > limit
    last = page[-1][0] if page else None
    return JobPage(
        jobs=[job_view(job, result, with_text=False) for job, result in page],
        next_cursor=encode_cursor(last.created_at, last.id) if has_more and last else None,
        has_more=has_more,
    )


def _filtered(filters: JobFilter) -> Select[*tuple[Any, ...]]:
    query: Select[*tuple[Any, ...]] = (
        select(Job, TranscriptionResult)
        .outerjoin(TranscriptionResult, TranscriptionResult.job_id == Job.id)
        .options(defer(TranscriptionResult.segments), defer(TranscriptionResult.transcription_text))
    )
    if filters.tenant:
        query = query.where(Job.tenant == filters.tenant)
    if filters.batch_id:
        query = query.where(Job.batch_id == filters.batch_id)
    if filters.door:
        query = query.where(Job.door == filters.door)
    if filters.status:
        query = query.where(Job.status == filters.status)
    if filters.language:
        found = TranscriptionResult.language == filters.language
        query = query.where(found | (Job.language == filters.language))
    if filters.model_size:
        query = query.where(Job.model_size == filters.model_size)
    if filters.created_from:
        query = query.where(Job.created_at >= filters.created_from)
    if filters.created_to:
        query = query.where(Job.created_at < filters.created_to)
    if filters.filename:
        query = query.where(Job.original_filename.icontains(filters.filename, autoescape=True))
    return query


def encode_cursor(created_at: datetime, row_id: UUID | int) -> str:
    """A place in a list, as an opaque string that is safe in a URL."""
    return base64.urlsafe_b64encode(f"{created_at.isoformat()}|{row_id}".encode()).decode()


def decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Undo `encode_cursor`. Raises CursorInvalid."""
    moment, row_id = split_cursor(cursor)
    try:
        return moment, UUID(row_id)
    except ValueError as error:
        raise _invalid() from error


def split_cursor(cursor: str) -> tuple[datetime, str]:
    """The moment and the id in a cursor. Raises CursorInvalid."""
    try:
        moment, _, row_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        when = datetime.fromisoformat(moment)
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise _invalid() from error
    if when.tzinfo is None:
        raise _invalid()
    return when, row_id


def _invalid() -> CursorInvalid:
    return CursorInvalid("this cursor is not one that this server handed out")
