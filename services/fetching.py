"""Recordings by address: fetched into the store under bounds, or refused with the reason."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from urllib.parse import unquote

from domain.errors import ServerBusy, SourceRefused, SourceUnavailable
from domain.filenames import clean_filename, name_in_disposition
from outgoing.errors import AddressRefused, OutgoingFailed
from outgoing.request import Answer, get_stream
from outgoing.rules import Limits
from services.context import Services
from storage.base import StoredFile

logger = logging.getLogger(__name__)

CONNECT_S = 10.0
IDLE_S = 30.0
RETRY_AFTER_S = 10  # most recordings are fetched by then
ACCEPT = "audio/*, video/*, application/octet-stream, */*;q=0.1"
PAGES = ("text/html", "application/xhtml+xml")
# What another server says is kept only in a shape that nothing behind here can choke on.
_LENGTH = re.compile(r"[0-9]{1,18}")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")


@dataclass(frozen=True)
class Fetched:
    """A recording that was fetched. What its server said of it is not to be trusted."""

    stored: StoredFile
    filename: str | None
    content_type: str | None


def fetch_recording(services: Services, url: str) -> Fetched:
    """Fetch the recording at `url` into the store, within SOURCE_TIMEOUT_S.

    Waits for another server, so call it where waiting takes no place from others. Raises
    SourceRefused, SourceUnavailable, UploadTooLarge, StorageFull, StorageError, and ServerBusy
    when this process fetches MAX_FETCHES recordings already.
    """
    start = monotonic()
    limits = Limits(CONNECT_S, IDLE_S, services.settings.source_timeout_s)
    with (
        _place(services),
        _explained(),
        get_stream(url, services.outgoing, limits, accept=ACCEPT) as answer,
    ):
        _require_recording(answer)
        fetched = Fetched(_store(services, answer), _filename(answer), _content_type(answer))
    logger.info(
        "recording_fetched",
        extra={
            "origin": answer.origin,  # the rest of an address may hold secrets
            "size_bytes": fetched.stored.size_bytes,
            "wall_s": round(monotonic() - start, 3),
        },
    )
    return fetched


@contextmanager
def _place(services: Services) -> Iterator[None]:
    if not services.fetch_places.acquire(blocking=False):
        raise ServerBusy(
            "the server is fetching as many recordings as it may at once",
            retry_after_s=RETRY_AFTER_S,
        )
    try:
        yield
    finally:
        services.fetch_places.release()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except AddressRefused as error:
        raise SourceRefused(error.message, option="source_url", reason=error.reason) from error
    except OutgoingFailed as error:
        raise _unavailable(error.message, error.reason) from error


def _require_recording(answer: Answer) -> None:
    if answer.status != HTTPStatus.OK:
        raise _unavailable(
            f"the address answered with status {answer.status}", "status", status=answer.status
        )
    if (answer.header("Content-Encoding") or "identity").strip().lower() != "identity":
        raise _unavailable("the address answered with a compressed body", "compressed")
    if _content_type(answer) in PAGES:
        raise _unavailable(
            "the address leads to a web page, not to a recording: use its download link", "web_page"
        )


def _store(services: Services, answer: Answer) -> StoredFile:
    announced = _LENGTH.fullmatch(answer.header("Content-Length") or "")
    upload = services.storage.new_upload(
        max_bytes=services.settings.max_upload_bytes,
        expected_bytes=int(announced[0]) if announced else None,
    )
    try:
        for chunk in answer.chunks():
            upload.write(chunk)
        if upload.size_bytes == 0:
            raise _unavailable("the address answered with an empty body", "empty")
        return upload.commit()
    finally:
        upload.discard()


def _filename(answer: Answer) -> str | None:
    named = name_in_disposition(answer.header("Content-Disposition") or "")
    path = answer.path.partition("?")[0]
    return clean_filename(named) or clean_filename(unquote(path.rpartition("/")[2]))


def _content_type(answer: Answer) -> str | None:
    media_type = (answer.header("Content-Type") or "").partition(";")[0].strip().lower()
    return media_type if _MEDIA_TYPE.fullmatch(media_type) else None


def _unavailable(message: str, reason: str, **details: object) -> SourceUnavailable:
    return SourceUnavailable(message, option="source_url", reason=reason, **details)
