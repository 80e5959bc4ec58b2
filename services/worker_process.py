"""What a prefork child holds for its whole life: presence, the idle-model sweep, warm-up."""

import logging
import os
import threading
from functools import lru_cache
from uuid import UUID

from config import get_settings
from database import dispose_engine
from model_pool import get_pool
from services.log_context import configure_logging
from services.presence import Presence
from services.transcription import run_waiting
from services.worker_context import worker_services

logger = logging.getLogger(__name__)

IDLE_SWEEP_S = 30.0


def start_child() -> None:
    """Begin the life of a child: its own connections, its reports, its warm model."""
    settings = get_settings()
    configure_logging(settings.log_level, settings.log_format)
    dispose_engine()
    _presence(os.getpid()).start()
    threading.Thread(target=_warm_up_and_sweep, name="pool-keeper", daemon=True).start()


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


def _warm_up_and_sweep() -> None:
    pool = get_pool()
    try:
        pool.warm_up(get_settings().model_size)
    except Exception:
        # The first job meets the same fault and reports it where the user looks.
        logger.exception("warm_up_failed", extra={"model_size": get_settings().model_size})
    while True:
        threading.Event().wait(IDLE_SWEEP_S)
        pool.unload_idle()
