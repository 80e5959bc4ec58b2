"""Uploads of the current request: opened into the store, discarded unless committed."""

from flask import g, request

from api.body import limit_body, read_body
from api.current import current_services
from domain.errors import FileMissing
from storage.base import Upload

FORM_OVERHEAD_BYTES = 1024 * 1024  # part headers, boundaries and the other fields


def limit_upload(*, overhead_bytes: int = 0) -> None:
    """Bound this request's body to MAX_UPLOAD_SIZE_MB. Raises as `limit_body`."""
    limit_body(request, current_services().settings.max_upload_bytes + overhead_bytes)


def open_upload() -> Upload:
    """Begin a file in the store. Raises StorageFull when what was announced does not fit."""
    services = current_services()
    max_bytes = services.settings.max_upload_bytes
    announced = request.content_length
    upload = services.storage.new_upload(
        max_bytes=max_bytes,
        expected_bytes=None if announced is None else min(announced, max_bytes),
    )
    g.setdefault("uploads", []).append(upload)
    return upload


def receive_raw() -> Upload:
    """Write the whole body into the store. Raises FileMissing when there is none."""
    limit_upload()
    upload = open_upload()
    for chunk in read_body(request, current_services().settings.max_upload_bytes):
        upload.write(chunk)
    require_bytes(upload)
    return upload


def require_bytes(upload: Upload) -> None:
    """Raise FileMissing for an empty file."""
    if upload.size_bytes == 0:
        raise FileMissing("the file is empty")


def discard_uploads(_error: BaseException | None = None) -> None:
    """Leave nothing of what was not committed; harmless for what was."""
    for upload in g.pop("uploads", []):
        upload.discard()
