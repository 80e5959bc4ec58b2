"""Renews a job's lease while the job is worked on, and carries news both ways."""

import logging
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from domain.errors import DatabaseUnavailable
from services import lifecycle
from services.context import Services
from services.lifecycle import Claim

logger = logging.getLogger(__name__)

MIN_PUBLISH_GAP_S = 1.0  # progress is for people; more often would only cost statements


class StopReason(StrEnum):
    """Why the work on a job has to end early."""

    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    DRAINING = "draining"


class Heartbeat:
    """A thread beside the work. torch releases the GIL, so it beats during a long decode.

    When Postgres is away the work goes on until the lease has run out by this machine's own
    steady clock: from then on another worker may have the job.
    """

    def __init__(
        self, services: Services, claim: Claim, *, is_draining: Callable[[], bool]
    ) -> None:
        self._services = services
        self._claim = claim
        self._is_draining = is_draining
        self._reason: StopReason | None = None
        self._seen: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._valid_until = time.monotonic() + services.settings.lease_s
        self._published_at = 0.0
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._wake.set()
        self._thread.join()

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the work must end, or None while it may go on."""
        if self._reason is None and self._is_draining():
            self._reason = StopReason.DRAINING
        return self._reason

    def should_stop(self) -> bool:
        """Whether the work must end. Cheap: asked between windows and tokens."""
        return self.stop_reason is not None

    def publish(self, **seen: object) -> None:
        """Let people see progress, current_step, time_left_s or duration_s soon."""
        with self._lock:
            self._seen.update(seen)
        self._wake.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wake.wait(self._services.settings.heartbeat_s)
            self._wake.clear()
            if self._ended.is_set():
                return
            self._beat()
            gap_s = MIN_PUBLISH_GAP_S - (time.monotonic() - self._published_at)
            self._ended.wait(max(0.0, gap_s))

    def _beat(self) -> None:
        self._published_at = time.monotonic()
        with self._lock:
            seen, self._seen = self._seen, {}
        lease = self._services.lease
        try:
            with self._services.open_session() as session:
                beat = lifecycle.heartbeat(session, self._claim, lease=lease, **seen)
        except DatabaseUnavailable:
            self._on_silence(seen)
            return
        if beat is None:
            self._reason = StopReason.LEASE_LOST
            return
        self._valid_until = self._published_at + lease.total_seconds()
        if beat.is_cancel_requested:
            self._reason = StopReason.CANCELLED

    def _on_silence(self, seen: dict[str, Any]) -> None:
        with self._lock:
            self._seen = {**seen, **self._seen}  # said again with the next beat
        left_s = self._valid_until - time.monotonic()
        logger.warning(
            "heartbeat_missed",
            extra={"job_id": str(self._claim.job_id), "lease_left_s": round(left_s, 1)},
        )
        if left_s <= 0:
            self._reason = StopReason.LEASE_LOST
