"""Request bodies, read once and to the end."""

import logging
from collections.abc import Iterator
from http import HTTPStatus

from flask import Request, Response, request
from werkzeug.exceptions import LengthRequired, RequestEntityTooLarge, UnsupportedMediaType

from domain.errors import UploadInterrupted, UploadTooLarge

logger = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
MAX_DRAIN_BYTES = 16 * 1024 * 1024
# A 413 is given so that the body need not be sent, and for strangers and for those who send too
# much nobody waits: after the answer gunicorn drops what it can in a moment, or the connection.
UNREAD = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.TOO_MANY_REQUESTS,
)


def limit_body(request: Request, max_bytes: int) -> None:
    """Bound the body of this request, in bytes.

    Raises UploadTooLarge at once when the client announces more, LengthRequired when it
    announces nothing at all, UnsupportedMediaType for a compressed body.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("send the recording as it is, without Content-Encoding")
    is_chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    if request.content_length is None and not is_chunked:
        raise LengthRequired("send Content-Length, or Transfer-Encoding: chunked")
    if request.content_length is not None and request.content_length > max_bytes:
        raise too_large(max_bytes)
    # One more than allowed: Werkzeug refuses to look for the end at exactly its limit.
    request.max_content_length = max_bytes + 1


def read_body(request: Request, max_bytes: int) -> Iterator[bytes]:
    """Yield the body in pieces of at most 256 KiB.

    Raises UploadTooLarge past the bound, UploadInterrupted when the client went away.
    """
    received = 0
    while chunk := _read_chunk(request, max_bytes):
        received += len(chunk)
        yield chunk
    announced = request.content_length
    # Some servers end the stream quietly when the client is gone.
    if announced is not None and received < announced:
        raise UploadInterrupted(
            "the upload ended early", received_bytes=received, announced_bytes=announced
        )


def drain_refused_body(response: Response) -> Response:
    """Read what is left of a small body that was refused before its end.

    Otherwise the server closes the connection, and a client that keeps it for its next
    request meets a reset there instead of an answer.
    """
    announced = request.content_length or 0
    is_bounded = request.environ.get("wsgi.input_terminated") and announced <= MAX_DRAIN_BYTES
    is_refused = (
        response.status_code >= HTTPStatus.BAD_REQUEST and response.status_code not in UNREAD
    )
    if is_refused and announced and is_bounded:
        stream = request.environ["wsgi.input"]
        try:
            while stream.read(CHUNK_BYTES):
                pass
        except Exception as error:  # noqa: BLE001 - each server has its own errors for a client gone
            logger.debug("body_not_drained", extra={"reason": type(error).__name__})
    return response


def too_large(max_bytes: int) -> UploadTooLarge:
    """The refusal of a body beyond this many bytes."""
    return UploadTooLarge(f"the upload is larger than {max_bytes} bytes", max_bytes=max_bytes)


def _read_chunk(request: Request, max_bytes: int) -> bytes:
    try:
        return request.stream.read(CHUNK_BYTES)
    except RequestEntityTooLarge as error:
        raise too_large(max_bytes) from error
    except Exception as error:  # each server has its own errors for a broken body
        raise UploadInterrupted("the upload broke off") from error
