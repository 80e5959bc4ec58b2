"""Wait for a job on behalf of a client that holds its connection open for the transcript."""

import logging
import time
from collections.abc import Callable
from uuid import UUID

from sqlalchemy import select

from domain.errors import JobCancelled, JobFailed, JobStateConflict, JobTimedOut
from domain.lifecycle import JobStatus
from domain.transcript import Transcript
from models import TranscriptionJob
from services.context import Services
from services.jobs import cancel_job, get_job, get_transcript
from services.views import JobView

logger = logging.getLogger(__name__)

FIRST_LOOK_S = 0.05
LOOK_EVERY_S = 0.5  # later on: a job that took long may be told of a little late


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
) -> tuple[JobView, Transcript]:
    """The job and its transcript, once it is completed.

    A job whose client is gone is cancelled, unless it shall be kept. Raises ClientGone;
    JobFailed with the code of the failure; JobCancelled; JobTimedOut past `timeout_s`, and then
    the job goes on and its id is in the details; JobNotFound.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    pause_s = FIRST_LOOK_S
    while not _is_finished(services, job_id):
        if is_gone():
            _leave(services, job_id, tenant, keep=keep_if_gone)
            raise ClientGone
        if deadline is not None and time.monotonic() > deadline:
            raise JobTimedOut("the job is not finished yet and goes on", job_id=str(job_id))
        time.sleep(pause_s)
        pause_s = min(LOOK_EVERY_S, pause_s * 1.3)
    job = get_job(services, job_id, tenant=tenant)
    if job.status == JobStatus.COMPLETED:
        return get_transcript(services, job_id, tenant=tenant)
    raise ended_without_result(job)


def ended_without_result(job: JobView) -> JobFailed | JobCancelled:
    """Why a finished job has no transcript."""
    if job.status == JobStatus.CANCELLED:
        return JobCancelled("the job was cancelled", job_id=str(job.job_id))
    return JobFailed(
        job.error_message or "the job failed",
        failure=job.error_type or "internal_error",
        job_id=str(job.job_id),
    )


def _is_finished(services: Services, job_id: UUID) -> bool:
    query = select(TranscriptionJob.completed_at).where(TranscriptionJob.id == job_id)
    with services.open_statement() as session:
        row = session.execute(query).one_or_none()
    return row is None or row.completed_at is not None


def _leave(services: Services, job_id: UUID, tenant: str, *, keep: bool) -> None:
    logger.info("client_gone", extra={"job_id": str(job_id), "is_kept": keep})
    if keep:
        return
    try:
        cancel_job(services, job_id, tenant=tenant, actor="client gone")
    except JobStateConflict:
        logger.debug("job_finished_as_client_left", extra={"job_id": str(job_id)})
