"""What a caller sees of a job: plain values, free of the database."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.lifecycle import JobStatus, Priority
from models import TranscriptionJob, TranscriptionResult


@dataclass(frozen=True)
class JobView:
    """One job as it stands. What is unknown is None."""

    job_id: UUID
    status: str
    progress: float  # share of the recording that is done, 0 to 1
    current_step: str
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    next_attempt_at: datetime | None
    model_size: str
    model_used: str | None
    language: str | None  # found, or else asked for
    language_probability: float | None
    duration: float | None  # seconds
    word_count: int | None
    confidence: float | None
    transcription: str | None
    filename: str | None
    content_type: str | None
    size_bytes: int
    sha256: str
    priority: str
    task: str
    options: dict[str, Any]
    attempt: int
    max_attempts: int
    fallbacks: list[dict[str, Any]]
    warnings: list[dict[str, Any]]
    queue_position: int | None  # 1 is next
    time_left_s: float | None
    timings: dict[str, float] | None  # seconds per stage
    error_type: str | None
    error_message: str | None
    cancel_requested: bool
    request_id: str | None
    tenant: str
    door: str
    door_fields: dict[str, Any]
    name: str | None
    labels: dict[str, Any]
    batch_id: UUID | None

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.status in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


def job_view(
    job: TranscriptionJob,
    result: TranscriptionResult | None = None,
    *,
    queue_position: int | None = None,
    with_text: bool = True,
) -> JobView:
    """Put a row, and its result where there is one, into words."""
    found = _result_fields(job, result, with_text=with_text)
    return JobView(
        job_id=job.id,
        status=job.status,
        progress=job.progress,
        current_step=job.current_step,
        created_at=job.created_at,
        updated_at=job.updated_at,
        started_at=job.started_at,
        completed_at=job.completed_at,
        next_attempt_at=job.next_attempt_at,
        model_size=job.model_size,
        filename=job.original_filename,
        content_type=job.content_type,
        size_bytes=job.size_bytes,
        sha256=job.sha256,
        priority=Priority(job.priority).label,
        task=job.options["task"],
        options=job.options,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        queue_position=queue_position,
        time_left_s=_time_left(job),
        error_type=job.error_type,
        error_message=job.error_message,
        cancel_requested=job.cancel_requested_at is not None,
        request_id=job.request_id,
        tenant=job.tenant,
        door=job.door,
        door_fields=job.door_fields,
        name=job.name,
        labels=job.labels,
        batch_id=job.batch_id,
        **found,
    )


def _result_fields(
    job: TranscriptionJob, result: TranscriptionResult | None, *, with_text: bool
) -> dict[str, Any]:
    if result is None:
        return {
            "model_used": None,
            "language": job.language,
            "language_probability": None,
            "duration": job.duration_s,
            "word_count": None,
            "confidence": None,
            "transcription": None,
            "fallbacks": [],
            "warnings": [],
            "timings": None,
        }
    return {
        "model_used": result.model_used,
        "language": result.language,
        "language_probability": result.language_probability,
        "duration": result.duration,
        "word_count": result.word_count,
        "confidence": result.confidence,
        "transcription": result.transcription_text if with_text else None,
        "fallbacks": result.fallbacks,
        "warnings": result.warnings,
        "timings": result.timings,
    }


def _time_left(job: TranscriptionJob) -> float | None:
    if job.time_left_s is None or job.status != JobStatus.PROCESSING:
        return None
    since = (datetime.now(UTC) - job.updated_at).total_seconds()
    return max(0.0, round(job.time_left_s - since, 1))
