"""The three statements that every job runs through, built once: create, claim, complete.

Only services/lifecycle.py uses them. Building one takes longer than running it, so each is
built on first use, with parameters for what differs. They speak of tables and not of mapped
classes, which spares the session's bookkeeping.
"""

from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Insert,
    Interval,
    Select,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement

from domain.lifecycle import JobStatus, Step
from models import TranscriptionJob, TranscriptionResult, TranscriptionWindow
from services.history import event_from
from services.queue_order import best_waiting

jobs: Any = TranscriptionJob.__table__
results: Any = TranscriptionResult.__table__
windows: Any = TranscriptionWindow.__table__

CREATED = (
    *("id", "client", "priority", "rank", "turn", "model_size", "language", "options"),
    *("original_filename", "content_type", "file_path", "size_bytes", "sha256", "duration_s"),
    *("request_id", "max_attempts"),
)
CLAIMED = (
    *("attempt", "lease_token", "max_attempts", "file_path", "duration_s", "options"),
    *("request_id", "rank"),
)


@lru_cache(maxsize=1)
def create_statement() -> Insert:
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


@lru_cache(maxsize=2)
def claim_statement(*, is_high_only: bool) -> Select[Any]:
    """Claim the job that goes next. Parameters: rank, worker, lease.

    Its loss in a crash of Postgres does no harm, so it does not wait for the disk.
    """
    best = best_waiting(parameter("rank"), is_high_only=is_high_only).cte("best")
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
        func.set_config("synchronous_commit", "off", literal(True)).label("is_relaxed"),
    ).add_cte(started)


@lru_cache(maxsize=1)
def complete_statement(names: tuple[str, ...]) -> Select[Any]:
    """Finish a job that is held and not to be cancelled, write its result, drop its windows.

    Parameters: job_id, lease_token, worker, attempt, duration_s, and the columns `names` of
    the result.
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
    given: dict[str, ColumnElement[Any]] = {
        name: parameter(name, results.c[name].type) for name in names
    }
    result = insert(results).from_select(
        ["job_id", "attempt", "lease_token", *names],
        select(done.c.id, attempt, token, *given.values()),
    )
    event = event_from(done, "completed", JobStatus.COMPLETED, attempt, worker, None)
    dropped = delete(windows).where(windows.c.job_id == done.c.id)
    return select(done.c.id).add_cte(
        result.cte("result"), event.cte("event"), dropped.cte("dropped")
    )


def parameter(name: str, type_: Any = None) -> BindParameter[Any]:
    """A parameter `p_name`: SQLAlchemy keeps the plain names of columns for itself."""
    return bindparam(f"p_{name}", type_=type_)


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Values under the names of their parameters."""
    return {f"p_{name}": value for name, value in values.items()}
