"""The windows that an unfinished job has decoded so far, kept for its next attempt."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.transcript import segments_from_dicts
from domain.windows import Window
from models import TranscriptionWindow
from services.results import storable

Kept = TranscriptionWindow
MAX_WINDOWS = 5_000  # 40 hours in windows of 30 s: a bound on what one job may keep


def load_windows(session: Session, job_id: UUID) -> tuple[Window, ...]:
    """What is kept, in order."""
    rows = session.scalars(select(Kept).where(Kept.job_id == job_id).order_by(Kept.number)).all()
    return tuple(
        Window(
            number=row.number,
            next_seek=row.next_seek,
            engine=row.engine,
            model_used=row.model_used,
            segments=segments_from_dicts(row.segments),
            carried=row.carried,
        )
        for row in rows
    )


def save_windows(
    session: Session, job_id: UUID, lease_token: int, windows: Sequence[Window]
) -> bool:
    """Add windows; True when they replace earlier ones. The caller holds the job's row.

    A window replaces the kept one of its number and everything after it.
    """
    if not windows:
        return False
    windows = _last_run(windows)
    dropped = drop_windows(session, job_id, first=windows[0].number)
    values = [_values(job_id, lease_token, w) for w in windows if w.number < MAX_WINDOWS]
    if values:
        session.execute(insert(Kept).values(values))
    return bool(dropped)


def drop_windows(session: Session, job_id: UUID, *, first: int = 0) -> int:
    """Forget what is kept, from window `first` on; returns how many windows."""
    gone = session.execute(
        delete(Kept).where(Kept.job_id == job_id, Kept.number >= first).returning(Kept.number)
    )
    return len(gone.all())


def count_windows(session: Session, job_id: UUID) -> tuple[int, float]:
    """How many windows are kept, and the seconds of the recording that they cover."""
    count, seek = session.execute(
        select(func.count(), func.max(Kept.next_seek)).where(Kept.job_id == job_id)
    ).one()
    return count, (seek or 0) / 100


def _last_run(windows: Sequence[Window]) -> Sequence[Window]:
    """The windows since the engine last started again."""
    start = 0
    for place in range(1, len(windows)):
        if windows[place].number != windows[place - 1].number + 1:
            start = place
    return windows[start:]


def _values(job_id: UUID, lease_token: int, window: Window) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "number": window.number,
        "lease_token": lease_token,
        "engine": window.engine,
        "model_used": window.model_used,
        "next_seek": window.next_seek,
        "segments": [storable(asdict(segment)) for segment in window.segments],
        "carried": storable(window.carried),
    }
