"""Sends what is due: threads beside the reconciler. Any number of processes may run them.

No session of the database is open while a request is under way. One slow receiver holds up a few
threads at most, and one tenant's slow receivers half of them.
"""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from domain.errors import DatabaseUnavailable
from services.context import Services
from services.webhooks.outcome import Answer, record_outcome
from services.webhooks.queue import Parcel, claim_next
from services.webhooks.signing import Envelope, message_id, standard_headers
from services.webhooks.styles import STYLES

logger = logging.getLogger(__name__)

POLL_S = 0.5
OUTAGE_WAIT_S = 2.0
PER_ADDRESS = 2  # requests at once to one receiver, from one process
LEASE_MARGIN_S = 30.0  # beyond the timeout of a request, before another may send it
USER_AGENT = "Scriptorium-Webhooks/1"

# url, body, headers, timeout in seconds. Raises nothing: what went wrong is in the answer.
Send = Callable[[str, bytes, Mapping[str, str], float], Answer]


class Deliverer:
    """Claims messages and sends each in a thread of its own."""

    def __init__(
        self, services: Services, send: Send, *, draw: Callable[[], float] = random.random
    ) -> None:
        self._services = services
        self._send = send
        self._draw = draw
        settings = services.settings
        self._threads = settings.webhook_threads
        self._timeout_s = settings.webhook_timeout_s
        self._lease = timedelta(seconds=self._timeout_s + LEASE_MARGIN_S)
        self._pause_after = timedelta(hours=settings.webhook_pause_after_h)
        self._lock = threading.Lock()
        self._addresses: Counter[str] = Counter()  # requests under way
        self._tenants: Counter[str] = Counter()
        self._stop = threading.Event()
        self._wake = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send in the background during the block; what is under way then is waited for."""
        looker = threading.Thread(target=self._run, name="webhooks", daemon=True)
        looker.start()
        try:
            yield
        finally:
            self._stop.set()
            self._wake.set()
            looker.join()

    def _run(self) -> None:
        with ThreadPoolExecutor(self._threads, thread_name_prefix="webhook") as pool:
            while not self._stop.is_set():
                try:
                    is_busy = self._start_next(pool)
                except (SQLAlchemyError, DatabaseUnavailable) as error:
                    logger.warning("webhooks_wait", extra={"reason": type(error).__name__})
                    self._stop.wait(OUTAGE_WAIT_S)
                    continue
                except Exception:
                    # A sick message must not end this thread, and with it all others.
                    logger.exception("webhooks_crashed")
                    self._stop.wait(OUTAGE_WAIT_S)
                    continue
                if not is_busy:
                    self._wake.wait(POLL_S)
                    self._wake.clear()

    def _start_next(self, pool: ThreadPoolExecutor) -> bool:
        """Begin with one message. False when none is due, or all threads are at work."""
        parcel = self._claim()
        if parcel is None:
            return False
        self._count(parcel, +1)
        pool.submit(self._deliver_and_release, parcel)
        return True

    def _claim(self) -> Parcel | None:
        with self._lock:
            if self._addresses.total() >= self._threads:
                return None
            of_tenant = max(1, self._threads // 2)
            addresses = [name for name, count in self._addresses.items() if count >= PER_ADDRESS]
            tenants = [name for name, count in self._tenants.items() if count >= of_tenant]
        with self._services.open_session() as session:
            return claim_next(
                session, lease=self._lease, busy_addresses=addresses, busy_tenants=tenants
            )

    def _deliver_and_release(self, parcel: Parcel) -> None:
        try:
            self._deliver(parcel)
        except (SQLAlchemyError, DatabaseUnavailable) as error:
            # Sent, or not, and not written down: the lease ends, and it is sent (again).
            logger.warning("webhook_not_noted", extra={"reason": type(error).__name__})
        except Exception:
            # Nobody asks the thread how it ended.
            logger.exception("webhook_crashed", extra={"delivery_id": str(parcel.id)})
        finally:
            self._count(parcel, -1)
            self._wake.set()

    def _count(self, parcel: Parcel, change: int) -> None:
        with self._lock:
            for counter, name in (
                (self._addresses, parcel.address),
                (self._tenants, parcel.tenant),
            ):
                counter[name] += change
                if not counter[name]:
                    del counter[name]

    def _deliver(self, parcel: Parcel) -> None:
        try:
            answer = self._attempt(parcel)
        except Exception:
            # A bug of ours; the message is tried again like any other, and given up in the end.
            logger.exception("webhook_crashed", extra={"delivery_id": str(parcel.id)})
            answer = Answer(None, "internal_error", 0.0)
        is_noted = self._note(parcel, answer)
        logger.info(
            "webhook_sent" if answer.is_success else "webhook_not_taken",
            extra={
                "delivery_id": str(parcel.id),
                "job_id": str(parcel.job_id),
                "attempt": parcel.attempt,
                "status": answer.status,
                "reason": answer.reason,
                "is_noted": is_noted,
            },
        )

    def _note(self, parcel: Parcel, answer: Answer) -> bool:
        """Write the outcome down. While the database is away it is tried again as long as the
        message is ours: what is not noted is sent a second time.
        """
        ends_at = time.monotonic() + LEASE_MARGIN_S - OUTAGE_WAIT_S
        while True:
            try:
                with self._services.open_session() as session:
                    return record_outcome(
                        session, parcel, answer, pause_after=self._pause_after, draw=self._draw()
                    )
            except DatabaseUnavailable:
                if time.monotonic() > ends_at or self._stop.wait(OUTAGE_WAIT_S):
                    raise

    def _attempt(self, parcel: Parcel) -> Answer:
        if parcel.url is None:
            return Answer(None, "job_removed", 0.0, is_final=True)
        envelope = Envelope(
            message_id=message_id(parcel.id),
            timestamp=int(time.time()),
            body=parcel.body.encode(),
            secrets=parcel.secrets,
        )
        headers = {
            **parcel.headers,
            **STYLES[parcel.style].headers(envelope),
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            **standard_headers(envelope),
        }
        return self._send(parcel.url, envelope.body, headers, self._timeout_s)
