"""The guarded transitions of a job. The only file that writes a job's status.

Every function is one guarded UPDATE and one line of history in the caller's transaction.
A guard that matches no row means that somebody else was first: the function says so by
None or False and writes nothing. Time is Postgres' own, so worker clocks do not matter.

Whoever updates a row that waits leaves `published_at` empty or rings for it: a claim skips
rows that are locked at that moment, and its message is spent all the same.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, case, delete, func, literal, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from domain.lifecycle import TERMINAL, JobStatus, Priority, Rank, Step
from domain.transcript import Transcript
from models import (
    TranscriptionJob,
)
from services.attempts import Beat, Claim, FailedAttempt
from services.history import RECONCILER, record, record_dead_letter
from services.idempotency import Once
from services.job_messages import forget_messages
from services.job_statements import CLAIM, COMPLETE_JOB, CREATE_JOB
from services.result_cache import notice_of
from services.results import result_values
from services.window_store import drop_windows

Job = TranscriptionJob
NO_LEASE = {"lease_owner": None, "lease_expires_at": None}


def create(
    session: Session,
    values: dict[str, Any],
    *,
    detail: dict[str, Any],
    once: Once | None = None,
    source_id: UUID | None = None,
) -> bool:
    """Insert a job that waits, begin its history and count its usage. One statement.

    With `source_id` it is completed at once, with a copy of that job's result. False when the
    key of `once` made a job already, or when there is no such result; then nothing was written.
    The bell counts as rung: whoever creates a job rings for it, or says that it could not.
    """
    given = {**values, "detail": detail}
    if once is not None:
        given |= {"idempotency_key": once.key, "fingerprint": once.fingerprint}
    if source_id is not None:
        given |= {"source_id": source_id, "notice": notice_of(source_id)}
    statement = CREATE_JOB[once is not None, source_id is not None]
    return statement.run(session, given).one_or_none() is not None


def claim_next(
    session: Session, rank: Rank, *, worker: str, lease: timedelta, full: Sequence[str] = ()
) -> Claim | None:
    """Take the job that goes next among those up to `rank`; None when none waits. One statement.

    Jobs of the tenants that are `full` are passed over. Where it is lost in a crash of Postgres
    the job waits again, and the owner in the fence keeps this worker from another's lease.
    """
    given = {"rank": rank, "worker": worker, "lease": lease}
    if full:
        given["full"] = [*full]
    row = CLAIM[rank is Rank.HIGH, bool(full)].run(session, given).one_or_none()
    if row is None:
        return None
    facts = row._asdict()
    del facts["is_relaxed"]
    return Claim(worker=worker, **facts)


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
    """Write the result and finish the job, in one statement. False when fenced or cancelled."""
    row = COMPLETE_JOB.run(
        session,
        {
            "job_id": mine.job_id,
            "attempt": mine.attempt,
            "lease_token": mine.lease_token,
            "worker": mine.worker,
            "duration_s": transcript.duration_s,
            "transcribe_s": transcribe_s,
            **result_values(transcript),
        },
    ).one_or_none()
    return row is not None


def retry_later(session: Session, mine: Claim, failed: FailedAttempt, after: timedelta) -> bool:
    """Put the job back with a date for its next attempt. Postgres keeps the time."""
    row = session.execute(
        update(Job)
        .where(*_held(mine), Job.cancel_requested_at.is_(None))
        .values(
            **_waiting(),
            rank=_rank_of_retry(),
            next_attempt_at=func.now() + after,
            current_step=Step.WAITING_FOR_RETRY,
            error_type=failed.error_type,
            error_message=failed.message,
        )
        .returning(Job.id)
    ).one_or_none()
    if row is None:
        return False
    detail = {**failed.detail, "after_s": round(after.total_seconds(), 3)}
    record(session, mine.job_id, "retry", JobStatus.PENDING, mine.attempt, mine.worker, detail)
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
    record_dead_letter(session, row, failed, reason, actor=mine.worker)
    return True


def release(session: Session, mine: Claim, reason: str) -> bool:
    """Hand the job back unfinished, as in a graceful stop. Costs no attempt.

    False also when a cancel came first: what waits must not have been cancelled.
    """
    row = session.execute(
        update(Job)
        .where(*_held(mine), Job.cancel_requested_at.is_(None))
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
    record(session, mine.job_id, "released", JobStatus.PENDING, row.attempt, mine.worker, detail)
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
    record(session, job_id, event, status, row.attempt, actor)
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
    record(session, mine.job_id, "cancelled", JobStatus.CANCELLED, mine.attempt, mine.worker)
    return True


def requeue_failed(
    session: Session,
    job_id: UUID,
    *,
    actor: str,
    options: dict[str, Any] | None = None,
    priority: int | None = None,
    turn: float | None = None,
    detail: dict[str, Any] | None = None,
) -> bool:
    """Put a given-up job back to the start, with all its attempts before it.

    `options` replace the job's; what was decoded with the old ones is dropped then. `turn` is
    its new place in the queue: the old one is in the past, ahead of everybody.
    """
    changes: dict[str, Any] = {} if turn is None else {"turn": turn}
    if options is not None:
        changes |= {
            "options": options,
            "model_size": options["model_size"],
            "language": options["language"],
        }
    if priority is not None:
        changes["priority"] = priority
    row = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.status == JobStatus.FAILED, Job.file_removed_at.is_(None))
        .values(
            **_waiting(),
            **changes,
            rank=Job.priority if priority is None else priority,
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
    record(session, job_id, "requeued", JobStatus.PENDING, 0, actor, detail)
    if options is not None:
        drop_windows(session, job_id)
    return True


def reprioritise(
    session: Session, job_id: UUID, priority: Priority, turn: float, *, actor: str
) -> bool:
    """Move a waiting job to another place in the queue. False when it does not wait."""
    row = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.status == JobStatus.PENDING)
        .values(
            priority=priority,
            rank=case(
                (literal(priority == Priority.HIGH), Rank.HIGH),
                (Job.attempt > 0, Rank.RETRY),
                else_=Rank.NORMAL,
            ),
            turn=turn,
            updated_at=func.now(),
        )
        .returning(Job.attempt)
    ).one_or_none()
    if row is None:
        return False
    detail = {"priority": priority.label}
    record(session, job_id, "reprioritised", JobStatus.PENDING, row.attempt, actor, detail)
    return True


def age(session: Session, job_ids: Sequence[UUID], turn: ColumnElement[float]) -> None:
    """Let jobs that waited too long stand with the urgent ones. The caller holds their rows."""
    rows = session.execute(
        update(Job)
        .where(Job.id.in_(job_ids), Job.status == JobStatus.PENDING)
        .values(rank=Rank.HIGH, turn=turn, published_at=None, updated_at=func.now())
        .returning(Job.id, Job.attempt)
    ).all()
    for row in rows:
        record(session, row.id, "aged", JobStatus.PENDING, row.attempt, RECONCILER)


def expire_leases(session: Session, owners: Sequence[str]) -> int:
    """End the leases of workers that are known to be dead; the reaper does the rest."""
    rows = session.execute(
        update(Job)
        .where(Job.status == JobStatus.PROCESSING, Job.lease_owner.in_(owners))
        .values(lease_expires_at=func.now())
        .returning(Job.id)
    ).all()
    return len(rows)


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
            "rank": _rank_of_retry(),
            "next_attempt_at": func.now() + after,
            "current_step": Step.WAITING_FOR_RETRY,
        }
    # The token moves on, so that a worker that was only frozen finds itself fenced off.
    session.execute(
        update(Job).where(Job.id == row.id).values(**values, lease_token=Job.lease_token + 1)
    )
    if after is None:
        record_dead_letter(session, row, failed, reason, actor=RECONCILER)
    else:
        detail = {**failed.detail, "after_s": round(after.total_seconds(), 3)}
        record(session, row.id, "reaped", JobStatus.PENDING, row.attempt, RECONCILER, detail)


def force_cancel(session: Session, row: Row[Any]) -> None:
    """Cancel over the head of a worker that does not obey. `row` is locked by the caller."""
    session.execute(
        update(Job)
        .where(Job.id == row.id)
        .values(**_finished(JobStatus.CANCELLED), lease_token=Job.lease_token + 1)
    )
    detail = {"forced": True}
    record(session, row.id, "cancelled", JobStatus.CANCELLED, row.attempt, RECONCILER, detail)


def mark_unpublished(session: Session, job_ids: Sequence[UUID]) -> None:
    """Note that nobody rang for jobs that wait; the dispatch sweep will."""
    session.execute(
        update(Job)
        .where(Job.id.in_(job_ids), Job.status == JobStatus.PENDING)
        .values(published_at=None)
    )


def delete_finished(session: Session, job_id: UUID) -> bool:
    """Delete a finished job with all that hangs on it. False when it is not finished."""
    row = session.execute(
        delete(Job).where(Job.id == job_id, Job.status.in_(TERMINAL)).returning(Job.id)
    ).one_or_none()
    if row is None:
        return False
    forget_messages(session, [job_id])
    return True


def _held(mine: Claim) -> tuple[ColumnElement[bool], ...]:
    return (
        Job.id == mine.job_id,
        Job.lease_token == mine.lease_token,
        Job.lease_owner == mine.worker,
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
        "waiting_since": func.now(),
        "updated_at": func.now(),
        "time_left_s": None,
        **NO_LEASE,
    }


def _rank_of_retry() -> ColumnElement[int]:
    return case((Job.priority == Priority.HIGH, Rank.HIGH), else_=Rank.RETRY)
