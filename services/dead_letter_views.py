"""The dead letters, to be read: jobs that were given up, and all that is known of why."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from domain.errors import CursorInvalid, ErrorLogNotFound
from models import ErrorLog, JobEvent, TranscriptionJob
from services.context import Services
from services.job_lists import encode_cursor, split_cursor
from services.window_store import count_windows


@dataclass(frozen=True)
class ErrorView:
    """One dead letter, with all that is known of why."""

    id: int
    job_id: UUID
    type: str
    error_class: str
    message: str
    reason: str
    stack_trace: str | None
    retry_count: int
    options: dict[str, Any]
    worker_id: str | None
    memory_mb: float | None
    resolved: bool
    resolution: str | None
    resolved_at: datetime | None
    created_at: datetime
    # Of the job as it is now; a list leaves them out.
    attempts: tuple[dict[str, Any], ...] = ()  # its history, oldest first
    kept_windows: int = 0
    kept_s: float = 0.0  # seconds of the recording that a retry need not decode again
    recording_removed_at: datetime | None = None


@dataclass(frozen=True)
class ErrorPage:
    """One page of dead letters, newest first. `total` counts all that match."""

    errors: list[ErrorView]
    total: int
    next_cursor: str | None
    has_more: bool


@dataclass(frozen=True)
class ErrorFilter:
    """Which dead letters; None means any."""

    type: str | None = None
    resolved: bool | None = None
    job_id: UUID | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


ANY = ErrorFilter()
COUNT_LIMIT = 1_000  # a page must not take longer the more there are


def list_errors(
    services: Services, filters: ErrorFilter = ANY, *, cursor: str | None = None, limit: int = 25
) -> ErrorPage:
    """One page, without what only one letter shows. Raises CursorInvalid."""
    conditions = _conditions(filters)
    query = (
        select(ErrorLog)
        .where(*conditions)
        .order_by(ErrorLog.created_at.desc(), ErrorLog.id.desc())
        .limit(limit + 1)
    )
    if cursor:
        query = query.where(tuple_(ErrorLog.created_at, ErrorLog.id) < tuple_(*_decode(cursor)))
    with services.open_session() as session:
        rows = session.scalars(query).all()
        total = count_errors(session, *conditions)
    page, has_more = rows[:limit], len(rows) > limit
    return ErrorPage(
        errors=[ErrorView(**_facts(row)) for row in page],
        total=total,
        next_cursor=encode_cursor(page[-1].created_at, page[-1].id) if has_more else None,
        has_more=has_more,
    )


def count_errors(session: Session, *conditions: ColumnElement[bool]) -> int:
    """How many dead letters meet the conditions, counted up to COUNT_LIMIT."""
    some = select(ErrorLog.id).where(*conditions).limit(COUNT_LIMIT).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def get_error(services: Services, error_id: int) -> ErrorView:
    """One dead letter, with the history of its job. Raises ErrorLogNotFound."""
    with services.open_session() as session:
        row = find_error(session, error_id)
        events = session.scalars(
            select(JobEvent).where(JobEvent.job_id == row.job_id).order_by(JobEvent.id)
        ).all()
        kept_windows, kept_s = count_windows(session, row.job_id)
        removed_at = session.scalar(
            select(TranscriptionJob.file_removed_at).where(TranscriptionJob.id == row.job_id)
        )
        return ErrorView(
            **_facts(row),
            attempts=tuple(_event(event) for event in events),
            kept_windows=kept_windows,
            kept_s=kept_s,
            recording_removed_at=removed_at,
        )


def find_error(session: Session, error_id: int) -> ErrorLog:
    """The row of a dead letter. Raises ErrorLogNotFound."""
    row = session.get(ErrorLog, error_id)
    if row is None:
        raise ErrorLogNotFound("there is no dead letter with this id", id=error_id)
    return row


def _conditions(filters: ErrorFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.type is not None:
        conditions.append(ErrorLog.error_type == filters.type)
    if filters.resolved is not None:
        # As the partial index of open letters says it.
        is_open = ~ErrorLog.resolved
        conditions.append(~is_open if filters.resolved else is_open)
    if filters.job_id is not None:
        conditions.append(ErrorLog.job_id == filters.job_id)
    if filters.created_from is not None:
        conditions.append(ErrorLog.created_at >= filters.created_from)
    if filters.created_to is not None:
        conditions.append(ErrorLog.created_at < filters.created_to)
    return conditions


def _decode(cursor: str) -> tuple[datetime, int]:
    moment, row_id = split_cursor(cursor)
    if not row_id.isdecimal():
        raise CursorInvalid("this cursor is not one that this server handed out")
    return moment, int(row_id)


def _event(event: JobEvent) -> dict[str, Any]:
    return {
        "event": event.event,
        "attempt": event.attempt,
        "actor": event.actor,
        "at": event.at.isoformat(),
        **event.detail,
    }


def _facts(row: ErrorLog) -> dict[str, Any]:
    return {
        "id": row.id,
        "job_id": row.job_id,
        "type": row.error_type,
        "error_class": row.error_class,
        "message": row.error_message,
        "reason": row.reason,
        "stack_trace": row.stack_trace,
        "retry_count": row.retry_count,
        "options": row.options,
        "worker_id": row.worker_id,
        "memory_mb": row.memory_mb,
        "resolved": row.resolved,
        "resolution": row.resolution,
        "resolved_at": row.resolved_at,
        "created_at": row.created_at,
    }
