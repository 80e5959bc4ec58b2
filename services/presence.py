"""Each prefork child says now and then that it lives, and how the model hosts fare."""

import logging
import os
import threading
import time
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from domain.errors import DatabaseUnavailable
from models import WorkerProcess
from services.consumed_queues import CONSUMED
from services.liveness import REPORT_EVERY_S
from services.worker_context import WorkerServices, worker_name

logger = logging.getLogger(__name__)

MIN_GAP_S = 1.0  # between two reports, however many jobs begin and end meanwhile


class Presence:
    """Reports one child. The web process reads here how the model hosts of the child's machine
    fare: it may run on another machine, and could not ask them.
    """

    def __init__(self, services: WorkerServices) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._job_id: UUID | None = None
        self._became_idle = True  # since the last report; of a new child the first one tells it
        self._wake = threading.Event()

    def start(self) -> None:
        """Report from now on, in a thread of its own that ends with the process."""
        threading.Thread(target=self._run, name="presence", daemon=True).start()

    def set_job(self, job_id: UUID | None) -> None:
        """Say what the child works on; reported within `MIN_GAP_S`."""
        with self._lock:
            self._job_id = job_id
            self._became_idle |= job_id is None
        self._wake.set()

    def report(self) -> None:
        """Write one report. A database that is away is met again with the next one."""
        with self._lock:
            job_id, became_idle = self._job_id, self._became_idle
            self._became_idle = False
        try:
            self._write(job_id, became_idle=became_idle)
        except DatabaseUnavailable as error:
            with self._lock:
                self._became_idle |= became_idle
            logger.warning("presence_not_reported", extra={"reason": str(error)})

    def _write(self, job_id: UUID | None, *, became_idle: bool) -> None:
        values: dict[str, Any] = {
            "id": self._services.worker,
            "worker": worker_name(),
            "pid": os.getpid(),
            "queues": ",".join(CONSUMED.names),
            "job_id": job_id,
            "idle_since": None if job_id else func.now(),
            "pool": {"hosts": self._services.describe_hosts()},
        }
        changed = {**values, "seen_at": func.now()}
        if job_id is None and not became_idle:
            del changed["idle_since"]
        statement = insert(WorkerProcess).values(**values)
        with self._services.base.open_session() as session:
            session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed))

    def _run(self) -> None:
        while True:
            self.report()
            time.sleep(MIN_GAP_S)
            self._wake.wait(REPORT_EVERY_S - MIN_GAP_S)
            self._wake.clear()
