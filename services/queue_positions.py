"""The places of waiting jobs, for many who ask at once."""

import time
from collections.abc import Collection, Mapping
from types import MappingProxyType
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.queue_order import ORDER, POSITION_LIMIT, Job, is_ready

READ_EVERY_S = 2.0


class QueuePositions:
    """Who stands where among the first POSITION_LIMIT; looked up every two seconds at most."""

    def __init__(self) -> None:
        self._places: Mapping[UUID, int] = MappingProxyType({})
        self._read_at: float | None = None

    def read(self, session: Session, waiting: Collection[UUID]) -> Mapping[UUID, int]:
        """The place of each job that waits, 1 being next; POSITION_LIMIT + 1 for all behind."""
        if waiting and not self._knows(waiting):
            query = select(Job.id).where(*is_ready()).order_by(*ORDER).limit(POSITION_LIMIT)
            found = session.scalars(query).all()
            self._places = {job_id: place for place, job_id in enumerate(found, start=1)}
            self._read_at = time.monotonic()
        return {job_id: self._places.get(job_id, POSITION_LIMIT + 1) for job_id in waiting}

    def _knows(self, waiting: Collection[UUID]) -> bool:
        if self._read_at is None or time.monotonic() - self._read_at > READ_EVERY_S:
            return False
        # In a line that is shorter than what was read, a stranger came after the reading.
        return len(self._places) == POSITION_LIMIT or all(job in self._places for job in waiting)
