"""Hold an answer until something happens to a job."""

import time
from collections.abc import Iterator
from uuid import UUID

from domain.errors import JobNotFound
from models import TranscriptionJob
from services.context import Services
from services.jobs import get_job
from services.views import JobView

FIRST_LOOK_S = 0.05
LONGER = 1.3  # each pause than the one before
LOOK_EVERY_S = 0.5  # later on: who has waited for long may be told a little late


def pauses() -> Iterator[float]:
    """Seconds between looks, for ever: what just began to move is looked at more often."""
    pause_s = FIRST_LOOK_S
    while True:
        yield pause_s
        pause_s = min(LOOK_EVERY_S, pause_s * LONGER)


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
    for pause_s in pauses():
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            break
        time.sleep(min(pause_s, remaining_s))
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
