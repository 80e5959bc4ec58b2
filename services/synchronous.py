"""Wait for a job on behalf of a client that holds its connection open for the transcript."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select

from domain.errors import (
    DatabaseUnavailable,
    JobCancelled,
    JobFailed,
    JobNotFound,
    JobStateConflict,
    JobTimedOut,
)
from domain.lifecycle import JobStatus
from domain.transcript import Transcript
from models import TranscriptionJob
from services.context import Services
from services.jobs import cancel_job, get_job, get_transcript
from services.views import JobView
from services.waiting import LOOK_EVERY_S, pauses

logger = logging.getLogger(__name__)

PATIENCE_S = 60.0  # with a database that is away: a restart of Postgres takes less

T = TypeVar("T")
Finished = tuple[JobView, Transcript]


class ClientGone(Exception):
    """The client closed its connection; nobody is there to answer."""


def await_transcript(
    services: Services,
    job_id: UUID,
    *,
    tenant: str,
    is_gone: Callable[[], bool],
    keep_if_gone: bool = False,
    timeout_s: float | None = None,
    patience_s: float = PATIENCE_S,
) -> Finished:
    """The job and its transcript, once it is completed.

    A job whose client is gone is cancelled, unless it shall be kept. Goes on waiting while the
    database is away for less than `patience_s`. Raises ClientGone; JobFailed with the code of
    the failure; JobCancelled; JobNotFound; and JobTimedOut past `timeout_s` or
    DatabaseUnavailable: then the job goes on, and its id is in the details.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    outage = _Outage(job_id, patience_s)
    look_again = pauses()
    while (found := outage.bridge(lambda: _look(services, job_id, tenant))) is None:
        if is_gone():
            leave_job(services, job_id, tenant=tenant, keep=keep_if_gone)
            raise ClientGone
        if deadline is not None and time.monotonic() > deadline:
            raise JobTimedOut("the job is not finished yet and goes on", job_id=str(job_id))
        time.sleep(next(look_again))
    return found


def finished_transcript(
    services: Services, job_id: UUID, *, tenant: str, patience_s: float = PATIENCE_S
) -> Finished:
    """The job and its transcript, of a job that has ended. Raises as `await_transcript`."""
    return await_transcript(
        services, job_id, tenant=tenant, is_gone=lambda: False, patience_s=patience_s
    )


def ended_without_result(job: JobView) -> JobFailed | JobCancelled:
    """Why a finished job has no transcript."""
    if job.status == JobStatus.CANCELLED:
        return JobCancelled("the job was cancelled", job_id=str(job.job_id))
    return JobFailed(
        job.error_message or "the job failed",
        failure=job.error_type or "internal_error",
        job_id=str(job.job_id),
    )


def leave_job(
    services: Services,
    job_id: UUID,
    *,
    tenant: str,
    keep: bool,
    patience_s: float = PATIENCE_S,
) -> None:
    """Cancel a job whose client is gone, unless it shall be kept. One that ended stays as it is."""
    logger.info("client_gone", extra={"job_id": str(job_id), "is_kept": keep})
    if keep:
        return
    outage = _Outage(job_id, patience_s)

    def cancel() -> bool:
        cancel_job(services, job_id, tenant=tenant, actor="client gone")
        return True

    try:
        while outage.bridge(cancel) is None:
            time.sleep(LOOK_EVERY_S)
    except (JobStateConflict, JobNotFound):
        logger.debug("job_finished_as_client_left", extra={"job_id": str(job_id)})
    except DatabaseUnavailable:
        # Nobody is there to be told. The job goes on, and its result is kept as any other.
        logger.warning("job_not_cancelled", extra={"job_id": str(job_id)})


class _Outage:
    """Asks a database that may be away for a while, but not for ever."""

    def __init__(self, job_id: UUID, patience_s: float) -> None:
        self._job_id = job_id
        self._patience_s = patience_s
        self._began_at: float | None = None

    def bridge(self, ask: Callable[[], T]) -> T | None:
        """What `ask` says, or None while the database is away. Raises DatabaseUnavailable."""
        try:
            answer = ask()
        except DatabaseUnavailable as error:
            now = time.monotonic()
            if self._began_at is None:
                self._began_at = now
                logger.warning("wait_without_database", extra={"job_id": str(self._job_id)})
            if now - self._began_at >= self._patience_s:
                raise DatabaseUnavailable(
                    "the database does not answer; the job goes on", job_id=str(self._job_id)
                ) from error
            return None
        self._began_at = None
        return answer


def _look(services: Services, job_id: UUID, tenant: str) -> Finished | None:
    """What the job came to, or None while it goes on."""
    if not _is_finished(services, job_id):
        return None
    job = get_job(services, job_id, tenant=tenant)
    if job.status == JobStatus.COMPLETED:
        return get_transcript(services, job_id, tenant=tenant)
    raise ended_without_result(job)


def _is_finished(services: Services, job_id: UUID) -> bool:
    query = select(TranscriptionJob.completed_at).where(TranscriptionJob.id == job_id)
    with services.open_statement() as session:
        row = session.execute(query).one_or_none()
    return row is None or row.completed_at is not None
