"""What users do with jobs: submit, look, cancel, remove."""

import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.errors import (
    AudioTooLong,
    BrokerUnavailable,
    DatabaseUnavailable,
    JobNotFound,
    JobStateConflict,
    ResultNotReady,
    ScriptoriumError,
)
from domain.ids import new_id
from domain.lifecycle import TERMINAL, JobStatus, Priority, Rank, rank_of
from domain.options import TranscriptionOptions
from domain.submission import Submission, whose_turn
from domain.transcript import Transcript
from models import TranscriptionJob, TranscriptionResult
from services import lifecycle
from services.context import Services
from services.dispatch import queue_for
from services.idempotency import Once, first_job, once_of
from services.limits import require_room
from services.queue_order import count_ahead, take_turn
from services.result_cache import find_result
from services.results import transcript_of
from services.views import JobView, job_view
from storage.base import StoredFile

logger = logging.getLogger(__name__)

Job = TranscriptionJob


@dataclass(frozen=True)
class Submitted:
    """What became of a submission."""

    job_id: UUID
    is_replayed: bool = False  # by its Idempotency-Key the job was there before
    is_reused: bool = False  # it is completed, with a copy of another job's result


def submit_job(
    services: Services,
    stored: StoredFile,
    options: TranscriptionOptions,
    submission: Submission | None = None,
) -> UUID:
    """As `submit_once`, for whoever needs no more than the id."""
    return submit_once(services, stored, options, submission).job_id


def submit_once(
    services: Services,
    stored: StoredFile,
    options: TranscriptionOptions,
    submission: Submission | None = None,
) -> Submitted:
    """Make a job of a stored recording and ring for it, unless its key made one before.

    Raises AudioError when the file is no audio; TooManyJobs, QuotaExceeded, IdempotencyConflict.
    Then, as on any error before the row is committed and when the job was there before, the
    file is removed.
    """
    of = submission or Submission()
    try:
        made = _make(services, stored, options, of)
    except DatabaseUnavailable:
        # The commit may have gone through before the connection broke, so the file stays:
        # the sweep removes it if no row asks for it.
        raise
    except BaseException:
        services.storage.delete(stored.key)
        raise
    facts = {"job_id": str(made.job_id), "size_bytes": stored.size_bytes}
    if made.is_replayed:
        services.storage.delete(stored.key)
        logger.info("submission_replayed", extra=facts)
        return made
    logger.info("job_submitted", extra={**facts, "is_reused": made.is_reused})
    if not made.is_reused:
        # After the commit: a worker that answers before it would find no row.
        publish_or_log(services, made.job_id, queue_for(of.priority, 0))
    return made


def _make(
    services: Services, stored: StoredFile, options: TranscriptionOptions, of: Submission
) -> Submitted:
    once = once_of(stored, options, of)
    before = first_job(services, once) if once else None
    if before:  # what is there needs no examination, and no room
        return Submitted(before.job_id, is_replayed=True, is_reused=before.is_reused)
    duration_s = _probe(services, stored)
    require_room(services, of.tenant, size_bytes=stored.size_bytes, audio_s=duration_s)
    values = _values(services, stored, options, of, duration_s)
    while True:
        source_id = (
            find_result(services, of.tenant, stored.sha256, options) if of.reuse_result else None
        )
        if _create(services, values, of, once, source_id):
            return Submitted(values["id"], is_reused=source_id is not None)
        # Somebody used the key meanwhile, or removed the job whose result was to be copied.
        before = first_job(services, once) if once else None
        if before:
            return Submitted(before.job_id, is_replayed=True, is_reused=before.is_reused)


def _values(
    services: Services,
    stored: StoredFile,
    options: TranscriptionOptions,
    of: Submission,
    duration_s: float | None,
) -> dict[str, Any]:
    """The columns of the new job; its turn is still to be taken."""
    return {
        "id": new_id(),
        "client": of.client,
        "priority": of.priority,
        "rank": rank_of(of.priority, 0),
        "turn": 0.0,
        "model_size": options.model_size,
        "language": options.language,
        "options": options.to_dict(),
        "original_filename": of.filename,
        "content_type": of.content_type,
        "file_path": stored.key,
        "size_bytes": stored.size_bytes,
        "sha256": stored.sha256,
        "duration_s": duration_s,
        "request_id": of.request_id,
        "max_attempts": services.settings.max_attempts,
        **of.columns(),
    }


def _create(
    services: Services,
    values: dict[str, Any],
    of: Submission,
    once: Once | None,
    source_id: UUID | None,
) -> bool:
    detail: dict[str, Any] = {"priority": of.priority.label}
    if source_id is None:
        rank = rank_of(of.priority, 0)
        turn = next_turn(services, whose_turn(of.tenant, of.client), rank)
    else:
        turn = 0.0  # it does not stand in the line
        detail["reused_from"] = str(source_id)
    with services.open_statement() as session:
        return lifecycle.create(
            session, {**values, "turn": turn}, detail=detail, once=once, source_id=source_id
        )


def publish_or_log(services: Services, job_id: UUID, queue: str) -> None:
    """Ring the doorbell; when the broker is away the dispatch sweep rings later."""
    try:
        services.publish(job_id, queue)
    except BrokerUnavailable as error:
        logger.warning("job_not_published", extra={"job_id": str(job_id), "reason": str(error)})
        with services.open_statement() as session:
            lifecycle.mark_unpublished(session, [job_id])


def set_priority(
    services: Services,
    job_id: UUID,
    priority: Priority,
    *,
    tenant: str | None = None,
    actor: str = "api",
) -> JobView:
    """Move a waiting job to another priority; it takes effect with the next claim.

    Raises JobNotFound, or JobStateConflict for a job that does not wait.
    """
    with services.open_statement() as session:
        job, _ = find_job(session, job_id, tenant)
    if job.status == JobStatus.PENDING and job.priority == priority:
        return get_job(services, job_id)  # it keeps its place, and its client the next turn
    if job.status != JobStatus.PENDING:
        raise _conflict(job, "moved")
    whose = whose_turn(job.tenant, job.client)
    turn = next_turn(services, whose, rank_of(priority, job.attempt))
    with services.open_session() as session:
        if not lifecycle.reprioritise(session, job_id, priority, turn, actor=actor):
            raise _conflict(find_job(session, job_id)[0], "moved")  # taken meanwhile
    logger.info("job_reprioritised", extra={"job_id": str(job_id), "priority": priority.label})
    publish_or_log(services, job_id, queue_for(priority, job.attempt))
    return get_job(services, job_id)


def get_job(services: Services, job_id: UUID, *, tenant: str | None = None) -> JobView:
    """The job as it stands; of anybody without a tenant. Raises JobNotFound."""
    with services.open_session() as session:
        job, result = find_job(session, job_id, tenant)
        return job_view(job, result, queue_position=queue_position(session, job))


def cancel_job(
    services: Services, job_id: UUID, *, tenant: str | None = None, actor: str = "api"
) -> JobView:
    """Cancel at once what waits, ask what runs to stop.

    Raises JobNotFound, or JobStateConflict for a job that is finished.
    """
    with services.open_session() as session:
        find_job(session, job_id, tenant)
        status = lifecycle.cancel(session, job_id, actor=actor)
        job, result = find_job(session, job_id)
        if status is None:
            raise _conflict(job, "cancelled")
        logger.info("job_cancel", extra={"job_id": str(job_id), "status": str(status)})
        return job_view(job, result)


def purge_job(services: Services, job_id: UUID, *, tenant: str | None = None) -> None:
    """Remove a finished job with its result, history and recording.

    Raises JobNotFound, or JobStateConflict while the job is not finished.
    """
    with services.open_session() as session:
        job, _ = find_job(session, job_id, tenant)
        if not lifecycle.delete_finished(session, job_id):
            raise _conflict(job, "removed")
        key = job.file_path
    # After the commit: a crash in between leaves a file without a row, which a sweep removes.
    services.storage.delete(key)
    logger.info("job_purged", extra={"job_id": str(job_id)})


def get_transcript(
    services: Services, job_id: UUID, *, tenant: str | None = None
) -> tuple[JobView, Transcript]:
    """The result. Raises JobNotFound, ResultNotReady."""
    with services.open_session() as session:
        job, result = find_job(session, job_id, tenant)
        if result is None:
            raise ResultNotReady(
                f"the job is {job.status} and has no result",
                status=job.status,
                error_type=job.error_type,
            )
        return job_view(job, result), transcript_of(result)


def queue_position(session: Session, job: TranscriptionJob) -> int | None:
    """Place among the jobs that could start now, 1 being next; None when it does not wait.

    Counted up to POSITION_LIMIT + 1, which means that many or more.
    """
    if job.status != JobStatus.PENDING or job.next_attempt_at is not None:
        return None
    return 1 + count_ahead(session, job)


def next_turn(services: Services, client: str, rank: Rank) -> float:
    """The turn of a client's next job; taken at once, so that nobody waits for our commit."""
    weight = services.settings.weights.get(client, 1.0)
    with services.open_statement() as session:
        return take_turn(session, client, rank, weight)


def _probe(services: Services, stored: StoredFile) -> float | None:
    with services.storage.local_path(stored.key) as path:
        found = services.probe(path)
    maximum_s = services.settings.max_audio_duration_s
    if found.duration_s is not None and found.duration_s > maximum_s:
        raise AudioTooLong(
            f"the recording lasts {found.duration_s:.0f} s, the limit is {maximum_s} s",
            duration_s=round(found.duration_s, 3),
            maximum_s=maximum_s,
        )
    return found.duration_s


def find_job(
    session: Session, job_id: UUID, tenant: str | None = None
) -> tuple[TranscriptionJob, TranscriptionResult | None]:
    """The rows of a job and its result, read afresh.

    Raises JobNotFound, also for a job of somebody else: nobody learns that it exists.
    """
    row = session.execute(
        select(Job, TranscriptionResult)
        .outerjoin(TranscriptionResult, TranscriptionResult.job_id == Job.id)
        .where(Job.id == job_id, *(() if tenant is None else (Job.tenant == tenant,)))
        .execution_options(populate_existing=True)
    ).one_or_none()
    if row is None:
        raise JobNotFound("there is no job with this id", job_id=str(job_id))
    return row[0], row[1]


def _conflict(job: TranscriptionJob, verb: str) -> ScriptoriumError:
    state = "finished" if job.status in TERMINAL else "not finished"
    return JobStateConflict(
        f"the job is {job.status}, thus {state}, and cannot be {verb}", status=job.status
    )
