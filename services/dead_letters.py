"""The dead letters: jobs that were given up, to be read, retried or closed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.orm import Session

from domain.errors import CursorInvalid, ErrorLogNotFound, JobStateConflict
from models import ErrorLog, JobEvent, TranscriptionJob
from services import lifecycle
from services.context import Services
from services.dispatch import queue_for
from services.job_lists import encode_cursor, split_cursor
from services.jobs import publish_or_log

logger = logging.getLogger(__name__)

BULK_LIMIT = 1_000  # dead letters in one bulk call


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
    attempts: list[dict[str, Any]]  # the history of the job, oldest first
    resolved: bool
    resolution: str | None
    resolved_at: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class ErrorPage:
    """One page of dead letters, newest first. `total` counts all that match."""

    errors: list[ErrorView]
    total: int
    next_cursor: str | None
    has_more: bool


@dataclass(frozen=True)
class ErrorOutcome:
    """What became of one dead letter in a retry or a resolve."""

    id: int
    job_id: UUID | None
    is_done: bool
    code: str | None = None
    message: str | None = None


def list_errors(
    services: Services,
    *,
    error_type: str | None = None,
    resolved: bool | None = None,
    cursor: str | None = None,
    limit: int = 25,
) -> ErrorPage:
    """One page, without the attempts of each. Raises CursorInvalid."""
    conditions = _conditions(error_type, resolved=resolved)
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
        total = session.scalar(select(func.count()).select_from(ErrorLog).where(*conditions))
    page, has_more = rows[:limit], len(rows) > limit
    return ErrorPage(
        errors=[_view(row, []) for row in page],
        total=total or 0,
        next_cursor=encode_cursor(page[-1].created_at, page[-1].id) if has_more else None,
        has_more=has_more,
    )


def get_error(services: Services, error_id: int) -> ErrorView:
    """One dead letter with the history of its job. Raises ErrorLogNotFound."""
    with services.open_session() as session:
        row = _find(session, error_id)
        events = session.scalars(
            select(JobEvent).where(JobEvent.job_id == row.job_id).order_by(JobEvent.id)
        ).all()
        return _view(row, [_event(event) for event in events])


def retry_error(services: Services, error_id: int) -> ErrorView:
    """Put the job back on its queue, with its attempts before it again.

    Raises ErrorLogNotFound, or JobStateConflict when the job is not failed any more.
    """
    with services.open_session() as session:
        row = _find(session, error_id)
        job = session.get(TranscriptionJob, row.job_id)
        if not lifecycle.requeue_failed(session, row.job_id, actor="admin"):
            raise JobStateConflict(
                f"the job is {job.status if job else 'gone'}, only a failed one can be retried",
                status=job.status if job else None,
            )
        # Every open dead letter of the job is answered by this one retry.
        _close(session, ErrorLog.job_id == row.job_id, "retried")
        priority = job.priority if job else 1
    logger.info("dead_letter_retried", extra={"error_id": error_id, "job_id": str(row.job_id)})
    publish_or_log(services, row.job_id, queue_for(priority, 0))
    return get_error(services, error_id)


def resolve_error(services: Services, error_id: int, note: str | None = None) -> ErrorView:
    """Mark as dealt with; the job stays failed. Raises ErrorLogNotFound."""
    with services.open_session() as session:
        _find(session, error_id)
        _close(session, ErrorLog.id == error_id, note or "resolved")
    return get_error(services, error_id)


def retry_errors(
    services: Services, ids: Sequence[int] | None = None, *, error_type: str | None = None
) -> list[ErrorOutcome]:
    """Retry many: these, or every open one (of a type). One answer for each."""
    return [_try(services, i, retry_error) for i in _chosen(services, ids, error_type)]


def resolve_errors(
    services: Services,
    ids: Sequence[int] | None = None,
    *,
    error_type: str | None = None,
    note: str | None = None,
) -> list[ErrorOutcome]:
    """Resolve many: these, or every open one (of a type). One answer for each."""

    def resolve(services: Services, error_id: int) -> ErrorView:
        return resolve_error(services, error_id, note)

    return [_try(services, i, resolve) for i in _chosen(services, ids, error_type)]


def note_dead_letter(services: Services, job_id: UUID) -> None:
    """Write the open dead letters of a job into the log, where alerts can see them."""
    with services.open_session() as session:
        rows = session.scalars(
            select(ErrorLog).where(ErrorLog.job_id == job_id, ~ErrorLog.resolved)
        ).all()
    for row in rows:
        logger.error(
            "dead_letter",
            extra={"error_id": row.id, "job_id": str(job_id), "error_type": row.error_type},
        )


def _try(services: Services, error_id: int, action: Any) -> ErrorOutcome:
    try:
        view: ErrorView = action(services, error_id)
    except (ErrorLogNotFound, JobStateConflict) as error:
        return ErrorOutcome(error_id, None, is_done=False, code=error.code, message=str(error))
    return ErrorOutcome(error_id, view.job_id, is_done=True)


def _chosen(services: Services, ids: Sequence[int] | None, error_type: str | None) -> Sequence[int]:
    if ids is not None:
        return ids
    with services.open_session() as session:
        return session.scalars(
            select(ErrorLog.id)
            .where(*_conditions(error_type, resolved=False))
            .order_by(ErrorLog.id)
            .limit(BULK_LIMIT)
        ).all()


def _conditions(error_type: str | None, *, resolved: bool | None) -> list[Any]:
    conditions: list[Any] = []
    if error_type is not None:
        conditions.append(ErrorLog.error_type == error_type)
    if resolved is not None:
        conditions.append(ErrorLog.resolved.is_(resolved))
    return conditions


def _close(session: Session, which: Any, resolution: str) -> None:
    session.execute(
        update(ErrorLog)
        .where(which, ~ErrorLog.resolved)
        .values(resolved=True, resolution=resolution, resolved_at=func.now())
    )


def _find(session: Session, error_id: int) -> ErrorLog:
    row = session.get(ErrorLog, error_id)
    if row is None:
        raise ErrorLogNotFound("there is no dead letter with this id", id=error_id)
    return row


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


def _view(row: ErrorLog, attempts: list[dict[str, Any]]) -> ErrorView:
    return ErrorView(
        id=row.id,
        job_id=row.job_id,
        type=row.error_type,
        error_class=row.error_class,
        message=row.error_message,
        reason=row.reason,
        stack_trace=row.stack_trace,
        retry_count=row.retry_count,
        options=row.options,
        worker_id=row.worker_id,
        memory_mb=row.memory_mb,
        attempts=attempts,
        resolved=row.resolved,
        resolution=row.resolution,
        resolved_at=row.resolved_at,
        created_at=row.created_at,
    )
