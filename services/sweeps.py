"""What the reconciler does again and again. Each sweep tests one condition.

Every sweep locks the rows it works on and skips those that another one holds, so two
reconcilers at once do no harm: leadership only saves work.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Select, func, or_, select, update

from config import CONSUMED_QUEUES
from domain.errors import BrokerUnavailable, WorkerLost
from domain.lifecycle import JobStatus, Rank, Step
from domain.retry import Retry, decide
from models import TranscriptionJob
from services import lifecycle
from services.attempts import FailedAttempt
from services.context import Services
from services.dispatch import publish_dead_letter, queue_for
from services.queue_order import ORDER, is_ready, present

logger = logging.getLogger(__name__)

Job = TranscriptionJob
BATCH = 100  # rows per statement: short locks, few round trips
MAX_BATCHES = 10  # in one sweep
PATIENCE = 10  # times REDISPATCH_AFTER_S, before a busy queue is rung again


def dispatch_pending(services: Services) -> int:
    """Ring for jobs that wait and were not rung for (lately). Returns how many.

    In no particular order: a message says that a job waits, and workers take the best one.
    """
    _promote_due(services)
    rung = 0
    for _ in range(MAX_BATCHES):
        rows = _take_unheard(services)
        for done, row in enumerate(rows):
            try:
                services.publish(row.id, queue_for(row.priority, row.attempt))
            except BrokerUnavailable as error:
                left = [r.id for r in rows[done:]]
                logger.warning("dispatch_stopped", extra={"reason": str(error), "left": len(left)})
                with services.open_session() as session:
                    lifecycle.mark_unpublished(session, left)
                return rung + done
        rung += len(rows)
        if len(rows) < BATCH:
            break
    return rung


def age_waiting(services: Services) -> int:
    """Let what has waited for AGE_AFTER_S stand with the urgent jobs. 0 is never."""
    seconds = services.settings.age_after_s
    if not seconds:
        return 0
    old = (
        select(Job.id)
        .where(
            *is_ready(),
            Job.rank > Rank.HIGH,
            Job.waiting_since < func.now() - timedelta(seconds=seconds),
        )
        .order_by(*ORDER)
    )
    with services.open_session() as session:
        ids = session.scalars(_locked(old)).all()
        if ids:
            lifecycle.age(session, ids, present(Rank.HIGH))
    return len(ids)


def reap_expired(services: Services) -> int:
    """Take back jobs whose lease ran out: their worker died, froze or was cut off."""
    query = _locked(
        select(Job.id, Job.attempt, Job.max_attempts, Job.options, Job.lease_owner).where(
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
                services.retry_policy(row.max_attempts),
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


def _promote_due(services: Services) -> None:
    """Let retries whose time has come wait like other jobs."""
    due = (
        select(Job.id)
        .where(Job.status == JobStatus.PENDING, Job.next_attempt_at <= func.now())
        .order_by(Job.next_attempt_at)
        .limit(BATCH * MAX_BATCHES)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    with services.open_statement() as session:
        session.execute(
            update(Job)
            .where(Job.id == due.c.id)
            .values(
                next_attempt_at=None,
                published_at=None,
                waiting_since=func.now(),
                current_step=Step.QUEUED,
                updated_at=func.now(),
            )
        )


def _take_unheard(services: Services) -> Sequence[Row[*tuple[Any, ...]]]:
    """Jobs that were never rung for, or rung for in vain; from now on they count as rung for.

    A queue that still holds messages may hold this job's too, and ringing every minute for
    everything that waits would only make it longer: then the sweep is patient.
    """
    after = timedelta(seconds=services.settings.redispatch_after_s)
    depths = services.queue_depths() or {}
    is_drained = all(depths.get(queue) == 0 for queue in CONSUMED_QUEUES)
    rung_before = func.now() - (after if is_drained else PATIENCE * after)
    # By the index: those that were never rung for come first, then the oldest rings. Where
    # these will do, so will all that follow, however long the line is.
    first = (
        select(Job.id)
        .where(*is_ready())
        .order_by(Job.published_at.nulls_first())
        .limit(BATCH)
        .subquery()
    )
    unheard = (
        select(Job.id)
        .where(
            Job.id == first.c.id, or_(Job.published_at.is_(None), Job.published_at < rung_before)
        )
        .with_for_update(skip_locked=True, of=Job)
        .cte("unheard")
    )
    with services.open_statement() as session:
        return session.execute(
            update(Job)
            .where(Job.id == unheard.c.id)
            .values(published_at=func.now())
            .returning(Job.id, Job.priority, Job.attempt)
        ).all()


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
