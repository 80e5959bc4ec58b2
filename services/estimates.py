"""How long things take here, from what has been measured here."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import TranscriptionResult

LOOK_BACK_JOBS = 20  # enough to smooth, few enough to follow a change of hardware
MIN_SECONDS = 1.0  # of audio: shorter recordings say more about start-up than about speed


def recent_speed(session: Session, model_size: str) -> float | None:
    """Audio seconds per second of the last jobs with this model; None before the first."""
    recent = (
        select(TranscriptionResult.duration, TranscriptionResult.transcribe_s)
        .where(
            TranscriptionResult.model_used == model_size,
            TranscriptionResult.duration >= MIN_SECONDS,
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
