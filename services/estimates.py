"""How long things take here, from what has been measured here."""

import logging
import math
import time
from collections.abc import Callable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.errors import DatabaseUnavailable
from models import TranscriptionResult
from services.context import Services

logger = logging.getLogger(__name__)

LOOK_BACK_JOBS = 20  # enough to smooth, few enough to follow a change of hardware
REMEMBER_S = 30.0
RESUMED_FROM = "resumed_from_s"  # in the timings of a result
MIN_SECONDS = 1.0  # of audio: shorter recordings say more about start-up than about speed


class Speeds:
    """The measured speeds of models on devices, remembered for a while by each process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str | None], tuple[float, float | None]] = {}

    def of(self, services: Services, model_size: str, device: str | None) -> float | None:
        """Audio seconds per second, as `recent_speed` says."""
        asked_at, speed = self._known.get((model_size, device), (-math.inf, None))
        if self._clock() - asked_at > REMEMBER_S:
            try:
                with services.open_statement() as session:
                    speed = recent_speed(session, model_size, device)
            except DatabaseUnavailable as error:
                # An attempt shall not end for the want of an estimate.
                logger.warning("speed_not_known", extra={"reason": error.message})
            self._known[model_size, device] = (self._clock(), speed)
        return speed


def recent_speed(session: Session, model_size: str, device: str | None) -> float | None:
    """Audio seconds per second of the last jobs with this model on this kind of device, or on any.

    None before the first. What was resumed is left out: it was decoded only in part.
    """
    recent = (
        select(TranscriptionResult.duration, TranscriptionResult.transcribe_s)
        .where(
            TranscriptionResult.model_used == model_size,
            *(() if device is None else (TranscriptionResult.device == device,)),
            TranscriptionResult.duration >= MIN_SECONDS,
            ~TranscriptionResult.timings.has_key(RESUMED_FROM),
        )
        .order_by(TranscriptionResult.created_at.desc())
        .limit(LOOK_BACK_JOBS)
        .subquery()
    )
    audio_s, wall_s = session.execute(
        select(func.sum(recent.c.duration), func.sum(recent.c.transcribe_s))
    ).one()
    return audio_s / wall_s if audio_s and wall_s else None


def time_left_s(share: float, elapsed_s: float, expected_s: float | None) -> float | None:
    """Seconds until a run ends of which `share` (0 to 1) took `elapsed_s`.

    The run's own pace counts for as much of it as is done; what was expected for the rest.
    """
    pace = elapsed_s / share if share > 0 else None
    if pace is None:
        return None if expected_s is None else max(0.0, expected_s - elapsed_s)
    total = pace if expected_s is None else share * pace + (1 - share) * max(expected_s, elapsed_s)
    return max(0.0, (1 - share) * total)
