"""The statements that every job runs through, prepared: create, claim, complete.

Only services/lifecycle.py uses them.
"""

from functools import partial
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Insert,
    Interval,
    Select,
    Text,
    all_,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.sql.selectable import CTE

from domain.lifecycle import JobStatus, Step
from models import IdempotencyKey, TranscriptionJob, TranscriptionResult, TranscriptionWindow
from services.history import event_from
from services.prepared import RELAX, Parameters, Prepared
from services.queue_order import best_waiting
from services.usage import COMPLETED, SUBMITTED, entry_from

jobs: Any = TranscriptionJob.__table__
results: Any = TranscriptionResult.__table__
windows: Any = TranscriptionWindow.__table__
keys: Any = IdempotencyKey.__table__

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


def _create(parameter: Parameters, *, is_once: bool, is_reused: bool) -> Select[Any]:
    """Insert a job (parameters: CREATED), the first line of its history (detail), and its usage.

    Once: only where the tenant has not used the key yet (idempotency_key, fingerprint). Reused:
    completed at once, with the result of another job (source_id, notice), while there is one.
    Returns the id of what was made.
    """
    given = {name: parameter(name, jobs.c[name].type) for name in CREATED}
    source = _source(parameter) if is_reused else None
    gate = _gate(parameter, given, source) if is_once else source
    values = {**given, **(_FINISHED if is_reused else _WAITING)}
    chosen = select(*values.values())
    job = (
        insert(jobs)
        .from_select([*values], chosen if gate is None else chosen.select_from(gate))
        .returning(jobs.c.id, jobs.c.tenant)
        .cte("job")
    )
    duration_s = given["duration_s"]
    actor = func.coalesce(literal("key:") + cast(given["key_id"], Text), literal("api"))
    parts = [
        entry_from(job, SUBMITTED, size_bytes=given["size_bytes"], audio_s=duration_s).cte("used"),
        event_from(
            job,
            "completed" if is_reused else "submitted",
            JobStatus.COMPLETED if is_reused else JobStatus.PENDING,
            literal(0),
            actor,
            parameter("detail", JSONB()),
        ).cte("event"),
    ]
    if source is not None:
        parts.append(_copy(parameter, job, source).cte("copied"))
        # No model worked for it, which is what the seconds of compute count.
        parts.append(entry_from(job, COMPLETED, audio_s=source.c.duration).cte("done"))
    return select(job.c.id).add_cte(*parts)


_WAITING: dict[str, ColumnElement[Any]] = {
    "status": literal(JobStatus.PENDING.value),
    "published_at": func.now(),
}
_FINISHED: dict[str, ColumnElement[Any]] = {
    "status": literal(JobStatus.COMPLETED.value),
    "completed_at": func.now(),
    "current_step": literal(Step.DONE.value),
    "progress": literal(1.0),
}


def _source(parameter: Parameters) -> CTE:
    """The result to copy, while its job is there."""
    return (select(results).where(results.c.job_id == parameter("source_id", jobs.c.id.type))).cte(
        "source"
    )


def _gate(parameter: Parameters, given: dict[str, Any], source: CTE | None) -> CTE:
    """One row for whoever uses the key first. Who comes at the same time waits here for it."""
    values = {
        "tenant": given["tenant"],
        "key": parameter("idempotency_key", keys.c.key.type),
        "fingerprint": parameter("fingerprint", keys.c.fingerprint.type),
        "job_id": given["id"],
    }
    chosen = select(*values.values())
    return (
        insert_or(keys)
        .from_select([*values], chosen if source is None else chosen.select_from(source))
        .on_conflict_do_nothing()
        .returning(keys.c.job_id)
        .cte("gate")
    )


def _copy(parameter: Parameters, job: CTE, source: CTE) -> Insert:
    """The result of the source, for the new job, with a notice that says so."""
    copied: dict[str, Any] = {name: source.c[name] for name in RESULT}
    older = func.jsonb_path_query_array(
        source.c.warnings, literal_column("'$[*] ? (@.code != \"result_reused\")'::jsonpath")
    )
    copied["warnings"] = older.op("||")(parameter("notice", JSONB()))
    return insert(results).from_select(
        ["job_id", "attempt", "lease_token", *copied],
        select(job.c.id, literal(0), literal(0), *copied.values()).select_from(job, source),
    )


def _claim(parameter: Parameters, *, is_high_only: bool, is_limited: bool) -> Select[Any]:
    """Claim the job that goes next. Parameters: rank, worker, lease.

    Limited: among those of tenants that are not in `full`. Its loss in a crash of Postgres does
    no harm, so it does not wait for the disk.
    """
    waiting = best_waiting(parameter("rank", jobs.c.rank.type), is_high_only=is_high_only)
    if is_limited:
        waiting = waiting.where(jobs.c.tenant != all_(parameter("full", ARRAY(Text()))))
    best = waiting.cte("best")
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
        .returning(jobs.c.id, jobs.c.tenant)
        .cte("done")
    )
    given = (parameter(name, results.c[name].type) for name in RESULT)
    result = insert(results).from_select(
        ["job_id", "attempt", "lease_token", *RESULT], select(done.c.id, attempt, token, *given)
    )
    event = event_from(done, "completed", JobStatus.COMPLETED, attempt, worker, None)
    dropped = delete(windows).where(windows.c.job_id == done.c.id)
    used = entry_from(
        done,
        COMPLETED,
        audio_s=parameter("duration_s", jobs.c.duration_s.type),
        compute_s=parameter("transcribe_s", results.c.transcribe_s.type),
    )
    return select(done.c.id).add_cte(
        result.cte("result"), event.cte("event"), dropped.cte("dropped"), used.cte("used")
    )


CREATE_JOB = {  # by what the submission asks for: (a key, a result that is there)
    (is_once, is_reused): Prepared(
        f"create_job_{int(is_once)}{int(is_reused)}",
        partial(_create, is_once=is_once, is_reused=is_reused),
        returns={"id": jobs.c.id.type},
    )
    for is_once in (False, True)
    for is_reused in (False, True)
}
CLAIM_RETURNS = {
    "job_id": jobs.c.id.type,
    **{name: jobs.c[name].type for name in CLAIMED},
    "has_windows": Boolean(),
    "is_relaxed": Text(),
}
CLAIM = {  # by what may be claimed: (urgent jobs alone, not those of some tenants)
    (is_high_only, is_limited): Prepared(
        f"claim_{int(is_high_only)}{int(is_limited)}",
        partial(_claim, is_high_only=is_high_only, is_limited=is_limited),
        CLAIM_RETURNS,
    )
    for is_high_only in (False, True)
    for is_limited in (False, True)
}
COMPLETE_JOB = Prepared("complete_job", _complete, returns={"id": jobs.c.id.type})
