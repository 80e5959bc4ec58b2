"""How long an urgent job would wait that came now: what a request may know before it waits."""

import math
from collections.abc import Iterable
from datetime import timedelta
from heapq import heapify, heapreplace

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config import QUEUE_HIGH
from domain.errors import ServerBusy
from domain.lifecycle import JobStatus, Rank
from models import TranscriptionJob, WorkerProcess
from services.context import Services
from services.estimates import Speeds
from services.liveness import GONE_AFTER_S, REPORT_EVERY_S
from services.queue_order import is_ready

Job = TranscriptionJob

LOOK_AHEAD_JOBS = 5_000  # waiting jobs that are looked at: past them the answer is "at least"
UNMEASURED_SPEED = 1.0  # times real time: a model that never ran here is taken to be slow
LONGEST_RETRY_S = 3600

SPEEDS = Speeds()  # of this process; each speed is asked for every 30 s at most


def require_capacity(services: Services) -> None:
    """Raise ServerBusy when a synchronous request should not even be read.

    That is when an urgent job would wait longer than SYNC_MAX_WAIT_S before it starts, or when
    no worker for urgent jobs has reported lately: then nobody knows when it would. The details
    say in `retry_after_s` when another try makes sense. Raises DatabaseUnavailable.
    """
    wait_s = expected_wait_s(services)
    maximum_s = services.settings.sync_max_wait_s
    if wait_s is None:
        raise ServerBusy(
            "no worker reports at the moment, so nothing would be transcribed",
            retry_after_s=math.ceil(REPORT_EVERY_S),
        )
    if wait_s > maximum_s:
        raise ServerBusy(
            f"an urgent job would wait for about {wait_s:.0f} s, a request may for {maximum_s:g} s",
            retry_after_s=bounded_retry_s(wait_s - maximum_s),
            expected_wait_s=round(wait_s, 1),
        )


def expected_wait_s(services: Services, speeds: Speeds = SPEEDS) -> float | None:
    """Seconds until an urgent job that comes now would start; None when no worker reports.

    Each child that serves urgent jobs is busy until its running job ends; the urgent jobs that
    wait then go to whichever is free first. Raises DatabaseUnavailable.
    """
    with services.open_statement() as session:
        children = _children(session)
        running = _running(session) if children else []
        waiting = _waiting(session) if children else []
    if not children:
        return None
    busy_s = dict.fromkeys(children, 0.0)
    for child, model, audio_s, left_s in running:
        if child in busy_s:
            busy_s[child] = _seconds(services, speeds, model, audio_s) if left_s is None else left_s
    lengths = (_seconds(services, speeds, model, audio_s) for model, audio_s in waiting)
    return first_free_s(busy_s.values(), lengths)


def first_free_s(busy_s: Iterable[float], waiting_s: Iterable[float]) -> float:
    """When a slot is free for the next job, after those that wait took theirs.

    `busy_s` are the seconds until each slot is free, at least one of them; `waiting_s` those
    that each waiting job will take, in the order in which they start.
    """
    free_at = [*busy_s]
    heapify(free_at)
    for length_s in waiting_s:
        heapreplace(free_at, free_at[0] + length_s)
    return free_at[0]


def bounded_retry_s(seconds: float) -> int:
    """Whole seconds for `Retry-After`, from 1 to an hour: forecasts of more are guesses."""
    return max(1, min(LONGEST_RETRY_S, math.ceil(seconds)))


def _children(session: Session) -> set[str]:
    """Ids of the children that reported lately and serve the queue of urgent jobs."""
    fresh = WorkerProcess.seen_at > func.now() - timedelta(seconds=GONE_AFTER_S)
    rows = session.execute(select(WorkerProcess.id, WorkerProcess.queues).where(fresh))
    return {row.id for row in rows if QUEUE_HIGH in row.queues.split(",")}


def _running(session: Session) -> list[tuple[str | None, str, float | None, float | None]]:
    """Owner, model, audio seconds that are left, and seconds left as the worker expects."""
    left_s = Job.duration_s * (1 - Job.progress)
    rows = session.execute(
        select(Job.lease_owner, Job.model_size, left_s, Job.time_left_s).where(
            Job.status == JobStatus.PROCESSING
        )
    )
    return [(owner, model, audio_s, time_s) for owner, model, audio_s, time_s in rows]


def _waiting(session: Session) -> list[tuple[str, float | None]]:
    """Model and audio seconds of the urgent jobs that could start now, in their order."""
    rows = session.execute(
        select(Job.model_size, Job.duration_s)
        .where(*is_ready(), Job.rank == Rank.HIGH)
        .order_by(Job.rank, Job.turn, Job.created_at, Job.id)
        .limit(LOOK_AHEAD_JOBS)
    )
    return [(model, audio_s) for model, audio_s in rows]


def _seconds(services: Services, speeds: Speeds, model: str, audio_s: float | None) -> float:
    """How long a recording takes; a length that the probe could not tell counts as none."""
    return (audio_s or 0.0) / (speeds.of(services, model, None) or UNMEASURED_SPEED)
