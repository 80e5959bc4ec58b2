"""The three statements that every job runs through, prepared: create, claim, complete.

Only services/lifecycle.py uses them.
"""

from functools import partial
from typing import Any

from sqlalchemy import (
    Boolean,
    Insert,
    Interval,
    Select,
    Text,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.lifecycle import JobStatus, Step
from models import TranscriptionJob, TranscriptionResult, TranscriptionWindow
from services.history import event_from
from services.prepared import RELAX, Parameters, Prepared
from services.queue_order import best_waiting

jobs: Any = TranscriptionJob.__table__
results: Any = TranscriptionResult.__table__
windows: Any = TranscriptionWindow.__table__

CREATED = (
    *("id", "client", "priority", "rank", "turn", "model_size", "language", "options"),
    *("original_filename", "content_type", "file_path", "size_bytes", "sha256", "duration_s"),
    *("request_id", "max_attempts"),
    *("tenant", "key_id", "door", "door_fields", "name", "labels", "batch_id", "webhook"),
)
RESULT = (
    *("transcription_text", "language", "language_probability", "duration", "word_count"),
    *("confidence", "segments", "task", "model_requested", "model_used", "engine", "device"),
    *("fallbacks", "warnings", "timings", "coverage", "transcribe_s"),
)
CLAIMED = (
    *("attempt", "lease_token", "max_attempts", "file_path", "duration_s", "options"),
    *("request_id", "rank", "error_type"),
)


def _create(parameter: Parameters) -> Insert:
    """Insert a waiting job (parameters: CREATED) and the first line of its history (detail)."""
    job = (
        insert(jobs)
        .values(
            status=JobStatus.PENDING.value,
            published_at=func.now(),
            **{name: parameter(name, jobs.c[name].type) for name in CREATED},
        )
        .returning(jobs.c.id)
        .cte("job")
    )
    return event_from(
        job, "submitted", JobStatus.PENDING, literal(0), "api", parameter("detail", JSONB())
    )


def _claim(parameter: Parameters, *, is_high_only: bool) -> Select[Any]:
    """Claim the job that goes next. Parameters: rank, worker, lease.

    Its loss in a crash of Postgres does no harm, so it does not wait for the disk.
    """
    best = best_waiting(parameter("rank", jobs.c.rank.type), is_high_only=is_high_only).cte("best")
    worker = parameter("worker", jobs.c.lease_owner.type)
    claimed = (
        update(jobs)
        .where(jobs.c.id == best.c.id)
        .values(
            status=JobStatus.PROCESSING.value,
            attempt=jobs.c.attempt + 1,
            lease_token=jobs.c.lease_token + 1,
            lease_owner=worker,
            lease_expires_at=func.now() + parameter("lease", Interval()),
            started_at=func.now(),
            updated_at=func.now(),
            progress=0,
            current_step=Step.DECODING_AUDIO.value,
            time_left_s=None,
        )
        .returning(jobs.c.id.label("job_id"), *(jobs.c[name] for name in CLAIMED))
        .cte("claimed")
    )
    started = event_from(
        claimed, "started", JobStatus.PROCESSING, claimed.c.attempt, worker, None
    ).cte("started")
    return select(
        claimed,
        exists().where(windows.c.job_id == claimed.c.job_id).label("has_windows"),
        RELAX.label("is_relaxed"),
    ).add_cte(started)


def _complete(parameter: Parameters) -> Select[Any]:
    """Finish a job that is held and not to be cancelled, write its result, drop its windows.

    Parameters: job_id, lease_token, worker, attempt, duration_s and RESULT.
    """
    token = parameter("lease_token", jobs.c.lease_token.type)
    worker = parameter("worker", jobs.c.lease_owner.type)
    attempt = parameter("attempt", jobs.c.attempt.type)
    done = (
        update(jobs)
        .where(
            jobs.c.id == parameter("job_id", jobs.c.id.type),
            jobs.c.lease_token == token,
            jobs.c.lease_owner == worker,
            jobs.c.status == JobStatus.PROCESSING.value,
            jobs.c.cancel_requested_at.is_(None),
        )
        .values(
            status=JobStatus.COMPLETED.value,
            completed_at=func.now(),
            updated_at=func.now(),
            current_step=Step.DONE.value,
            time_left_s=None,
            lease_owner=None,
            lease_expires_at=None,
            progress=1,
            duration_s=parameter("duration_s", jobs.c.duration_s.type),
        )
        .returning(jobs.c.id)
        .cte("done")
    )
    given = (parameter(name, results.c[name].type) for name in RESULT)
    result = insert(results).from_select(
        ["job_id", "attempt", "lease_token", *RESULT], select(done.c.id, attempt, token, *given)
    )
    event = event_from(done, "completed", JobStatus.COMPLETED, attempt, worker, None)
    dropped = delete(windows).where(windows.c.job_id == done.c.id)
    return select(done.c.id).add_cte(
        result.cte("result"), event.cte("event"), dropped.cte("dropped")
    )


CREATE_JOB = Prepared("create_job", _create, returns={})
CLAIM_RETURNS = {
    "job_id": jobs.c.id.type,
    **{name: jobs.c[name].type for name in CLAIMED},
    "has_windows": Boolean(),
    "is_relaxed": Text(),
}
CLAIM_ANY = Prepared("claim_any", partial(_claim, is_high_only=False), CLAIM_RETURNS)
CLAIM_HIGH = Prepared("claim_high", partial(_claim, is_high_only=True), CLAIM_RETURNS)
COMPLETE_JOB = Prepared("complete_job", _complete, returns={"id": jobs.c.id.type})
