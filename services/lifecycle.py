"""The guarded transitions of a job. The only file that writes a job's status.

Every function is one guarded UPDATE and one line of history in the caller's transaction.
A guard that matches no row means that somebody else was first: the function says so by
None or False and writes nothing. Time is Postgres' own, so worker clocks do not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, case, delete, func, insert, literal, or_, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from domain.lifecycle import TERMINAL, JobStatus, Step
from domain.transcript import Transcript
from models import ErrorLog, JobEvent, TranscriptionJob, TranscriptionResult
from services.results import result_values

Job = TranscriptionJob
NO_LEASE = {"lease_owner": None, "lease_expires_at": None}


@dataclass(frozen=True)
class Claim:
    """The right to work on a job for one attempt. `lease_token` fences it."""

    job_id: UUID
    attempt: int
    lease_token: int
    max_attempts: int
    worker: str
    file_path: str
    duration_s: float | None
    options: dict[str, Any]
    request_id: str | None


@dataclass(frozen=True)
class Beat:
    """What the database says to a worker that renews its lease."""

    is_cancel_requested: bool


@dataclass(frozen=True)
class FailedAttempt:
    """Facts about an attempt that ended with an error."""

    error_type: str  # stable code
    error_class: str
    message: str
    stack_trace: str | None
    worker: str | None
    memory_mb: float | None


def claim(session: Session, job_id: UUID, *, worker: str, lease: timedelta) -> Claim | None:
    """Take the job for one attempt, or return None when it is not ours to take."""
    row = session.execute(
        update(Job)
        .where(
            Job.id == job_id,
            Job.status == JobStatus.PENDING,
            Job.attempt < Job.max_attempts,
            or_(Job.next_attempt_at.is_(None), Job.next_attempt_at <= func.now()),
        )
        .values(
            status=JobStatus.PROCESSING,
            attempt=Job.attempt + 1,
            lease_token=Job.lease_token + 1,
            lease_owner=worker,
            lease_expires_at=func.now() + lease,
            next_attempt_at=None,
            started_at=func.now(),
            updated_at=func.now(),
            progress=0,
            current_step=Step.DECODING_AUDIO,
            time_left_s=None,
        )
        .returning(
            Job.attempt,
            Job.lease_token,
            Job.max_attempts,
            Job.file_path,
            Job.duration_s,
            Job.options,
            Job.request_id,
        )
    ).one_or_none()
    if row is None:
        return None
    _record(session, job_id, "started", JobStatus.PROCESSING, row.attempt, worker)
    return Claim(job_id=job_id, worker=worker, **row._asdict())


def heartbeat(session: Session, mine: Claim, *, lease: timedelta, **seen: Any) -> Beat | None:
    """Renew the lease and publish what people watch; None when the lease is lost.

    `seen` may hold progress, current_step, time_left_s and duration_s.
    """
    if "progress" in seen:
        seen["progress"] = func.greatest(Job.progress, seen["progress"])
    row = session.execute(
        update(Job)
        .where(*_held(mine))
        .values(lease_expires_at=func.now() + lease, updated_at=func.now(), **seen)
        .returning(Job.cancel_requested_at)
    ).one_or_none()
    return None if row is None else Beat(row.cancel_requested_at is not None)


def complete(session: Session, mine: Claim, transcript: Transcript, transcribe_s: float) -> bool:
    """Write the result and finish the job, in one transaction. False when fenced or cancelled."""
    done = session.execute(
        update(Job)
        .where(*_held(mine), Job.cancel_requested_at.is_(None))
        .values(**_finished(JobStatus.COMPLETED), progress=1, duration_s=transcript.duration_s)
        .returning(Job.id)
    ).one_or_none()
    if done is None:
        return False
    session.execute(
        insert(TranscriptionResult).values(
            job_id=mine.job_id,
            attempt=mine.attempt,
            lease_token=mine.lease_token,
            transcribe_s=transcribe_s,
            **result_values(transcript),
        )
    )
    _record(session, mine.job_id, "completed", JobStatus.COMPLETED, mine.attempt, mine.worker)
    return True


def retry_later(session: Session, mine: Claim, failed: FailedAttempt, after: timedelta) -> bool:
    """Put the job back with a date for its next attempt. Postgres keeps the time."""
    row = session.execute(
        update(Job)
        .where(*_held(mine), Job.cancel_requested_at.is_(None))
        .values(
            **_waiting(),
            next_attempt_at=func.now() + after,
            current_step=Step.WAITING_FOR_RETRY,
            error_type=failed.error_type,
            error_message=failed.message,
        )
        .returning(Job.id)
    ).one_or_none()
    if row is None:
        return False
    detail = {**_error_detail(failed), "after_s": round(after.total_seconds(), 3)}
    _record(session, mine.job_id, "retry", JobStatus.PENDING, mine.attempt, mine.worker, detail)
    return True


def fail(session: Session, mine: Claim, failed: FailedAttempt, reason: str) -> bool:
    """Give the job up: failed, with a dead letter that says why."""
    row = session.execute(
        update(Job)
        .where(*_held(mine), Job.cancel_requested_at.is_(None))
        .values(
            **_finished(JobStatus.FAILED),
            error_type=failed.error_type,
            error_message=failed.message,
        )
        .returning(Job.id, Job.attempt, Job.options)
    ).one_or_none()
    if row is None:
        return False
    _dead_letter(session, row, failed, reason, actor=mine.worker)
    return True


def release(session: Session, mine: Claim, reason: str) -> bool:
    """Hand the job back unfinished, as in a graceful stop. Costs no attempt."""
    row = session.execute(
        update(Job)
        .where(*_held(mine))
        .values(
            **_waiting(),
            attempt=Job.attempt - 1,
            lease_token=Job.lease_token + 1,
            current_step=Step.QUEUED,
        )
        .returning(Job.attempt)
    ).one_or_none()
    if row is None:
        return False
    detail = {"reason": reason}
    _record(session, mine.job_id, "released", JobStatus.PENDING, row.attempt, mine.worker, detail)
    return True


def cancel(session: Session, job_id: UUID, *, actor: str) -> JobStatus | None:
    """Cancel what waits, ask what runs to stop; None when the job is finished or unknown.

    Returns the status afterwards: cancelled, or processing with the request noted.
    """
    waiting = Job.status == JobStatus.PENDING
    row = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.status.in_((JobStatus.PENDING, JobStatus.PROCESSING)))
        .values(
            status=case((waiting, literal(JobStatus.CANCELLED.value)), else_=Job.status),
            completed_at=case((waiting, func.now()), else_=None),
            current_step=case((waiting, literal(Step.DONE.value)), else_=Job.current_step),
            next_attempt_at=None,
            cancel_requested_at=func.coalesce(Job.cancel_requested_at, func.now()),
            updated_at=func.now(),
        )
        .returning(Job.status, Job.attempt)
    ).one_or_none()
    if row is None:
        return None
    status = JobStatus(row.status)
    event = "cancelled" if status is JobStatus.CANCELLED else "cancel_requested"
    _record(session, job_id, event, status, row.attempt, actor)
    return status


def confirm_cancel(session: Session, mine: Claim) -> bool:
    """The worker obeyed: processing becomes cancelled."""
    row = session.execute(
        update(Job)
        .where(*_held(mine), Job.cancel_requested_at.is_not(None))
        .values(**_finished(JobStatus.CANCELLED))
        .returning(Job.id)
    ).one_or_none()
    if row is None:
        return False
    _record(session, mine.job_id, "cancelled", JobStatus.CANCELLED, mine.attempt, mine.worker)
    return True


def requeue_failed(session: Session, job_id: UUID, *, actor: str) -> bool:
    """Put a given-up job back to the start, with all its attempts before it."""
    row = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.status == JobStatus.FAILED)
        .values(
            **_waiting(),
            attempt=0,
            lease_token=Job.lease_token + 1,
            progress=0,
            completed_at=None,
            cancel_requested_at=None,
            current_step=Step.QUEUED,
            error_type=None,
            error_message=None,
        )
        .returning(Job.id)
    ).one_or_none()
    if row is None:
        return False
    _record(session, job_id, "requeued", JobStatus.PENDING, 0, actor)
    return True


def take_back(
    session: Session, row: Row[Any], failed: FailedAttempt, after: timedelta | None, reason: str
) -> None:
    """End an attempt whose worker was lost. `row` is the job, locked by the caller.

    `after` is the wait before the next attempt; None gives the job up.
    """
    values: dict[str, Any] = {"error_type": failed.error_type, "error_message": failed.message}
    if after is None:
        values |= _finished(JobStatus.FAILED)
    else:
        values |= {
            **_waiting(),
            "next_attempt_at": func.now() + after,
            "current_step": Step.WAITING_FOR_RETRY,
        }
    # The token moves on, so that a worker that was only frozen finds itself fenced off.
    session.execute(
        update(Job).where(Job.id == row.id).values(**values, lease_token=Job.lease_token + 1)
    )
    if after is None:
        _dead_letter(session, row, failed, reason, actor="reconciler")
    else:
        detail = {**_error_detail(failed), "after_s": round(after.total_seconds(), 3)}
        _record(session, row.id, "reaped", JobStatus.PENDING, row.attempt, "reconciler", detail)


def force_cancel(session: Session, row: Row[Any]) -> None:
    """Cancel over the head of a worker that does not obey. `row` is locked by the caller."""
    session.execute(
        update(Job)
        .where(Job.id == row.id)
        .values(**_finished(JobStatus.CANCELLED), lease_token=Job.lease_token + 1)
    )
    detail = {"forced": True}
    _record(session, row.id, "cancelled", JobStatus.CANCELLED, row.attempt, "reconciler", detail)


def record_submission(session: Session, job_id: UUID, detail: dict[str, Any]) -> None:
    """Begin the history of a new job."""
    _record(session, job_id, "submitted", JobStatus.PENDING, 0, "api", detail)


def mark_published(session: Session, job_ids: Sequence[UUID]) -> None:
    """Note that the doorbell was rung for jobs that wait."""
    session.execute(
        update(Job)
        .where(Job.id.in_(job_ids), Job.status == JobStatus.PENDING)
        .values(published_at=func.now())
    )


def delete_finished(session: Session, job_id: UUID) -> bool:
    """Delete a finished job with all that hangs on it. False when it is not finished."""
    row = session.execute(
        delete(Job).where(Job.id == job_id, Job.status.in_(TERMINAL)).returning(Job.id)
    ).one_or_none()
    return row is not None


def _held(mine: Claim) -> tuple[ColumnElement[bool], ...]:
    return (
        Job.id == mine.job_id,
        Job.lease_token == mine.lease_token,
        Job.status == JobStatus.PROCESSING,
    )


def _finished(status: JobStatus) -> dict[str, Any]:
    return {
        "status": status,
        "completed_at": func.now(),
        "updated_at": func.now(),
        "current_step": Step.DONE,
        "time_left_s": None,
        **NO_LEASE,
    }


def _waiting() -> dict[str, Any]:
    return {
        "status": JobStatus.PENDING,
        "published_at": None,
        "updated_at": func.now(),
        "time_left_s": None,
        **NO_LEASE,
    }


def _dead_letter(
    session: Session, row: Row[Any], failed: FailedAttempt, reason: str, *, actor: str
) -> None:
    session.execute(
        insert(ErrorLog).values(
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
    )
    detail = {**_error_detail(failed), "reason": reason}
    _record(session, row.id, "dead_lettered", JobStatus.FAILED, row.attempt, actor, detail)


def _error_detail(failed: FailedAttempt) -> dict[str, Any]:
    return {
        "error_type": failed.error_type,
        "message": failed.message,
        "worker": failed.worker,
        "memory_mb": failed.memory_mb,
    }


def _record(
    session: Session,
    job_id: UUID,
    event: str,
    status: JobStatus,
    attempt: int,
    actor: str,
    detail: dict[str, Any] | None = None,
) -> None:
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
