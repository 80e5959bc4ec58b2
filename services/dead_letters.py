"""What can be done about a job that was given up: retry, resolve, expire.

Every action stands in the history of its job. Actions on many commit each by itself and
answer for each.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from domain.errors import (
    AudioGone,
    ErrorLogNotFound,
    JobStateConflict,
    OptionInvalid,
    ScriptoriumError,
    StorageError,
)
from domain.lifecycle import JobStatus, Priority, rank_of
from domain.options import TranscriptionOptions, check_options
from domain.submission import whose_turn
from models import ErrorLog, TranscriptionJob
from services import lifecycle
from services.context import Services
from services.dead_letter_views import ErrorView, find_error, get_error
from services.dispatch import queue_for
from services.history import note
from services.jobs import next_turn, publish_or_log
from services.window_store import drop_windows

logger = logging.getLogger(__name__)

Job = TranscriptionJob
Action = Callable[[Services, int], UUID]

BULK_LIMIT = 1_000  # dead letters in one bulk call
ACTOR = "admin"
REFUSALS: tuple[type[ScriptoriumError], ...] = (
    ErrorLogNotFound,
    JobStateConflict,
    AudioGone,
    OptionInvalid,
    StorageError,
)


@dataclass(frozen=True)
class Changes:
    """What is to be different in a retry. The rest of the job stays as it was."""

    options: Mapping[str, Any] = field(default_factory=dict)  # of TranscriptionOptions, some
    priority: Priority | None = None


@dataclass(frozen=True)
class Selection:
    """Some dead letters: these, or every open one of a type or of an age."""

    ids: Sequence[int] | None = None
    error_type: str | None = None
    older_than: timedelta | None = None


@dataclass(frozen=True)
class ErrorOutcome:
    """What became of one dead letter of many."""

    id: int
    job_id: UUID | None
    is_done: bool
    code: str | None = None
    message: str | None = None


AS_BEFORE = Changes()


def retry_error(services: Services, error_id: int, changes: Changes = AS_BEFORE) -> ErrorView:
    """Put the job back on its queue, with its attempts before it again.

    Raises ErrorLogNotFound, JobStateConflict when the job is not failed any more, AudioGone
    when there is nothing left to transcribe, OptionInvalid when a change does not go with
    the job's other options.
    """
    _retry(services, error_id, changes)
    return get_error(services, error_id)


def resolve_error(services: Services, error_id: int, remark: str | None = None) -> ErrorView:
    """Mark as dealt with; the job stays failed. Raises ErrorLogNotFound."""
    _resolve(services, error_id, remark)
    return get_error(services, error_id)


def expire_error(services: Services, error_id: int) -> ErrorView:
    """Give the job up for good: recording and decoded windows go, the failed job stays to be seen.

    Raises ErrorLogNotFound, or JobStateConflict when the job is not failed any more.
    """
    _expire(services, error_id)
    return get_error(services, error_id)


def retry_errors(
    services: Services, which: Selection, changes: Changes = AS_BEFORE
) -> list[ErrorOutcome]:
    """Retry many, with the same changes. One answer for each."""
    return _do_each(services, which, lambda services, i: _retry(services, i, changes))


def resolve_errors(
    services: Services, which: Selection, remark: str | None = None
) -> list[ErrorOutcome]:
    """Resolve many. One answer for each."""
    return _do_each(services, which, lambda services, i: _resolve(services, i, remark))


def expire_errors(services: Services, which: Selection) -> list[ErrorOutcome]:
    """Expire many. One answer for each."""
    return _do_each(services, which, _expire)


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


def _retry(services: Services, error_id: int, changes: Changes) -> UUID:
    with services.open_session() as session:
        job = _lock_failed(session, error_id, "retried")
        if job.file_removed_at or services.storage.size_of(job.file_path) is None:
            raise AudioGone("the recording was removed: there is nothing to try again")
        priority = job.priority if changes.priority is None else changes.priority
        whose = whose_turn(job.tenant, job.client)
        turn = next_turn(services, whose, rank_of(priority, 0))
        lifecycle.requeue_failed(  # never refused: its conditions were just tested, and hold
            session,
            job.id,
            actor=ACTOR,
            options=_changed_options(job.options, changes.options),
            priority=priority,
            turn=turn,
            detail={"error_id": error_id, **_told(changes)},
        )
        # Every open dead letter of the job is answered by this one retry.
        _close(session, ErrorLog.job_id == job.id, "retried")
    publish_or_log(services, job.id, queue_for(priority, 0))
    return _done("dead_letter_retried", error_id, job.id)


def _resolve(services: Services, error_id: int, remark: str | None) -> UUID:
    with services.open_session() as session:
        job_id = find_error(session, error_id).job_id
        if _close(session, ErrorLog.id == error_id, remark or "resolved"):
            detail = {"error_id": error_id, "note": remark}
            note(session, job_id, "resolved", actor=ACTOR, detail=detail)
    return _done("dead_letter_resolved", error_id, job_id)


def _expire(services: Services, error_id: int) -> UUID:
    with services.open_session() as session:
        job = _lock_failed(session, error_id, "given up for good")
        if not job.file_removed_at:
            session.execute(
                update(Job)
                .where(Job.id == job.id)
                .values(file_removed_at=func.now(), updated_at=func.now())
            )
            detail = {"error_id": error_id, "windows": drop_windows(session, job.id)}
            note(session, job.id, "expired", actor=ACTOR, detail=detail)
        _close(session, ErrorLog.job_id == job.id, "expired")
    # After the commit: a crash in between leaves a file that its row gave up, which the
    # storage audit finds. So does whoever repeats the request.
    services.storage.delete(job.file_path)
    return _done("dead_letter_expired", error_id, job.id)


def _lock_failed(session: Session, error_id: int, verb: str) -> Row[*tuple[Any, ...]]:
    """The job of a dead letter, held until the end of the transaction; it is failed."""
    job = session.execute(
        select(
            Job.id,
            Job.status,
            Job.priority,
            Job.client,
            Job.tenant,
            Job.options,
            Job.file_path,
            Job.file_removed_at,
        )
        .where(Job.id == find_error(session, error_id).job_id)
        .with_for_update(key_share=True)
    ).one_or_none()
    if job is None:  # removed since, and its dead letters with it
        raise ErrorLogNotFound("there is no dead letter with this id", id=error_id)
    if job.status != JobStatus.FAILED:
        raise JobStateConflict(
            f"the job is {job.status}, only a failed one can be {verb}", status=job.status
        )
    return job


def _changed_options(options: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any] | None:
    """The job's options with the changes; None when they come out as they were."""
    changed = check_options(TranscriptionOptions.from_dict({**options, **changes})).to_dict()
    return None if changed == options else changed


def _told(changes: Changes) -> dict[str, Any]:
    told: dict[str, Any] = {"options": dict(changes.options)} if changes.options else {}
    if changes.priority is not None:
        told["priority"] = changes.priority.label
    return told


def _close(session: Session, which: ColumnElement[bool], resolution: str) -> bool:
    """Close the open ones among these; False when there was none."""
    closed = session.execute(
        update(ErrorLog)
        .where(which, ~ErrorLog.resolved)
        .values(resolved=True, resolution=resolution, resolved_at=func.now())
        .returning(ErrorLog.id)
    ).all()
    return bool(closed)


def _do_each(services: Services, which: Selection, action: Action) -> list[ErrorOutcome]:
    return [_try(services, error_id, action) for error_id in _chosen(services, which)]


def _try(services: Services, error_id: int, action: Action) -> ErrorOutcome:
    try:
        job_id = action(services, error_id)
    except REFUSALS as error:
        return ErrorOutcome(error_id, None, is_done=False, code=error.code, message=error.message)
    return ErrorOutcome(error_id, job_id, is_done=True)


def _chosen(services: Services, which: Selection) -> Sequence[int]:
    if which.ids is not None:
        return which.ids
    query = select(ErrorLog.id).where(~ErrorLog.resolved).order_by(ErrorLog.id).limit(BULK_LIMIT)
    if which.error_type is not None:
        query = query.where(ErrorLog.error_type == which.error_type)
    if which.older_than is not None:
        query = query.where(ErrorLog.created_at < func.now() - which.older_than)
    with services.open_session() as session:
        return session.scalars(query).all()


def _done(event: str, error_id: int, job_id: UUID) -> UUID:
    logger.info(event, extra={"error_id": error_id, "job_id": str(job_id)})
    return job_id
