"""A job of ours as the door's renderer takes it."""

from domain.lifecycle import JobStatus
from formats.doors.assemblyai import TranscriptJob
from services.views import JobView

DOOR = "assemblyai"


def shown(job: JobView) -> TranscriptJob:
    """What is to be shown of a job; one that came by another door was asked for otherwise."""
    return TranscriptJob(
        job_id=job.job_id,
        status=JobStatus(job.status),
        created_at=job.created_at,
        completed_at=job.completed_at,
        language=job.language,
        duration_s=job.duration,
        error=job.error_message,
        asked=job.door_fields if job.door == DOOR else {},
    )
