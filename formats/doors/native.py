"""Jobs as Dalston's native API shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain.lifecycle import JobStatus
from domain.transcript import Segment, Transcript

STATUS_WORDS = {JobStatus.PROCESSING.value: "running"}  # the others are the same
CANCELLING = "cancelling"
GRANULARITY = "timestamps_granularity"


@dataclass(frozen=True)
class NativeJob:
    """What is known of a job; `kept_days` 0 is for ever."""

    job_id: UUID
    status: str
    name: str | None
    filename: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    model: str
    error: str | None
    progress: float  # 0 to 1
    current_step: str
    language: str | None
    duration_s: float | None
    word_count: int | None
    cancel_requested: bool
    door_fields: Mapping[str, Any]
    kept_days: int
    recording_removed_at: datetime | None = None


def status_word(status: str, *, is_cancel_requested: bool = False) -> str:
    """Dalston's word for where a job stands."""
    if status == JobStatus.PROCESSING and is_cancel_requested:
        return CANCELLING
    return STATUS_WORDS.get(status, status)


def display_name(name: str | None, filename: str | None, job_id: UUID) -> str:
    """What to call a job: as its owner does, else as its file, else by its id."""
    return name or filename or str(job_id)


def render_summary(job: NativeJob) -> dict[str, Any]:
    """A job in a list."""
    return {
        "id": job.job_id,
        "status": status_word(job.status, is_cancel_requested=job.cancel_requested),
        "display_name": display_name(job.name, job.filename, job.job_id),
        "created_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "model": job.model,
        "progress": round(100 * job.progress),
        "audio_duration_seconds": job.duration_s,
        "result_language_code": job.language if job.word_count is not None else None,
        "result_word_count": job.word_count,
    }


def render_job(job: NativeJob, transcript: Transcript | None) -> dict[str, Any]:
    """A job with its transcript, once it has one."""
    waited = job.started_at - job.created_at if job.started_at else None
    return {
        **render_summary(job),
        "error": job.error,
        "current_stage": job.current_step,
        "total_wait_ms": _ms(waited),
        "retention": _retention(job),
        **_result(transcript, str(job.door_fields.get(GRANULARITY, "word"))),
    }


def _result(transcript: Transcript | None, granularity: str) -> dict[str, Any]:
    if transcript is None:
        return {
            "language_code": None,
            "languages": None,
            "text": None,
            "words": None,
            "segments": None,
            "result_segment_count": None,
            "result_character_count": None,
        }
    words = [word for segment in transcript.segments for word in _words(segment)]
    has_words = any(segment.words is not None for segment in transcript.segments)
    return {
        "language_code": transcript.language,
        "languages": [transcript.language],
        "text": transcript.text,
        "words": words if has_words and granularity == "word" else None,
        "segments": None if granularity == "none" else [*map(_segment, transcript.segments)],
        "result_segment_count": len(transcript.segments),
        "result_character_count": len(transcript.text),
    }


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        "id": str(segment.id),
        "start": segment.start,
        "end": segment.end,
        "text": segment.text.strip(),
    }


def _words(segment: Segment) -> list[dict[str, Any]]:
    return [
        {
            "text": word.word.strip(),
            "start": word.start,
            "end": word.end,
            "confidence": word.probability,
        }
        for word in segment.words or ()
    ]


def _retention(job: NativeJob) -> dict[str, Any]:
    keeps = job.kept_days == 0
    ends = None if keeps or job.completed_at is None else timedelta(days=job.kept_days)
    return {
        "mode": "keep" if keeps else "auto_delete",
        "hours": None if keeps else 24 * job.kept_days,
        "purge_after": job.completed_at + ends if job.completed_at and ends else None,
        "purged_at": job.recording_removed_at,
    }


def _ms(span: timedelta | None) -> int | None:
    return None if span is None else max(0, round(span.total_seconds() * 1000))
