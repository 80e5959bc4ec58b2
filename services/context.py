"""What the use cases need from outside. Built once, at the start of a process."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore, Semaphore
from uuid import UUID

from sqlalchemy.orm import Session

from audio.ffmpeg import find_ffmpeg
from audio.probe import AudioProbe, probe
from config import Settings
from database import get_db_session, get_statement_session
from domain.retry import RetryPolicy
from outgoing.rules import Rules
from services.broker import queue_depths
from services.dispatch import publish
from storage.base import Storage
from storage.local import LocalStorage

MIB = 1024 * 1024


@dataclass(frozen=True)
class Services:
    """The collaborators of every use case."""

    settings: Settings
    open_session: Callable[[], AbstractContextManager[Session]]
    storage: Storage
    publish: Callable[[UUID, str], None]
    probe: Callable[[Path], AudioProbe]
    queue_depths: Callable[[], dict[str, int] | None]
    # For single statements: each commits as it ends.
    open_statement: Callable[[], AbstractContextManager[Session]] = get_statement_session

    outgoing: Rules = field(default_factory=Rules)  # for requests to other servers
    # Recordings fetched from elsewhere at once, in this process.
    fetch_places: Semaphore = field(default_factory=partial(BoundedSemaphore, 4))

    @property
    def lease(self) -> timedelta:
        """How long a claim holds without a heartbeat."""
        return timedelta(seconds=self.settings.lease_s)

    def retry_policy(self, max_attempts: int) -> RetryPolicy:
        """How patiently a job is tried again, which may be tried `max_attempts` times.

        That number is the job's own: MAX_ATTEMPTS may have changed since it was submitted.
        """
        return RetryPolicy(
            max_attempts=max_attempts,
            base=timedelta(seconds=self.settings.retry_base_s),
            cap=timedelta(seconds=self.settings.retry_cap_s),
        )


def build_services(settings: Settings) -> Services:
    """Real collaborators for a web process, a worker or a reconciler."""
    storage = LocalStorage(settings.storage_path, min_free_bytes=settings.min_free_disk_mb * MIB)
    return Services(
        settings=settings,
        open_session=get_db_session,
        storage=storage,
        publish=partial(publish, settings),
        probe=partial(
            probe,
            ffmpeg=find_ffmpeg(settings.ffmpeg_bin),
            timeout_s=settings.probe_timeout_s,
        ),
        queue_depths=partial(queue_depths, settings),
        outgoing=Rules(allowed=settings.allowed_outside),
        fetch_places=BoundedSemaphore(settings.max_fetches),
    )
