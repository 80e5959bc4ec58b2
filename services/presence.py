"""Each prefork child says now and then that it lives, and how its model pool fares."""

import logging
import os
import threading
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from domain.errors import DatabaseUnavailable
from models import WorkerProcess
from services.liveness import REPORT_EVERY_S
from services.worker_context import WorkerServices, worker_name

logger = logging.getLogger(__name__)


class Presence:
    """Reports one child. The web process reads the pool's statistics from here, since the
    pool lives in the children and nowhere else.
    """

    def __init__(self, services: WorkerServices) -> None:
        self._services = services
        self._job_id: UUID | None = None
        self._wake = threading.Event()

    def start(self) -> None:
        """Report from now on, in a thread of its own that ends with the process."""
        threading.Thread(target=self._run, name="presence", daemon=True).start()

    def set_job(self, job_id: UUID | None) -> None:
        """Say what the child works on; reported at once."""
        self._job_id = job_id
        self._wake.set()

    def report(self) -> None:
        """Write one report. A database that is away is met again with the next one."""
        values: dict[str, Any] = {
            "id": self._services.worker,
            "worker": worker_name(),
            "pid": os.getpid(),
            "job_id": self._job_id,
            "pool": self._services.pool_stats(),
        }
        try:
            with self._services.base.open_session() as session:
                session.execute(
                    insert(WorkerProcess)
                    .values(**values)
                    .on_conflict_do_update(
                        index_elements=["id"], set_={**values, "seen_at": func.now()}
                    )
                )
        except DatabaseUnavailable as error:
            logger.warning("presence_not_reported", extra={"reason": str(error)})

    def _run(self) -> None:
        while True:
            self.report()
            self._wake.wait(REPORT_EVERY_S)
            self._wake.clear()
