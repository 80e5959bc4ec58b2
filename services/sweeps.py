"""What the reconciler does again and again. Each sweep tests one condition.

Every sweep locks the rows it works on and skips those that another one holds, so two
reconcilers at once do no harm: leadership only saves work.
"""

import logging
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Select, and_, case, delete, exists, func, literal, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from config import CONSUMED_QUEUES, QUEUE_HIGH, QUEUE_NORMAL, QUEUE_RETRY
from domain.errors import BrokerUnavailable, WorkerLost
from domain.lifecycle import JobStatus, Priority, Step
from domain.retry import Retry, decide
from models import TranscriptionJob, WorkerProcess
from services import lifecycle
from services.context import Services
from services.dispatch import publish_dead_letter, queue_for
from services.lifecycle import FailedAttempt
from services.liveness import GONE_AFTER_S

logger = logging.getLogger(__name__)

Job = TranscriptionJob
BATCH = 100  # rows per statement: short locks, few round trips
PATIENCE = 10  # times REDISPATCH_AFTER_S, before a busy queue is rung again


def dispatch_pending(services: Services) -> int:
    """Ring for jobs that wait, are due, and were not rung for (lately). Returns how many."""
    rows = _take_unpublished(services)
    for done, row in enumerate(rows):
        try:
            services.publish(row.id, queue_for(row.priority, row.attempt))
        except BrokerUnavailable as error:
            # They count as rung for now; the sweep comes back to them by their age.
            logger.warning(
                "dispatch_stopped", extra={"reason": str(error), "left": len(rows) - done}
            )
            _forget_published(services, [r.id for r in rows[done:]])
            return done
    return len(rows)


def reap_expired(services: Services) -> int:
    """Take back jobs whose lease ran out: their worker died, froze or was cut off."""
    query = _locked(
        select(Job.id, Job.attempt, Job.options, Job.lease_owner).where(
            Job.status == JobStatus.PROCESSING,
            Job.lease_expires_at < func.now(),
            Job.cancel_requested_at.is_(None),
        )
    )
    dead = []
    with services.open_session() as session:
        rows = session.execute(query).all()
        for row in rows:
            decision = decide(
                WorkerLost("the worker stopped renewing its lease"),
                row.attempt,
                row.id,
                services.retry_policy,
            )
            if isinstance(decision, Retry):
                lifecycle.take_back(session, row, _lost(row), decision.after, "")
            else:
                lifecycle.take_back(session, row, _lost(row), None, decision.reason)
                dead.append(row.id)
            logger.warning("job_reaped", extra={"job_id": str(row.id), "worker": row.lease_owner})
    for job_id in dead:
        publish_dead_letter(job_id)
    return len(rows)


def force_cancels(services: Services) -> int:
    """Cancel jobs whose worker did not obey a cancel, or died before it could."""
    patience = timedelta(seconds=services.settings.cancel_force_after_s)
    query = _locked(
        select(Job.id, Job.attempt).where(
            Job.status == JobStatus.PROCESSING,
            Job.cancel_requested_at.is_not(None),
            or_(
                Job.cancel_requested_at < func.now() - patience,
                Job.lease_expires_at < func.now(),
            ),
        )
    )
    with services.open_session() as session:
        rows = session.execute(query).all()
        for row in rows:
            lifecycle.force_cancel(session, row)
            logger.warning("job_cancel_forced", extra={"job_id": str(row.id)})
    return len(rows)


def purge_expired(services: Services) -> int:
    """Remove finished jobs past KEEP_FINISHED_DAYS, with their files. 0 keeps for ever."""
    days = services.settings.keep_finished_days
    if not days:
        return 0
    old = select(Job.id, Job.file_path).where(Job.completed_at < func.now() - timedelta(days=days))
    with services.open_session() as session:
        rows = session.execute(_locked(old)).all()
        keys = [row.file_path for row in rows if lifecycle.delete_finished(session, row.id)]
    for key in keys:
        services.storage.delete(key)
    return len(keys)


def remove_orphans(services: Services) -> int:
    """Remove files that no job owns: what a crash between file and row leaves behind."""
    age = timedelta(hours=services.settings.orphan_after_h)
    removed = 0
    for key in services.storage.keys_older_than(age):
        with services.open_session() as session:
            is_owned = session.scalar(select(exists().where(Job.file_path == key)))
        if not is_owned and services.storage.delete(key):
            removed += 1
            logger.info("orphan_removed", extra={"key": key})
    return removed


def forget_gone_processes(services: Services) -> int:
    """Drop the reports of worker processes that are long gone."""
    with services.open_session() as session:
        gone = WorkerProcess.seen_at < func.now() - timedelta(seconds=20 * GONE_AFTER_S)
        return len(
            session.execute(delete(WorkerProcess).where(gone).returning(WorkerProcess.id)).all()
        )


def _take_unpublished(services: Services) -> list[Row[*tuple[Any, ...]]]:
    is_due = or_(Job.next_attempt_at.is_(None), Job.next_attempt_at <= func.now())
    chosen = (
        select(Job.id)
        .where(Job.status == JobStatus.PENDING, is_due, _is_unheard(services))
        .order_by(Job.priority, Job.created_at, Job.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    with services.open_session() as session:
        rows = session.execute(
            update(Job)
            .where(Job.id == chosen.c.id)
            .values(
                published_at=func.now(),
                next_attempt_at=None,
                current_step=Step.QUEUED,
                updated_at=func.now(),
            )
            .returning(Job.id, Job.priority, Job.attempt, Job.created_at)
        ).all()
    return sorted(rows, key=lambda row: (row.priority, row.created_at, row.id))


def _is_unheard(services: Services) -> ColumnElement[bool]:
    """Never rung for, or rung for in vain.

    A queue that still holds messages may hold this job's too, and ringing every minute for
    everything that waits would only make it longer: there the sweep is patient.
    """
    after = timedelta(seconds=services.settings.redispatch_after_s)
    depths = services.queue_depths() or {}
    drained = [queue for queue in CONSUMED_QUEUES if depths.get(queue) == 0]
    queue = case(
        (Job.attempt > 0, literal(QUEUE_RETRY)),
        (Job.priority == Priority.HIGH, literal(QUEUE_HIGH)),
        else_=literal(QUEUE_NORMAL),
    )
    return or_(
        Job.published_at.is_(None),
        and_(Job.published_at < func.now() - after, queue.in_(drained)),
        Job.published_at < func.now() - PATIENCE * after,
    )


def _forget_published(services: Services, job_ids: list[Any]) -> None:
    with services.open_session() as session:
        session.execute(
            update(Job)
            .where(and_(Job.id.in_(job_ids), Job.status == JobStatus.PENDING))
            .values(published_at=None)
        )


def _locked(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return query.limit(BATCH).with_for_update(skip_locked=True)


def _lost(row: Row[Any]) -> FailedAttempt:
    return FailedAttempt(
        error_type=WorkerLost.code,
        error_class=WorkerLost.__name__,
        message="the worker stopped renewing its lease: it died, froze or was cut off",
        stack_trace=None,
        worker=row.lease_owner,
        memory_mb=None,
    )
