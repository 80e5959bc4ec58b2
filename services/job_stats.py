"""How many jobs of a tenant stand where, and what became of them today."""

from dataclasses import dataclass

from sqlalchemy import func, select, text

from domain.lifecycle import JobStatus
from models import TranscriptionJob
from services.context import Services

Job = TranscriptionJob

TODAY = text("date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'")


@dataclass(frozen=True)
class JobStats:
    """Counts of jobs. A day is one of UTC."""

    running: int
    queued: int
    completed_today: int
    failed_today: int


def job_stats(services: Services, *, tenant: str) -> JobStats:
    """The counts of a tenant."""
    is_open = Job.status.in_((JobStatus.PENDING, JobStatus.PROCESSING))
    ended = Job.status.in_((JobStatus.COMPLETED, JobStatus.FAILED)) & (Job.completed_at >= TODAY)
    query = (
        select(Job.status, func.count().label("jobs"))
        .where(Job.tenant == tenant, is_open | ended)
        .group_by(Job.status)
    )
    with services.open_statement() as session:
        counts = {row.status: row.jobs for row in session.execute(query)}
    return JobStats(
        running=counts.get(JobStatus.PROCESSING, 0),
        queued=counts.get(JobStatus.PENDING, 0),
        completed_today=counts.get(JobStatus.COMPLETED, 0),
        failed_today=counts.get(JobStatus.FAILED, 0),
    )
