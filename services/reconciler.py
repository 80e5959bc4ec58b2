"""Runs the sweeps. Any number of reconcilers may run; an advisory lock lets one lead."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from database import CONNECT_ARGS
from domain.errors import DatabaseUnavailable
from services import assembly_uploads, audit, retention, sweeps, upload_sweeps
from services.context import Services
from services.storage_audit import FileAudit, RowAudit
from services.upload_sweeps import WholeUploads
from services.webhooks import cleaning
from services.webhooks.outbox import Outbox
from services.webhooks.progress import tell_progress

logger = logging.getLogger(__name__)

LEADER_LOCK = 7_305_002  # any fixed number beside the migrations' own
CANDIDATE_WAIT_S = 2.0
HOURLY_S = 3600.0
AUDIT_EVERY_S = 60.0
UPLOADS_EVERY_S = 10.0
WEBHOOKS_EVERY_S = 0.5  # a message should be on its way within a second or so


@dataclass
class _Sweep:
    run: Callable[[Services], int]
    every_s: float
    full: int = 0  # run again at once, after the others, when it did this many; 0 is never
    next_at: float = 0.0


class Reconciler:
    """The clock of the job core: there is no beat, no ETA and no countdown anywhere else."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stop = threading.Event()
        often_s = services.settings.reap_interval_s
        self._sweeps = [
            _Sweep(sweeps.dispatch_pending, min(1.0, often_s)),
            _Sweep(sweeps.age_waiting, often_s),
            _Sweep(sweeps.reap_expired, often_s),
            _Sweep(sweeps.force_cancels, often_s),
            *(_Sweep(run, HOURLY_S, full=retention.BATCH) for run in retention.SWEEPS),
            _Sweep(audit.seal_entries, min(1.0, often_s), full=audit.SEAL_BATCH),
            _Sweep(WholeUploads().finish_whole, UPLOADS_EVERY_S, full=1),
            _Sweep(assembly_uploads.remove_expired, UPLOADS_EVERY_S, full=assembly_uploads.BATCH),
            _Sweep(upload_sweeps.remove_expired, UPLOADS_EVERY_S, full=upload_sweeps.BATCH),
            _Sweep(Outbox().fill, WEBHOOKS_EVERY_S),
            _Sweep(tell_progress, min(1.0, services.settings.webhook_progress_every_s)),
            *(_Sweep(run, HOURLY_S, full=cleaning.BATCH) for run in cleaning.SWEEPS),
            _Sweep(FileAudit().remove_orphans, AUDIT_EVERY_S),
            _Sweep(RowAudit().find_missing_files, AUDIT_EVERY_S),
        ]

    def stop(self) -> None:
        """End `run` after the sweep under way. Safe in a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Lead when nobody else does, until `stop`."""
        while not self._stop.is_set():
            try:
                self._lead_once()
            except (SQLAlchemyError, DatabaseUnavailable) as error:
                logger.warning("reconciler_lost_database", extra={"reason": type(error).__name__})
            self._stop.wait(CANDIDATE_WAIT_S)

    def _lead_once(self) -> None:
        # A connection of its own: the lock lives and dies with it.
        engine = create_engine(
            self._services.settings.sqlalchemy_url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args=CONNECT_ARGS,
        )
        with engine.connect() as connection:
            lock = text("SELECT pg_try_advisory_lock(:key)")
            if not connection.scalar(lock, {"key": LEADER_LOCK}):
                return
            logger.info("reconciler_leads")
            self._sweep_until_stopped(connection)

    def _sweep_until_stopped(self, connection: Connection) -> None:
        while not self._stop.is_set():
            now = time.monotonic()
            for sweep in self._sweeps:
                if now >= sweep.next_at and not self._stop.is_set():
                    sweep.next_at = now + sweep.every_s
                    self._run_sweep(sweep)
            connection.execute(text("SELECT 1"))  # raises when the lock is gone
            wake_at = min(sweep.next_at for sweep in self._sweeps)
            self._stop.wait(max(0.05, wake_at - time.monotonic()))

    def _run_sweep(self, sweep: _Sweep) -> None:
        try:
            count = sweep.run(self._services)
        except DatabaseUnavailable:
            raise
        except Exception:
            # One sick sweep must not stop the others; it is tried again at its next turn.
            logger.exception("sweep_failed", extra={"sweep": sweep.run.__name__})
            return
        if sweep.full and count >= sweep.full:
            sweep.next_at = 0.0
        if count:
            logger.info("sweep_done", extra={"sweep": sweep.run.__name__, "count": count})
