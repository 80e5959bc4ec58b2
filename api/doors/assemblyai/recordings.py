"""The recording that a request names: one that was uploaded before, or one from elsewhere."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

from flask import request

from api.admission import outside
from api.current import current_services, current_tenant
from api.doors.problem import Refused
from domain.errors import UploadNotFound
from services.assembly_uploads import use_upload
from services.fetching import fetch_recording
from storage.base import StoredFile

UPLOAD_PATH = re.compile(r"/v2/upload/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


@dataclass(frozen=True)
class Recording:
    """A stored recording, and what is known of it."""

    stored: StoredFile
    filename: str | None
    content_type: str | None
    upload_id: UUID | None  # of the upload that it is a twin of


def upload_url(upload_id: UUID) -> str:
    """The address of an upload. Nothing answers there: it is only a name for submissions."""
    return f"{request.host_url}v2/upload/{upload_id}"


def find_recording(audio_url: str) -> Recording:
    """Get the recording into a file of its own.

    An upload is known by the id in its address, under whatever name this server was called then:
    nobody can guess it, and it counts for its own tenant only. Raises Refused for an upload that
    is not there, and as `fetch_recording`.
    """
    services = current_services()
    upload_id = _upload_id(audio_url)
    if upload_id is not None:
        try:
            kept = use_upload(services, upload_id, tenant=current_tenant())
        except UploadNotFound as error:
            if urlsplit(audio_url).netloc == request.host:
                raise Refused(
                    "audio_url", f"audio_url: {error.message}", code=error.code
                ) from error
        else:
            return Recording(kept.stored, None, kept.content_type, upload_id)
    with outside(request.environ):
        fetched = fetch_recording(services, audio_url)
    return Recording(fetched.stored, fetched.filename, fetched.content_type, None)


def _upload_id(audio_url: str) -> UUID | None:
    try:
        found = UPLOAD_PATH.fullmatch(urlsplit(audio_url).path)
    except ValueError:  # no address at all: fetching says what is wrong with it
        return None
    return UUID(found[1]) if found else None
