"""What gunicorn refuses before the application sees it, in the shape of every other failure."""

import json
import logging
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from gunicorn.http.errors import (
    ConfigurationProblem,
    ExpectationFailed,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)

from api.errors import CRASHED, STATUS_OF_CODE, error_body
from api.request_log import HEADER as ID_HEADER
from api.request_log import SAFE_HEADERS
from services.log_context import request_context

logger = logging.getLogger(__name__)

OURS = (ConfigurationProblem, InvalidResponseHeader, InvalidResponseHeaderName)
CODE_OF_REFUSAL = {
    LimitRequestLine: "address_too_long",
    LimitRequestHeaders: "headers_too_large",
    ExpectationFailed: "expectation_unsupported",
    UnsupportedTransferCoding: "transfer_coding_unsupported",
}
MESSAGE_OF_CODE = {
    "address_too_long": "the first line of the request is too long",
    "headers_too_large": "the request has too many headers, or one that is too long",
    "expectation_unsupported": "the only Expect that is met here is 100-continue",
    "transfer_coding_unsupported": "the only Transfer-Encoding that is read here is chunked",
    "request_invalid": "the head of the request is malformed",
    "internal_error": CRASHED,
}


def answer_to(error: Exception, *, is_head_read: bool) -> bytes | None:
    """The whole answer to a request that gunicorn gave up; None when it was answered already.

    Neither the answer nor the log repeats what the client sent: a key may be part of it.
    """
    is_refused = isinstance(error, ParseException) and not isinstance(error, OURS)
    if is_refused and is_head_read:
        return None  # it was refused before its end, and the rest of its body is malformed
    code = CODE_OF_REFUSAL.get(type(error), "request_invalid") if is_refused else "internal_error"
    request_id = uuid4().hex
    with request_context(request_id):
        if is_refused:
            logger.warning("request_refused", extra={"code": code, "reason": type(error).__name__})
        else:
            logger.error("request_crashed", extra={"code": code}, exc_info=error)
        return written(error_body(code, MESSAGE_OF_CODE[code]), STATUS_OF_CODE[code])


def written(failure: dict[str, Any], status: int) -> bytes:
    """An answer as it goes over the wire; the connection is closed after it."""
    body = json.dumps(failure).encode()
    headers = {
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        ID_HEADER: failure["request_id"],
        **SAFE_HEADERS,
    }
    head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*head, "", ""]).encode("ascii") + body
