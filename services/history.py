"""The history of a job: one line for every transition and for everything done to it."""

from typing import Any
from uuid import UUID

from sqlalchemy import Insert, Row, insert, literal, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import CTE

from domain.lifecycle import JobStatus
from models import ErrorLog, JobEvent, TranscriptionJob
from services.attempts import FailedAttempt

events: Any = JobEvent.__table__
NOTHING: ColumnElement[Any] = literal_column("'{}'::jsonb", JSONB)

RECONCILER = "reconciler"  # the actor of what happens by itself


def record(
    session: Session,
    job_id: UUID,
    event: str,
    status: JobStatus,
    attempt: int,
    actor: str,
    detail: dict[str, Any] | None = None,
) -> None:
    """Add a line, in the transaction of what it tells."""
    session.execute(
        insert(JobEvent).values(
            job_id=job_id,
            event=event,
            status=status,
            attempt=attempt,
            actor=actor,
            detail=detail or {},
        )
    )


def note(
    session: Session, job_id: UUID, event: str, *, actor: str, detail: dict[str, Any] | None = None
) -> bool:
    """Add a line about something that left the status as it is. False when there is no job."""
    job = TranscriptionJob
    row = session.execute(
        insert(JobEvent)
        .from_select(
            ["job_id", "event", "status", "attempt", "actor", "detail"],
            select(
                job.id,
                literal(event),
                job.status,
                job.attempt,
                literal(actor),
                literal(detail or {}, JSONB),
            )
            .where(job.id == job_id)
            # Lines of one job get their ids in order: nobody else writes one meanwhile.
            .with_for_update(key_share=True),
        )
        .returning(JobEvent.id)
    ).one_or_none()
    return row is not None


def record_dead_letter(
    session: Session, row: Row[Any], failed: FailedAttempt, reason: str, *, actor: str
) -> None:
    """Write the dead letter of a job that was given up, and the line that says so."""
    error_id = session.scalar(
        insert(ErrorLog)
        .values(
            job_id=row.id,
            error_type=failed.error_type,
            error_class=failed.error_class,
            error_message=failed.message,
            reason=reason,
            stack_trace=failed.stack_trace,
            retry_count=max(0, row.attempt - 1),
            options=row.options,
            worker_id=failed.worker,
            memory_mb=failed.memory_mb,
        )
        .returning(ErrorLog.id)
    )
    detail = {**failed.detail, "reason": reason, "error_id": error_id}
    record(session, row.id, "dead_lettered", JobStatus.FAILED, row.attempt, actor, detail)


def event_from(
    source: CTE,
    event: str,
    status: JobStatus,
    attempt: ColumnElement[int],
    actor: str | ColumnElement[str],
    detail: ColumnElement[Any] | None,
) -> Insert:
    """A line of history for each row of `source`, as a part of the statement that makes it."""
    job_id = source.c.id if "id" in source.c else source.c.job_id
    return insert(events).from_select(
        ["job_id", "event", "status", "attempt", "actor", "detail"],
        select(
            job_id,
            literal(event),
            literal(status.value),
            attempt,
            literal(actor) if isinstance(actor, str) else actor,
            NOTHING if detail is None else detail,
        ),
    )
