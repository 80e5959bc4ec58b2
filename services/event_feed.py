"""What is new about jobs, read for all who listen in a constant number of queries.

Postgres is asked again and again, a few times per second and process, instead of telling by
NOTIFY: that takes a lock at commit that makes all commits of the server wait for each other.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Integer,
    Row,
    TableValuedAlias,
    Uuid,
    and_,
    cast,
    column,
    extract,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONPATH
from sqlalchemy.orm import Session

from domain.lifecycle import JobStatus
from models import JobEvent, TranscriptionJob, TranscriptionResult, TranscriptionWindow
from services.context import Services

Job, Result, Kept = TranscriptionJob, TranscriptionResult, TranscriptionWindow

# What was decoded before one of these is told again from its beginning.
RESETS = frozenset({"restarted", "requeued"})


@dataclass(frozen=True)
class Wanted:
    """What somebody has of a job already: what comes after it is news."""

    job_id: UUID
    event_id: int = 0  # last line of history
    window: int = 0  # number of the next window
    segments: int = 0


@dataclass(frozen=True)
class Transition:
    """One line of the history."""

    id: int
    event: str
    status: str
    attempt: int
    actor: str
    detail: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True)
class KeptSegments:
    """The segments of one window of an unfinished job."""

    number: int
    segments: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ResultNews:
    """A result: small facts, and its segments from number `first` on."""

    duration_s: float
    model_used: str
    language: str
    word_count: int
    count: int  # of all its segments
    first: int
    segments: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class JobNews:
    """How a job stands, and what of it is new, all of one moment."""

    status: str
    attempt: int
    progress: float
    current_step: str
    time_left_s: float | None
    is_in_line: bool  # waits for a worker, not for its next attempt
    completed_at: datetime | None
    transitions: Sequence[Transition]
    windows: Sequence[KeptSegments]
    result: ResultNews | None


@contextmanager
def snapshot(services: Services) -> Iterator[Session]:
    """A session in which every query sees the same moment. Raises DatabaseUnavailable."""
    with services.open_session() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield session


def read_news(session: Session, wanted: Sequence[Wanted]) -> dict[UUID, JobNews]:
    """What is new about these jobs; those that do not exist are left out. A snapshot is needed.

    Three queries, however many jobs.
    """
    if not wanted:
        return {}
    transitions = _read_transitions(session, wanted)
    # What was decoded before a reset is gone; its numbers start again.
    current = [
        replace(want, window=0, segments=0)
        if any(line.event in RESETS for line in transitions[want.job_id])
        else want
        for want in wanted
    ]
    windows = _read_windows(session, current)
    return {
        row.id: _job_news(row, transitions[row.id], windows[row.id])
        for row in _read_jobs(session, current)
    }


def _job_news(
    row: Row[Any], transitions: Sequence[Transition], windows: Sequence[KeptSegments]
) -> JobNews:
    time_left_s = None if row.time_left_s is None else row.time_left_s - float(row.age_s)
    return JobNews(
        status=row.status,
        attempt=row.attempt,
        progress=row.progress,
        current_step=row.current_step,
        time_left_s=None if time_left_s is None else max(0.0, round(time_left_s, 1)),
        is_in_line=row.status == JobStatus.PENDING and row.next_attempt_at is None,
        completed_at=row.completed_at,
        transitions=transitions,
        windows=windows,
        result=None if row.model_used is None else _result_news(row),
    )


def _result_news(row: Row[Any]) -> ResultNews:
    return ResultNews(
        duration_s=row.duration,
        model_used=row.model_used,
        language=row.language,
        word_count=row.word_count,
        count=row.count_all,
        first=row.first,
        segments=row.rest,
    )


def _read_transitions(
    session: Session, wanted: Sequence[Wanted]
) -> defaultdict[UUID, list[Transition]]:
    seen = _as_table(wanted)
    # Lines of one job are written under the lock of its row: their ids are in order.
    rows = session.scalars(
        select(JobEvent)
        .join(seen, and_(JobEvent.job_id == seen.c.job_id, JobEvent.id > seen.c.event_id))
        .order_by(JobEvent.id)
    )
    found = defaultdict(list)
    for row in rows:
        found[row.job_id].append(
            Transition(row.id, row.event, row.status, row.attempt, row.actor, row.detail, row.at)
        )
    return found


def _read_windows(
    session: Session, wanted: Sequence[Wanted]
) -> defaultdict[UUID, list[KeptSegments]]:
    seen = _as_table(wanted)
    rows = session.execute(
        select(Kept.job_id, Kept.number, Kept.segments)
        .join(seen, and_(Kept.job_id == seen.c.job_id, Kept.number >= seen.c.window))
        .order_by(Kept.job_id, Kept.number)
    )
    found = defaultdict(list)
    for row in rows:
        found[row.job_id].append(KeptSegments(row.number, row.segments))
    return found


def _read_jobs(session: Session, wanted: Sequence[Wanted]) -> Sequence[Row[*tuple[Any, ...]]]:
    seen = _as_table(wanted)
    # Cut by Postgres: the last windows of an hour are small, its whole result is not.
    rest = func.jsonb_path_query_array(
        Result.segments,
        cast("$[$first to last]", JSONPATH),
        func.jsonb_build_object("first", seen.c.segments),
    )
    return session.execute(
        select(
            Job.id,
            Job.status,
            Job.attempt,
            Job.progress,
            Job.current_step,
            Job.time_left_s,
            extract("epoch", func.clock_timestamp() - Job.updated_at).label("age_s"),
            Job.next_attempt_at,
            Job.completed_at,
            Result.duration,
            Result.model_used,
            Result.language,
            Result.word_count,
            func.jsonb_array_length(Result.segments).label("count_all"),
            seen.c.segments.label("first"),
            rest.label("rest"),
        )
        .join(seen, Job.id == seen.c.job_id)
        .outerjoin(Result, Result.job_id == Job.id)
    ).all()


def _as_table(wanted: Sequence[Wanted]) -> TableValuedAlias:
    """The wishes as a table of the query, so that one query serves them all."""
    return (
        func.unnest(
            literal([want.job_id for want in wanted], ARRAY(Uuid)),
            literal([want.event_id for want in wanted], ARRAY(BigInteger)),
            literal([want.window for want in wanted], ARRAY(Integer)),
            literal([want.segments for want in wanted], ARRAY(Integer)),
        )
        .table_valued(
            column("job_id", Uuid),
            column("event_id", BigInteger),
            column("window", Integer),
            column("segments", Integer),
            name="seen",
        )
        .render_derived()
    )
