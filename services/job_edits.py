"""What owners change of their jobs afterwards: the name, and whether the recording stays."""

import logging
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update

from domain.errors import AudioGone, JobStateConflict
from domain.lifecycle import TERMINAL, JobStatus
from models import TranscriptionJob
from services.context import Services
from services.history import event_from
from services.jobs import find_job, get_job
from services.views import JobView

logger = logging.getLogger(__name__)

Job = TranscriptionJob


def rename_job(services: Services, job_id: UUID, name: str, *, tenant: str) -> JobView:
    """Call a job something else. Raises JobNotFound."""
    with services.open_session() as session:
        find_job(session, job_id, tenant)
        session.execute(
            update(Job).where(Job.id == job_id).values(name=name, updated_at=func.now())
        )
    return get_job(services, job_id, tenant=tenant)


def remove_recording(services: Services, job_id: UUID, *, tenant: str, actor: str) -> None:
    """Remove the recording of a finished job; its transcript stays.

    Raises JobNotFound, JobStateConflict for a job that is not finished, AudioGone when the
    recording was removed before.
    """
    removed = (
        update(Job)
        .where(Job.id == job_id, Job.status.in_(TERMINAL), Job.file_removed_at.is_(None))
        .values(file_removed_at=func.now())
        .returning(Job.id, Job.attempt, Job.file_path)
        .cte("removed")
    )
    with services.open_session() as session:
        job, _ = find_job(session, job_id, tenant)
        event = event_from(
            removed,
            "recording_removed",
            JobStatus(job.status),
            removed.c.attempt,
            actor,
            None,
        )
        key = session.scalar(select(removed.c.file_path).add_cte(event.cte("event")))
    if key is None and job.status not in TERMINAL:
        raise JobStateConflict(
            f"the job is {job.status}, thus not finished, and needs its recording",
            status=job.status,
        )
    if key is None:
        raise AudioGone("the recording was removed")
    # After the commit: a crash in between leaves a file that no row asks for.
    services.storage.delete(key)
    logger.info("recording_removed", extra={"job_id": str(job_id)})


def recording_removed_at(services: Services, job_id: UUID) -> datetime | None:
    """When the recording of a job was removed; None while it is there."""
    with services.open_statement() as session:
        return session.scalar(select(Job.file_removed_at).where(Job.id == job_id))
