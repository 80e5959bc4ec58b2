"""What a prefork child holds for its whole life: its connections and its presence."""

import os
from functools import lru_cache
from uuid import UUID

from config import get_settings
from database import dispose_engine
from services.log_context import configure_logging
from services.presence import Presence
from services.transcription import run_waiting
from services.worker_context import worker_services


def start_child() -> None:
    """Begin the life of a child: its own connections, its reports."""
    settings = get_settings()
    configure_logging(settings.log_level, settings.log_format)
    dispose_engine()
    _presence(os.getpid()).start()


def answer(rung_for: UUID, queue: str) -> None:
    """Answer one message in this child, and let the presence say what is worked on."""
    presence = _presence(os.getpid())
    try:
        run_waiting(worker_services(), rung_for, queue, on_job=presence.set_job)
    finally:
        presence.set_job(None)


@lru_cache(maxsize=1)
def _presence(pid: int) -> Presence:
    del pid  # the key: a forked child makes its own
    return Presence(worker_services())
