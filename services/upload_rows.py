"""Rows and files of upload sessions: services/upload_sessions.py says what they are."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, delete, func, update

from domain.errors import AudioGone, UploadNotFound
from models import UploadSession
from services.context import Services
from storage.base import Resumable

Row = UploadSession

# The table holds whole uploads, too: services/assembly_uploads.py looks after those.
IN_PIECES = Row.upload_metadata.has_key("options")


@contextmanager
def open_file(services: Services, row: UploadSession) -> Iterator[Resumable]:
    """The file, locked. Raises UploadLocked, UploadNotFound."""
    try:
        file = services.storage.resume(row.file_path, max_bytes=row.length_bytes)
    except AudioGone as error:
        raise unknown_upload() from error
    with closing(file):
        yield file


def change_row(services: Services, upload_id: UUID, **values: Any) -> None:
    """Write these columns. Raises UploadNotFound when the row is gone."""
    with services.open_statement() as session:
        done: CursorResult[Any] = session.execute(  # type: ignore[assignment]
            update(Row).where(Row.id == upload_id).values(**values)
        )
    if done.rowcount == 0:
        raise unknown_upload()


def remove_row(services: Services, upload_id: UUID, *, only_expired: bool = False) -> bool:
    """Remove the row; whether it was there (and had expired)."""
    which = [Row.id == upload_id, *([Row.expires_at <= func.now()] if only_expired else [])]
    with services.open_statement() as session:
        done: CursorResult[Any] = session.execute(delete(Row).where(*which))  # type: ignore[assignment]
    return bool(done.rowcount)


def unknown_upload() -> UploadNotFound:
    """The refusal of an id that leads nowhere."""
    return UploadNotFound("there is no unfinished or recent upload with this id")
