"""One attempt as values: the right to it, what the database answers, how it failed."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Claim:
    """The right to work on a job for one attempt. Owner and token together fence it."""

    job_id: UUID
    attempt: int
    lease_token: int
    max_attempts: int
    worker: str
    file_path: str
    duration_s: float | None
    options: dict[str, Any]
    request_id: str | None
    rank: int
    error_type: str | None  # how the last attempt that failed did so
    has_windows: bool  # an earlier attempt decoded some


@dataclass(frozen=True)
class Beat:
    """What the database says to a worker that renews its lease."""

    is_cancel_requested: bool


@dataclass(frozen=True)
class FailedAttempt:
    """Facts about an attempt that ended with an error."""

    error_type: str  # stable code
    error_class: str
    message: str
    stack_trace: str | None
    worker: str | None
    memory_mb: float | None

    @property
    def detail(self) -> dict[str, Any]:
        """What the history says of it."""
        return {
            "error_type": self.error_type,
            "message": self.message,
            "worker": self.worker,
            "memory_mb": self.memory_mb,
        }
