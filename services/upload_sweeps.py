"""What goes on with upload sessions while nobody sends anything."""

import logging
import time
from collections.abc import Callable
from uuid import UUID

from sqlalchemy import func, select

from domain.errors import ScriptoriumError, UploadLocked, UploadNotFound
from models import UploadSession
from services.context import Services
from services.upload_finish import finish_upload
from services.upload_rows import IN_PIECES, Row, open_file, remove_row

logger = logging.getLogger(__name__)

BATCH = 100  # sessions per run of a sweep
HOLD_S = 60.0  # what keeps a recording from being a job is seldom over sooner


class WholeUploads:
    """Makes jobs of what is whole and is none yet: an outage or a limit came in between."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[UUID, float] = {}  # until when not to try again

    def finish_whole(self, services: Services) -> int:
        """Make one of them a job; what fails is not tried again for a minute. Returns 1, or 0.

        Reading a large recording takes long, and other sweeps wait: hence one at a time.
        """
        now = self._clock()
        self._held = {key: until for key, until in self._held.items() if until > now}
        whole = (
            select(Row)
            .where(
                IN_PIECES,
                Row.job_id.is_(None),
                Row.offset_bytes == Row.length_bytes,
                Row.id.not_in(self._held),
            )
            .order_by(Row.expires_at)
            .limit(BATCH)
        )
        with services.open_statement() as session:
            rows = session.scalars(whole).all()
        return int(any(self._try(services, row) for row in rows))

    def _try(self, services: Services, row: UploadSession) -> bool:
        try:
            with open_file(services, row) as file:
                return finish_upload(services, row.id, file)
        except ScriptoriumError as error:
            self._held[row.id] = self._clock() + HOLD_S
            facts = {"upload_id": str(row.id), "code": error.code}
            logger.warning("upload_not_finished", extra=facts)
            return False


def remove_expired(services: Services) -> int:
    """Remove sessions that nothing arrived for in UPLOAD_SESSION_HOURS, with what had arrived.

    Returns how many. One that is written to at this moment is left alone.
    """
    expired = (
        select(Row)
        .where(IN_PIECES, Row.expires_at <= func.now())
        .order_by(Row.expires_at)
        .limit(BATCH)
    )
    with services.open_statement() as session:
        rows = session.scalars(expired).all()
    return sum(_expire(services, row) for row in rows)


def _expire(services: Services, row: UploadSession) -> bool:
    if row.job_id is not None:
        return remove_row(services, row.id, only_expired=True)
    try:
        with open_file(services, row) as file:
            is_removed = remove_row(services, row.id, only_expired=True)
            if is_removed:
                file.discard()
    except UploadLocked:
        return False
    except UploadNotFound:  # its file is gone
        is_removed = remove_row(services, row.id)
    logger.info("upload_expired", extra={"upload_id": str(row.id)})
    return is_removed
