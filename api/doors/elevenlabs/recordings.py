"""The recording of a request, in the store: from the form, or from where the request says."""

from contextlib import closing
from typing import Any

from flask import request

from api.admission import outside
from api.current import current_services
from api.doors.elevenlabs.pcm import wrap_samples
from api.multipart import FormFile
from api.uploads import open_upload, require_bytes
from domain.errors import SourceRefused, SourceUnavailable
from services.fetching import Fetched, fetch_recording

BARE_SAMPLES = "pcm_s16le_16"
WAVE = "audio/wav"
ADDRESSES = ("source_url", "cloud_storage_url")


def store_recording(form: dict[str, Any]) -> Fetched:
    """Keep what the form holds or names.

    Raises FileMissing, Refused for bytes that are no samples, and as `fetch_recording`.
    """
    is_bare = form.get("file_format") == BARE_SAMPLES
    file: FormFile | None = form.get("file")
    if file is None:
        name = next(name for name in ADDRESSES if name in form)
        return _fetch(name, form[name], is_bare=is_bare)
    require_bytes(file.upload)
    if not is_bare:
        return Fetched(file.upload.commit(), file.filename, file.content_type)
    wave = open_upload()
    file.upload.seek(0)
    wrap_samples(file.upload, wave, size_bytes=file.upload.size_bytes)
    file.upload.discard()
    return Fetched(wave.commit(), file.filename, WAVE)


def _fetch(name: str, url: str, *, is_bare: bool) -> Fetched:
    services = current_services()
    try:
        with outside(request.environ):
            fetched = fetch_recording(services, url)
    except (SourceRefused, SourceUnavailable) as error:
        # Under the name that the client used.
        raise type(error)(error.message, **{**error.details, "option": name}) from error
    if not is_bare:
        return fetched
    try:
        wave = open_upload()
        with closing(services.storage.open(fetched.stored.key)) as samples:
            wrap_samples(samples, wave, size_bytes=fetched.stored.size_bytes)
        return Fetched(wave.commit(), fetched.filename, WAVE)
    finally:
        services.storage.delete(fetched.stored.key)
