"""What goes with age: jobs, recordings, decoded windows, history, usage, and who was here once.

Each sweep takes a batch, skips what another transaction holds, and is run again soon while
its batches are full. Files go after their rows: a crash in between leaves a file that no row
asks for, which the storage audit finds.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, delete, func, select, update

from domain.errors import StorageError
from domain.lifecycle import JobStatus
from models import (
    Batch,
    ClientTurn,
    IdempotencyKey,
    JobEvent,
    SingleUseToken,
    TranscriptionJob,
    TranscriptionWindow,
    UsageEntry,
    WorkerProcess,
)
from services.context import Services
from services.history import RECONCILER, event_from
from services.job_messages import forget_messages
from services.liveness import GONE_AFTER_S
from services.queue_order import is_ready
from services.usage import every_tenant

logger = logging.getLogger(__name__)

Job = TranscriptionJob
Window = TranscriptionWindow

BATCH = 200  # jobs per run: a fraction of a second, in which other sweeps wait
SETTLED = (JobStatus.COMPLETED, JobStatus.CANCELLED)  # a failed one still waits for somebody
TURNS_KEPT = timedelta(days=1)
EMPTY_BATCH_KEPT = timedelta(days=1)


def purge_finished(services: Services) -> int:
    """Remove completed and cancelled jobs past KEEP_FINISHED_DAYS, with all that is theirs."""
    days = services.settings.keep_finished_days
    return sum(_purge(services, status, days) for status in SETTLED)


def purge_failed(services: Services) -> int:
    """Remove failed jobs past KEEP_FAILED_DAYS, with their dead letters and recordings."""
    return _purge(services, JobStatus.FAILED, services.settings.keep_failed_days)


def remove_recordings(services: Services) -> int:
    """Remove recordings of completed and cancelled jobs past KEEP_RECORDINGS_DAYS."""
    days = services.settings.keep_recordings_days
    return sum(_remove_recordings(services, status, days) for status in SETTLED) if days else 0


def remove_windows(services: Services) -> int:
    """Remove what failed and cancelled jobs had decoded, past KEEP_WINDOWS_DAYS.

    Returns the number of jobs. Completed jobs keep no windows, so these are the only ones.
    """
    days = services.settings.keep_windows_days
    if not days:
        return 0
    chosen = (
        select(Job.id)
        .join(Window, Window.job_id == Job.id)
        .where(
            Window.number == 0,  # one for each job that has any
            Job.status.in_((JobStatus.FAILED, JobStatus.CANCELLED)),
            Job.completed_at < func.now() - timedelta(days=days),
        )
        .limit(BATCH)
        # The job's row: a retry that comes now waits, and then starts from the beginning.
        .with_for_update(of=Job, skip_locked=True, key_share=True)
        .cte("chosen")
    )
    gone = delete(Window).where(Window.job_id == chosen.c.id).cte("gone")
    with services.open_session() as session:
        return session.scalar(select(func.count()).select_from(chosen).add_cte(gone)) or 0


def remove_events(services: Services) -> int:
    """Remove the history of completed and cancelled jobs past KEEP_EVENTS_DAYS."""
    days = services.settings.keep_events_days
    if not days:
        return 0
    limit = func.now() - timedelta(days=days)
    # Asked for each event, not joined: the planner takes the two dates for unrelated, expects
    # to find next to nothing, and would read all jobs for it.
    ended_at = (
        select(Job.completed_at)
        .where(Job.id == JobEvent.job_id, Job.status.in_(SETTLED))
        .scalar_subquery()
    )
    chosen = _locked(
        select(JobEvent.id).where(JobEvent.at < limit, ended_at < limit).order_by(JobEvent.at)
    ).cte("chosen")
    return _delete(services, JobEvent, JobEvent.id == chosen.c.id, JobEvent.id)


def forget_turns(services: Services) -> int:
    """Forget the turns of clients that were away for a day, unless they are ahead of others."""
    served = (  # who stands there or before gets no other turn than a newcomer
        select(Job.turn)
        .where(*is_ready(), Job.rank == ClientTurn.rank)
        .order_by(Job.turn)
        .limit(1)
        .scalar_subquery()
    )
    chosen = _locked(
        select(ClientTurn.client, ClientTurn.rank).where(
            ClientTurn.updated_at < func.now() - TURNS_KEPT,
            ClientTurn.turn <= func.coalesce(served, ClientTurn.turn),
        )
    ).cte("chosen")
    which = (ClientTurn.client == chosen.c.client) & (ClientTurn.rank == chosen.c.rank)
    return _delete(services, ClientTurn, which, ClientTurn.client)


def forget_gone_processes(services: Services) -> int:
    """Forget the reports of worker processes that are long gone."""
    gone = WorkerProcess.seen_at < func.now() - timedelta(seconds=20 * GONE_AFTER_S)
    return _delete(services, WorkerProcess, gone, WorkerProcess.id)


def forget_idempotency_keys(services: Services) -> int:
    """Forget keys of submissions past IDEMPOTENCY_HOURS; their jobs stay."""
    limit = func.now() - timedelta(hours=services.settings.idempotency_hours)
    chosen = _locked(
        select(IdempotencyKey.tenant, IdempotencyKey.key)
        .where(IdempotencyKey.created_at < limit)
        .order_by(IdempotencyKey.created_at)
    ).cte("chosen")
    which = (IdempotencyKey.tenant == chosen.c.tenant) & (IdempotencyKey.key == chosen.c.key)
    return _delete(services, IdempotencyKey, which, IdempotencyKey.key)


def forget_tokens(services: Services) -> int:
    """Forget single-use tokens that are good no more."""
    chosen = _locked(
        select(SingleUseToken.token_hash).where(SingleUseToken.expires_at < func.now())
    ).cte("chosen")
    which = SingleUseToken.token_hash == chosen.c.token_hash
    return _delete(services, SingleUseToken, which, SingleUseToken.token_hash)


def forget_usage(services: Services) -> int:
    """Forget what was used more than KEEP_USAGE_DAYS ago, by whole days of UTC."""
    days = services.settings.keep_usage_days
    if not days:
        return 0
    limit = func.date_trunc("day", func.now() - timedelta(days=days), "UTC")
    chosen = _locked(
        select(UsageEntry.id).where(UsageEntry.tenant.in_(every_tenant()), UsageEntry.at < limit)
    ).cte("chosen")
    return _delete(services, UsageEntry, UsageEntry.id == chosen.c.id, UsageEntry.id)


def remove_empty_batches(services: Services) -> int:
    """Remove batches whose jobs were all removed, a day or more after they were made."""
    days = services.settings.keep_finished_days
    if not days:
        return 0
    # One that was refused as a whole is kept as long as a job that finished at once.
    age = max(EMPTY_BATCH_KEPT, timedelta(days=days))
    has_jobs = select(Job.id).where(Job.batch_id == Batch.id).exists()
    chosen = _locked(select(Batch.id).where(Batch.created_at < func.now() - age, ~has_jobs)).cte(
        "chosen"
    )
    return _delete(services, Batch, Batch.id == chosen.c.id, Batch.id)


SWEEPS: tuple[Callable[[Services], int], ...] = (
    purge_finished,
    purge_failed,
    remove_recordings,
    remove_windows,
    remove_events,
    forget_turns,
    forget_gone_processes,
    forget_idempotency_keys,
    forget_tokens,
    forget_usage,
    remove_empty_batches,
)


def _purge(services: Services, status: JobStatus, days: int) -> int:
    if not days:
        return 0
    limit = func.now() - timedelta(days=days)
    chosen = _locked(
        select(Job.id)
        # What ended before the limit began before it, and the index knows when it began.
        .where(Job.status == status, Job.created_at < limit, Job.completed_at < limit)
        .order_by(Job.created_at)
    ).cte("chosen")
    with services.open_session() as session:
        gone = session.execute(
            delete(Job)
            .where(Job.id == chosen.c.id)
            .returning(Job.id, Job.file_path)
            .execution_options(synchronize_session=False)
        ).all()
        forget_messages(session, [row.id for row in gone])
    _delete_files(services, [row.file_path for row in gone])
    return len(gone)


def _remove_recordings(services: Services, status: JobStatus, days: int) -> int:
    chosen = _locked(
        select(Job.id)
        .where(
            Job.status == status,
            Job.completed_at < func.now() - timedelta(days=days),
            Job.file_removed_at.is_(None),
        )
        .order_by(Job.completed_at)
    ).cte("chosen")
    removed = (
        update(Job)
        .where(Job.id == chosen.c.id)
        .values(file_removed_at=func.now())
        .returning(Job.id, Job.attempt, Job.file_path)
        .cte("removed")
    )
    event = event_from(removed, "recording_removed", status, removed.c.attempt, RECONCILER, None)
    with services.open_session() as session:
        keys = session.scalars(select(removed.c.file_path).add_cte(event.cte("event"))).all()
    _delete_files(services, keys)
    return len(keys)


def _locked(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return query.limit(BATCH).with_for_update(skip_locked=True)


def _delete(services: Services, table: Any, which: Any, key: Any) -> int:
    query = delete(table).where(which).returning(key).execution_options(synchronize_session=False)
    with services.open_session() as session:
        return len(session.execute(query).all())


def _delete_files(services: Services, keys: Sequence[str]) -> None:
    for key in keys:
        try:
            services.storage.delete(key)
        except StorageError as error:
            logger.warning("recording_not_removed", extra={"key": key, "reason": error.message})
