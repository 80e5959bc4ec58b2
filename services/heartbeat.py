"""Renews a job's lease while the job is worked on, and carries news both ways."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from sqlalchemy import text
from sqlalchemy.orm import Session

from domain.errors import DatabaseUnavailable
from domain.lifecycle import Step
from domain.windows import Window
from services import lifecycle
from services.attempts import Claim
from services.context import Services
from services.history import note
from services.watchdog import StopReason, Watchdog
from services.window_store import save_windows

logger = logging.getLogger(__name__)

MIN_PUBLISH_GAP_S = 1.0  # progress is for people; more often would only cost statements


class Heartbeat:
    """A thread beside the work. torch releases the GIL, so it beats during a long decode.

    When Postgres is away the work goes on until the lease has run out by this machine's own
    steady clock: from then on another worker may have the job. `on_stuck` is called, in the
    thread, when the work was asked to end and did not; it is not expected to return.
    """

    def __init__(
        self,
        services: Services,
        claim: Claim,
        *,
        is_draining: Callable[[], bool],
        on_stuck: Callable[[], None],
    ) -> None:
        self._services = services
        self._claim = claim
        self._is_draining = is_draining
        self._on_stuck = on_stuck
        self._watchdog = Watchdog(services.settings)
        self._seen: dict[str, Any] = {}
        self._windows: list[Window] = []
        self._kept = 0  # windows of this job in the database
        self._lock = threading.Lock()
        self._beating = threading.Lock()  # held for the time of a beat
        self._is_done = False
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._beat_at = time.monotonic()  # the claim was one
        self._valid_until = self._beat_at + services.settings.lease_s
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
        if self._watchdog.reason is None and self._is_draining():
            self._watchdog.stop(StopReason.DRAINING)
        return self._watchdog.reason

    def should_stop(self) -> bool:
        """Whether the work must end. Cheap: asked between windows and tokens."""
        return self.stop_reason is not None

    def limit(self, duration_s: float) -> None:
        """From now on, give the attempt the time that a recording of this length may take."""
        self._watchdog.limit(duration_s)

    def publish(self, **seen: object) -> None:
        """Let people see progress, current_step, time_left_s or duration_s soon."""
        self._watchdog.see(seen.get("current_step"))
        with self._lock:
            self._seen.update(seen)
        self._wake.set()

    def start_after(self, windows: Sequence[Window]) -> None:
        """These are kept already."""
        self._kept = len(windows)

    def keep(self, window: Window) -> None:
        """Have a decoded window saved with the next beat."""
        with self._lock:
            self._windows.append(window)
        self._wake.set()

    def finish(self) -> None:
        """The work is done and about to be saved: from now on only the lease is kept.

        No window is saved any more, for it would outlive the job; and nobody is called stuck
        who waits for a database that is away.
        """
        self.publish(current_step=Step.SAVING)
        with self._beating:
            if self._has_untold_restart():
                self._beat()  # whoever reads along must learn that the text began anew
            self._is_done = True

    def _has_untold_restart(self) -> bool:
        with self._lock:
            return any(window.number < self._kept for window in self._windows)

    def take_windows(self) -> Sequence[Window]:
        """The windows that are not saved yet; the caller saves them. For after the block."""
        with self._lock:
            windows, self._windows = self._windows, []
        return windows

    def _run(self) -> None:
        while not self._ended.is_set():
            gap_s = MIN_PUBLISH_GAP_S - (time.monotonic() - self._beat_at)
            self._ended.wait(max(0.0, gap_s))
            if not self._ended.is_set():
                self._wake.wait(self._services.settings.heartbeat_s)
            self._wake.clear()
            if self._ended.is_set():
                return
            if not self._is_done:
                self._watch()
            with self._beating:
                self._beat()

    def _watch(self) -> None:
        if self.stop_reason is None:
            self._watchdog.look()
        if self._watchdog.is_ignored:
            self._on_stuck()

    def _beat(self) -> None:
        self._beat_at = time.monotonic()
        with self._lock:
            seen, self._seen = self._seen, {}
        windows = () if self._is_done else self.take_windows()
        lease = self._services.lease
        try:
            with self._services.open_session() as session:
                # Lost in a crash of Postgres, it costs a lease and no more.
                session.execute(text("SET LOCAL synchronous_commit = off"))
                beat = lifecycle.heartbeat(session, self._claim, lease=lease, **seen)
                if beat is not None:
                    save_progress(session, self._claim, windows)
        except DatabaseUnavailable:
            self._on_silence(seen, windows)
            return
        except Exception:
            # Most likely something that Postgres refuses to store. It is dropped: to end this
            # thread would leave the work without a lease and without a watchdog.
            logger.exception("heartbeat_failed", extra={"job_id": str(self._claim.job_id)})
            self._on_silence({}, ())
            return
        if beat is None:
            self._watchdog.stop(StopReason.LEASE_LOST)
            return
        if windows:
            self._kept = windows[-1].number + 1
        self._valid_until = self._beat_at + lease.total_seconds()
        if beat.is_cancel_requested:
            self._watchdog.stop(StopReason.CANCELLED)

    def _on_silence(self, seen: dict[str, Any], windows: Sequence[Window]) -> None:
        with self._lock:  # said again with the next beat
            self._seen = {**seen, **self._seen}
            self._windows = [*windows, *self._windows]
        left_s = self._valid_until - time.monotonic()
        logger.warning(
            "heartbeat_missed",
            extra={"job_id": str(self._claim.job_id), "lease_left_s": round(left_s, 1)},
        )
        if left_s <= 0:
            self._watchdog.stop(StopReason.LEASE_LOST)


def save_progress(session: Session, claim: Claim, windows: Sequence[Window]) -> None:
    """Save decoded windows of a job whose row the caller holds."""
    if save_windows(session, claim.job_id, claim.lease_token, windows):
        # The attempt may have ended in this transaction: the line says what the row says.
        detail = {"model_used": windows[-1].model_used}
        note(session, claim.job_id, "restarted", actor=claim.worker, detail=detail)
