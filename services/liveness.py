"""How often worker processes report, when one counts as gone, and when one takes no jobs."""

import socket
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from domain.errors import DatabaseUnavailable
from models import TranscriptionJob, WorkerProcess
from services.dispatch import queue_for
from services.queue_order import is_ready

REPORT_EVERY_S = 10.0
GONE_AFTER_S = 3 * REPORT_EVERY_S + 5  # two reports may be lost, one late

Job = TranscriptionJob


@dataclass(frozen=True)
class SeenWorker:
    """A worker that reported lately, and why it takes no jobs, if it does not."""

    name: str
    queues: tuple[str, ...]
    children: tuple[WorkerProcess, ...]
    problem: str | None

    @property
    def takes_jobs(self) -> bool:
        """Whether it can be relied on."""
        return self.problem is None


def seen_workers(session: Session, deaf_after: timedelta) -> list[SeenWorker]:
    """The workers that reported lately, by name.

    One is deaf when a child of it has been idle for longer than `deaf_after` although a job on
    a queue of its has waited as long and was rung for as long ago. Nothing else finds that:
    it lives, it reports, and its connection to the broker looks well.
    """
    now = session.execute(select(func.now())).scalar_one()
    fresh = WorkerProcess.seen_at > func.now() - timedelta(seconds=GONE_AFTER_S)
    groups: dict[str, list[WorkerProcess]] = defaultdict(list)
    for row in session.scalars(select(WorkerProcess).where(fresh).order_by(WorkerProcess.id)):
        groups[row.worker].append(row)
    waits: dict[str, timedelta] | None = None  # asked for only when somebody is idle
    workers = []
    for name, children in groups.items():
        idle = _longest_idle(children, now)
        if idle > deaf_after and waits is None:
            waits = _longest_waits(session, deaf_after, now)
        queues = tuple(filter(None, max(children, key=_seen_at).queues.split(",")))
        problem = _problem(queues, idle, waits or {}) if idle > deaf_after else None
        workers.append(SeenWorker(name, queues, tuple(children), problem))
    return workers


def worker_problem(
    open_session: Callable[[], AbstractContextManager[Session]],
    deaf_after: timedelta,
    name: str | None = None,
) -> str | None:
    """What is wrong with the named worker, or with those of this host; None when all is well."""
    try:
        with open_session() as session:
            workers = seen_workers(session, deaf_after)
    except DatabaseUnavailable as error:
        return f"cannot tell how the worker is: {error.message}"
    except SQLAlchemyError as error:
        return f"cannot tell how the worker is: {type(error).__name__} from the database"
    here = f"{socket.gethostname()}:"
    mine = [w for w in workers if (w.name == name if name else w.name.startswith(here))]
    if not mine:
        return f"no worker {name or 'of this host'} has reported for {GONE_AFTER_S:.0f} s"
    return next((f"worker {w.name} {w.problem}" for w in mine if w.problem), None)


def _seen_at(child: WorkerProcess) -> datetime:
    return child.seen_at


def _longest_idle(children: list[WorkerProcess], now: datetime) -> timedelta:
    return max((now - c.idle_since for c in children if c.idle_since), default=timedelta())


def _longest_waits(session: Session, deaf_after: timedelta, now: datetime) -> dict[str, timedelta]:
    """The longest wait on each queue, of the jobs that should have been taken by now."""
    has_failed = Job.attempt > 0
    rows = session.execute(
        select(Job.priority, has_failed, func.min(Job.waiting_since))
        .where(
            *is_ready(),
            Job.waiting_since < func.now() - deaf_after,
            # One that was rung for lately may have been lost with the broker's memory.
            Job.published_at < func.now() - deaf_after,
        )
        .group_by(Job.priority, has_failed)
    )
    waits: dict[str, timedelta] = {}
    for priority, failed, since in rows:
        queue = queue_for(priority, int(failed))
        waits[queue] = max(waits.get(queue, timedelta()), now - since)
    return waits


def _problem(queues: tuple[str, ...], idle: timedelta, waits: dict[str, timedelta]) -> str | None:
    ignored = [queue for queue in queues if queue in waits]
    if not ignored:
        return None
    waited_s = waits[ignored[0]].total_seconds()
    return (
        f"takes no jobs: it has been idle for {idle.total_seconds():.0f} s while a job "
        f"on {ignored[0]} has waited for {waited_s:.0f} s"
    )
