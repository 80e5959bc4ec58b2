"""Whether the server is ready, and how it is."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database import check_db_connection, get_db_stats
from domain.errors import DatabaseUnavailable, StorageError
from domain.lifecycle import JobStatus
from models import ErrorLog, JobEvent, TranscriptionJob
from services.broker import is_broker_up
from services.context import Services
from services.dead_letter_views import count_errors
from services.liveness import SeenWorker, seen_workers

logger = logging.getLogger(__name__)

COUNTERS = ("hits", "misses", "evictions", "oom_fallbacks", "total_loaded")


@dataclass(frozen=True)
class ReadyReport:
    """Whether requests can be served, and each check behind it."""

    is_ready: bool
    checks: dict[str, dict[str, Any]]


def check_ready(services: Services) -> ReadyReport:
    """Check database, schema, broker and storage.

    Without the broker it is not ready: submissions are still taken, but nothing would run.
    """
    checks = {
        "database": _check("the database does not answer", is_ok=check_db_connection()),
        "schema": _check_schema(services),
        "broker": _check("the broker does not answer", is_ok=is_broker_up(services.settings)),
        "storage": _check_storage(services),
    }
    return ReadyReport(all(check["ok"] for check in checks.values()), checks)


def admin_health(services: Services) -> dict[str, Any]:
    """The whole picture for an operator. Raises DatabaseUnavailable."""
    with services.open_session() as session:
        jobs = _jobs(session)
        deaf_after = timedelta(seconds=services.settings.deaf_after_s)
        workers = seen_workers(session, deaf_after)
        errors = _errors(session)
    ready = check_ready(services)
    hosts = _model_hosts(workers)
    takes_jobs = workers and all(worker.takes_jobs for worker in workers)
    is_healthy = ready.is_ready and takes_jobs and hosts
    return {
        "status": "healthy" if is_healthy else "degraded",
        "checks": ready.checks,
        "database": get_db_stats(),
        "queues": {**jobs, "broker": services.queue_depths()},
        "workers": [_worker(worker) for worker in workers],
        "model_hosts": hosts,
        "model_pool": _pool([host["pool"] for host in hosts]),
        **errors,
    }


def _check(otherwise: str, *, is_ok: bool) -> dict[str, Any]:
    return {"ok": is_ok, "detail": None if is_ok else otherwise}


def _check_storage(services: Services) -> dict[str, Any]:
    try:
        services.storage.check()
    except StorageError as error:
        return _check(error.message, is_ok=False)
    return _check("", is_ok=True)


@lru_cache(maxsize=1)
def _schema_head() -> str | None:
    root = Path(__file__).resolve().parent.parent
    return ScriptDirectory.from_config(Config(root / "alembic.ini")).get_current_head()


def _check_schema(services: Services) -> dict[str, Any]:
    try:
        with services.open_session() as session:
            current = MigrationContext.configure(session.connection()).get_current_revision()
    except DatabaseUnavailable:
        return _check("unknown: the database does not answer", is_ok=False)
    wanted = f"at {current}, wants {_schema_head()}: run `alembic upgrade head`"
    return _check(wanted, is_ok=current == _schema_head())


def _jobs(session: Session) -> dict[str, Any]:
    job = TranscriptionJob
    rows = session.execute(
        select(job.status, func.count(), func.min(job.created_at))
        .where(job.status.in_((JobStatus.PENDING, JobStatus.PROCESSING)))
        .group_by(job.status)
    ).all()
    counts = {status: count for status, count, _ in rows}
    oldest = next((first for status, _, first in rows if status == JobStatus.PENDING), None)
    age_s = (datetime.now(UTC) - oldest).total_seconds() if oldest else None
    return {
        "pending": counts.get(JobStatus.PENDING, 0),
        "processing": counts.get(JobStatus.PROCESSING, 0),
        "oldest_pending_age_s": None if age_s is None else round(age_s, 1),
    }


def _worker(worker: SeenWorker) -> dict[str, Any]:
    children = worker.children
    return {
        "worker": worker.name,
        "queues": worker.queues,
        "takes_jobs": worker.takes_jobs,
        "problem": worker.problem,
        "slots": len(children),
        "busy": sum(child.job_id is not None for child in children),
        "seen_at": max(child.seen_at for child in children),
        "processes": [{"pid": child.pid, "job_id": child.job_id} for child in children],
    }


def _model_hosts(workers: Sequence[SeenWorker]) -> list[dict[str, Any]]:
    """Each model host once, as it was reported last: all children of a machine report it."""
    children = [child for worker in workers for child in worker.children]
    found = {}
    for child in sorted(children, key=lambda child: child.seen_at):
        machine = child.worker.rpartition(":")[0]
        for host in child.pool.get("hosts", ()):
            found[machine, host["place"]] = {"machine": machine, **host}
    return [found[key] for key in sorted(found)]


def _pool(pools: list[dict[str, Any]]) -> dict[str, Any]:
    """The statistics of all model hosts' pools, added up."""
    total: dict[str, Any] = {name: sum(pool.get(name, 0) for pool in pools) for name in COUNTERS}
    by_size: dict[str, int] = defaultdict(int)
    for pool in pools:
        for size, count in pool.get("models_by_size", {}).items():
            by_size[size] += count
    asked = total["hits"] + total["misses"]
    loaded = [model for pool in pools for model in pool.get("models", [])]
    return {
        **total,
        "models_by_size": dict(by_size),
        "hit_rate": total["hits"] / asked if asked else None,
        "models": loaded,
        "memory_mb": round(sum(model.get("memory_mb") or 0 for model in loaded), 1),
    }


def _errors(session: Session) -> dict[str, Any]:
    hour_ago = func.now() - timedelta(hours=1)
    counted = session.execute(
        select(JobEvent.event, func.count()).where(JobEvent.at > hour_ago).group_by(JobEvent.event)
    )
    happened = {event: int(count) for event, count in counted}
    failed, completed = happened.get("dead_lettered", 0), happened.get("completed", 0)
    ended = failed + completed
    open_letters = count_errors(session, ~ErrorLog.resolved)
    return {
        "errors_1h": failed,
        "retries_1h": happened.get("retry", 0) + happened.get("reaped", 0),
        "error_rate_1h": failed / ended if ended else None,
        "unresolved_errors": open_letters,
    }
