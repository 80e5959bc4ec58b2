"""Recordings that arrive in pieces, over as many connections as it takes.

The row says how many bytes are durable. What the file holds beyond that is of a piece that was
under way when the machine failed: it is cut off when the upload goes on. Whoever writes holds
the lock of the file; rows are read again under it.
"""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.errors import (
    FileMissing,
    TooManyUploads,
    UploadChecksumMismatch,
    UploadOffsetMismatch,
    UploadTooLarge,
)
from domain.ids import new_id
from domain.options import TranscriptionOptions
from domain.submission import Submission
from models import UploadSession
from services.context import Services
from services.kept_submission import keep_submission
from services.limits import require_room
from services.upload_finish import finish_upload
from services.upload_rows import IN_PIECES, Row, change_row, open_file, remove_row, unknown_upload
from storage.base import Resumable

logger = logging.getLogger(__name__)

SYNC_BYTES = 16 * 1024 * 1024  # what the death of the server in mid-piece may cost


@dataclass(frozen=True)
class UploadView:
    """An upload session as it stands."""

    upload_id: UUID
    length_bytes: int
    offset_bytes: int  # all before it is safe
    said: str  # what the client said about the recording, as it said it
    job_id: UUID | None
    expires_at: datetime

    @property
    def is_whole(self) -> bool:
        """Whether every byte is there."""
        return self.offset_bytes == self.length_bytes


@dataclass(frozen=True)
class Checksum:
    """What a piece hashes to, as its sender says."""

    algorithm: str  # a name that hashlib knows
    digest: bytes


def begin_upload(
    services: Services,
    *,
    length_bytes: int,
    said: str,
    options: TranscriptionOptions,
    submission: Submission,
) -> UploadView:
    """Open a session for a recording of this length; a file of its own grows from now on.

    Raises FileMissing for an empty recording, UploadTooLarge, TooManyUploads, StorageFull; and
    TooManyJobs or QuotaExceeded now, not after all of it was sent.
    """
    maximum = services.settings.max_session_bytes
    if length_bytes == 0:
        raise FileMissing("the recording is empty: Upload-Length is 0")
    if length_bytes > maximum:
        raise UploadTooLarge(f"the recording is larger than {maximum} bytes", max_bytes=maximum)
    _require_place(services, submission.tenant)
    require_room(services, submission.tenant, size_bytes=length_bytes)
    upload_id = new_id()
    with services.open_statement() as session:
        session.add(
            Row(
                id=upload_id,
                tenant=submission.tenant,
                key_id=submission.key_id,
                length_bytes=length_bytes,
                file_path=services.storage.new_resumable(expected_bytes=length_bytes),
                upload_metadata={
                    "said": said,
                    "options": options.to_dict(),
                    "submission": keep_submission(submission),
                },
                expires_at=func.now() + _life(services),
            )
        )
    logger.info("upload_begun", extra={"upload_id": str(upload_id), "size_bytes": length_bytes})
    return get_upload(services, upload_id, tenant=submission.tenant)


def get_upload(services: Services, upload_id: UUID, *, tenant: str) -> UploadView:
    """How far it is. Raises UploadNotFound, also for one of somebody else's, or expired."""
    return _view(services, _find(services, upload_id, tenant))


def append_piece(
    services: Services,
    upload_id: UUID,
    pieces: Iterable[bytes],
    *,
    tenant: str,
    offset: int,
    checksum: Checksum | None = None,
) -> UploadView:
    """Write what comes from `offset` on; the last byte makes it a job.

    When `pieces` breaks off, or the disk is full, what came is kept and the error goes on; only
    a piece with a checksum is kept whole or not at all. Raises UploadNotFound, UploadLocked,
    UploadOffsetMismatch, UploadChecksumMismatch, and whatever `submit_job` does: a recording
    that is no audio goes with its session, anything else leaves it for another try.
    """
    row = _find(services, upload_id, tenant)
    view = _view(services, row)
    _require_offset(view, offset)
    if view.job_id is not None:
        return view
    with open_file(services, row) as file:
        view = get_upload(services, upload_id, tenant=tenant)  # others may have been here
        _require_offset(view, offset)
        if not view.is_whole:
            file.truncate(view.offset_bytes)
            _receive(services, view, file, pieces, checksum)
        if file.size_bytes == view.length_bytes:
            finish_upload(services, upload_id, file)
    return get_upload(services, upload_id, tenant=tenant)


def discard_upload(services: Services, upload_id: UUID, *, tenant: str) -> None:
    """End a session; a job that was made of it stays. Raises UploadNotFound, UploadLocked."""
    row = _find(services, upload_id, tenant)
    if row.job_id is None:
        with open_file(services, row) as file:
            remove_row(services, upload_id)
            file.discard()
    else:
        remove_row(services, upload_id)


def arriving(session: Session, keys: Iterable[str]) -> set[str]:
    """Those of these keys of the store that an upload session still needs."""
    return set(session.scalars(select(Row.file_path).where(Row.file_path.in_(keys))))


def _life(services: Services) -> timedelta:
    return timedelta(hours=services.settings.upload_session_hours)


def _require_place(services: Services, tenant: str) -> None:
    unfinished = (
        select(func.count())
        .select_from(Row)
        .where(Row.tenant == tenant, Row.job_id.is_(None), Row.expires_at > func.now())
    )
    maximum = services.settings.max_upload_sessions
    with services.open_statement() as session:
        if (session.scalar(unfinished) or 0) >= maximum:
            raise TooManyUploads(
                f"{maximum} uploads are unfinished: finish or delete one first", maximum=maximum
            )


def _find(services: Services, upload_id: UUID, tenant: str) -> UploadSession:
    query = select(Row).where(
        IN_PIECES, Row.id == upload_id, Row.tenant == tenant, Row.expires_at > func.now()
    )
    with services.open_statement() as session:
        row = session.scalar(query)
    if row is None:
        raise unknown_upload()
    return row


def _view(services: Services, row: UploadSession) -> UploadView:
    offset = row.offset_bytes
    if row.job_id is None:
        there = services.storage.size_of(row.file_path)
        if there is None:
            raise unknown_upload()
        offset = min(offset, there)
    return UploadView(
        upload_id=row.id,
        length_bytes=row.length_bytes,
        offset_bytes=offset,
        said=row.upload_metadata["said"],
        job_id=row.job_id,
        expires_at=row.expires_at,
    )


def _require_offset(view: UploadView, offset: int) -> None:
    if offset != view.offset_bytes:
        raise UploadOffsetMismatch(
            f"the upload stands at {view.offset_bytes}, not at {offset}", offset=view.offset_bytes
        )


def _receive(
    services: Services,
    view: UploadView,
    file: Resumable,
    pieces: Iterable[bytes],
    checksum: Checksum | None,
) -> None:
    begin = synced = file.size_bytes
    # To tell damage, not forgery: the protocol's clients send SHA-1.
    digest = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
    try:
        for piece in pieces:
            file.write(piece)
            if digest:
                digest.update(piece)
            elif file.size_bytes - synced >= SYNC_BYTES:
                _note(services, view.upload_id, file)
                synced = file.size_bytes
        _verify(digest.digest() if digest else b"", checksum)
    except BaseException:
        if digest:
            file.truncate(begin)
        _note(services, view.upload_id, file)
        raise
    _note(services, view.upload_id, file)


def _verify(digest: bytes, checksum: Checksum | None) -> None:
    if checksum and digest != checksum.digest:
        raise UploadChecksumMismatch("the piece does not have the checksum that came with it")


def _note(services: Services, upload_id: UUID, file: Resumable) -> None:
    """Count what is in the file, once it is durable; the session lives on from now."""
    file.sync()
    change_row(
        services, upload_id, offset_bytes=file.size_bytes, expires_at=func.now() + _life(services)
    )
