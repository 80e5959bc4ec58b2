"""Recordings that are uploaded first and named in submissions later, as AssemblyAI's clients do.

Each is a row of upload_sessions that is whole from the beginning. Its `job_id` is the last job
that was made of it, and its own id before the first: to whoever looks after recordings that
arrive in pieces there is nothing left to do. Its id is random, and it is shown to its tenant alone.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, func, select, update

from domain.errors import (
    AudioGone,
    DatabaseUnavailable,
    StorageError,
    TooManyUploads,
    UploadNotFound,
)
from models import UploadSession
from services.context import Services
from storage.base import StoredFile

logger = logging.getLogger(__name__)

Row = UploadSession

KEPT = "kept"
BATCH = 100  # uploads per run of the sweep
# Uploads end so much before their row says: the sweep of other uploads would leave their files.
AHEAD = timedelta(minutes=1)


@dataclass(frozen=True)
class KeptUpload:
    """A recording that was uploaded before; `stored` is a file of its own for one job."""

    stored: StoredFile
    content_type: str | None


def require_place(services: Services, tenant: str) -> None:
    """Raise TooManyUploads when MAX_UPLOAD_SESSIONS uploads of a tenant were never used."""
    maximum = services.settings.max_upload_sessions
    unused = (
        select(func.count())
        .select_from(Row)
        .where(*_is_there(), Row.tenant == tenant, Row.job_id == Row.id)
    )
    with services.open_statement() as session:
        if (session.scalar(unused) or 0) >= maximum:
            raise TooManyUploads(
                f"{maximum} uploads were not used yet: transcribe one of them first",
                maximum=maximum,
            )


def keep_upload(
    services: Services,
    stored: StoredFile,
    *,
    tenant: str,
    key_id: UUID | None,
    content_type: str | None,
) -> UUID:
    """Keep a stored recording for UPLOAD_SESSION_HOURS. Returns the id that submissions name.

    The file is removed on any error, but for DatabaseUnavailable: the row may be there.
    """
    upload_id = uuid4()  # nothing of it can be guessed, unlike the time in `new_id`
    life = timedelta(hours=services.settings.upload_session_hours)
    row = Row(
        id=upload_id,
        tenant=tenant,
        key_id=key_id,
        length_bytes=stored.size_bytes,
        offset_bytes=stored.size_bytes,
        file_path=stored.key,
        upload_metadata={
            "said": "",  # what other uploads show of themselves
            KEPT: {"sha256": stored.sha256, "content_type": content_type},
        },
        job_id=upload_id,
        expires_at=func.now() + life + AHEAD,
    )
    try:
        with services.open_statement() as session:
            session.add(row)
    except DatabaseUnavailable:
        raise
    except BaseException:
        services.storage.delete(stored.key)
        raise
    logger.info("upload_kept", extra={"upload_id": str(upload_id), "size_bytes": stored.size_bytes})
    return upload_id


def use_upload(services: Services, upload_id: UUID, *, tenant: str) -> KeptUpload:
    """A file of its own, for one job, with what was uploaded.

    Raises UploadNotFound, also for an upload of somebody else's and for one that has expired.
    """
    query = select(Row).where(*_is_there(), Row.id == upload_id, Row.tenant == tenant)
    with services.open_statement() as session:
        row = session.scalar(query)
    if row is None:
        raise _unknown()
    about: dict[str, Any] = row.upload_metadata[KEPT]
    try:
        key = services.storage.duplicate(row.file_path)
    except AudioGone as error:  # it expired just now
        raise _unknown() from error
    return KeptUpload(StoredFile(key, row.length_bytes, about["sha256"]), about["content_type"])


def note_use(services: Services, upload_id: UUID, job_id: UUID) -> None:
    """Remember that a job was made of it."""
    with services.open_statement() as session:
        session.execute(update(Row).where(Row.id == upload_id).values(job_id=job_id))


def remove_expired(services: Services) -> int:
    """Remove uploads that are too old, with their files. Jobs have files of their own.

    Returns how many.
    """
    chosen = (
        select(Row.id)
        .where(_is_kept(), Row.expires_at <= func.now() + AHEAD)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    query = (
        delete(Row)
        .where(Row.id == chosen.c.id)
        .returning(Row.file_path)
        .execution_options(synchronize_session=False)
    )
    with services.open_session() as session:
        keys = session.scalars(query).all()
    # After the commit: a crash in between leaves a file without a row, which the audit finds.
    _delete_files(services, keys)
    return len(keys)


def _is_kept() -> ColumnElement[bool]:
    found: ColumnElement[bool] = Row.upload_metadata.has_key(KEPT)
    return found


def _is_there() -> tuple[ColumnElement[bool], ...]:
    return (_is_kept(), Row.expires_at > func.now() + AHEAD)


def _delete_files(services: Services, keys: Sequence[str]) -> None:
    for key in keys:
        try:
            services.storage.delete(key)
        except StorageError as error:
            logger.warning("upload_not_removed", extra={"key": key, "reason": error.message})


def _unknown() -> UploadNotFound:
    return UploadNotFound("there is no such upload, or not any more")
