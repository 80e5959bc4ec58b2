"""The server's JSON as values. Whatever a server leaves out is None, never an error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.lifecycle import TERMINAL, JobStatus, Step


@dataclass(frozen=True)
class Job:
    """Where one job stands, as the server last said. Times in seconds, progress from 0 to 1."""

    id: str
    status: str
    step: str | None = None
    progress: float = 0.0
    queue_position: int | None = None
    time_left_s: float | None = None
    audio_s: float | None = None
    attempt: int = 0
    max_attempts: int | None = None
    filename: str | None = None
    language: str | None = None
    model_requested: str | None = None
    model_used: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    warnings: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    created_at: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_finished(self) -> bool:
        """True when the job will not change any more."""
        return self.status in TERMINAL

    @property
    def is_completed(self) -> bool:
        """True when there is a transcript to fetch."""
        return self.status == JobStatus.COMPLETED

    @property
    def waits_for_retry(self) -> bool:
        """True between a failed attempt and the next one."""
        return self.status == JobStatus.PENDING and self.step == Step.WAITING_FOR_RETRY

    @property
    def speed(self) -> float | None:
        """Audio seconds per wall second (RTFx), or None while unknown."""
        if not self.audio_s:
            return None
        if self.is_completed:
            wall_s = _seconds_between(self.started_at, self.completed_at)
            return self.audio_s / wall_s if wall_s else None
        if self.time_left_s and self.progress:
            return self.audio_s * (1 - self.progress) / self.time_left_s
        return None

    @property
    def wall_s(self) -> float | None:
        """Seconds from the start of the last attempt to its end, None when not finished."""
        return _seconds_between(self.started_at, self.completed_at)


@dataclass(frozen=True)
class JobPage:
    """One page of the list, newest first."""

    jobs: tuple[Job, ...]
    has_more: bool
    next_cursor: str | None


def job_from_json(data: Mapping[str, Any]) -> Job:
    """Read one job. Raises KeyError when it has no id or no status."""
    return Job(
        id=str(data["job_id"] if "job_id" in data else data["id"]),
        status=str(data["status"]),
        step=data.get("current_step"),
        progress=float(data.get("progress") or 0.0),
        queue_position=data.get("queue_position"),
        time_left_s=data.get("time_left_s"),
        audio_s=_first(data, "duration", "duration_s", "audio_duration_s"),
        attempt=int(data.get("attempt") or 0),
        max_attempts=data.get("max_attempts"),
        filename=_first(data, "original_filename", "filename"),
        language=data.get("language"),
        model_requested=_first(data, "model_requested", "requested_model", "model_size"),
        model_used=data.get("model_used"),
        error_code=data.get("error_type"),
        error_message=data.get("error_message"),
        warnings=_sentences(data.get("warnings")),
        fallbacks=tuple(describe_fallback(item) for item in data.get("fallbacks") or ()),
        created_at=data.get("created_at"),
        started_at=data.get("started_at"),
        completed_at=data.get("completed_at"),
        raw=data,
    )


def page_from_json(data: Mapping[str, Any]) -> JobPage:
    """Read one page of the list."""
    jobs = _first(data, "jobs", "items") or ()
    return JobPage(
        jobs=tuple(job_from_json(item) for item in jobs),
        has_more=bool(data.get("has_more")),
        next_cursor=_first(data, "next_cursor", "cursor"),
    )


def describe_fallback(item: object) -> str:
    """One rung of the out-of-memory ladder as a sentence for people."""
    if not isinstance(item, Mapping):
        return str(item)
    before, after = item.get("from_model"), item.get("to_model")
    reason = f" ({item['reason']})" if item.get("reason") else ""
    if before != after:
        return f"{after} was used instead of {before}{reason}"
    rung = str(item.get("rung", "fallback")).replace("_", " ")
    return f"{rung}, while the server worked with {after}{reason}"


def _sentences(items: Sequence[Any] | None) -> tuple[str, ...]:
    return tuple(
        str(item.get("message") or item.get("code")) if isinstance(item, Mapping) else str(item)
        for item in items or ()
    )


def _first(data: Mapping[str, Any], *names: str) -> Any:
    return next((data[name] for name in names if data.get(name) is not None), None)


def _seconds_between(start: str | None, end: str | None) -> float | None:
    if not start or not end:
        return None
    try:
        span = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    except (ValueError, TypeError):  # a clock without a zone beside one with a zone
        return None
    return span.total_seconds() or None
