"""Hold an answer until something happens to a job."""

import time
from uuid import UUID

from domain.errors import JobNotFound
from models import TranscriptionJob
from services.context import Services
from services.jobs import get_job
from services.views import JobView

LOOK_EVERY_S = 0.5  # one read by primary key; a person does not see a shorter delay


def wait_for_change(
    services: Services,
    job_id: UUID,
    *,
    timeout_s: float,
    since: JobView | None = None,
    tenant: str | None = None,
) -> JobView:
    """The job once it differs from `since` (or from now), at once when it is finished.

    After `timeout_s` the job is returned as it stands. Raises JobNotFound.
    """
    seen = since or get_job(services, job_id, tenant=tenant)
    if seen.is_terminal:
        return seen
    deadline = time.monotonic() + timeout_s
    while (remaining_s := deadline - time.monotonic()) > 0:
        time.sleep(min(LOOK_EVERY_S, remaining_s))
        if _mark(services, job_id) != _mark_of(seen):
            break
    return get_job(services, job_id, tenant=tenant)


def _mark(services: Services, job_id: UUID) -> tuple[object, ...]:
    with services.open_session() as session:
        job = session.get(TranscriptionJob, job_id)
        if job is None:
            raise JobNotFound("there is no job with this id", job_id=str(job_id))
        return (
            job.status,
            job.attempt,
            job.current_step,
            job.progress,
            job.cancel_requested_at is not None,
        )


def _mark_of(view: JobView) -> tuple[object, ...]:
    return (view.status, view.attempt, view.current_step, view.progress, view.cancel_requested)
