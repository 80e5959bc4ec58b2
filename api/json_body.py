"""A JSON body, whatever a client puts into it."""

import json
from typing import Any

from flask import Request
from werkzeug.exceptions import HTTPException, UnsupportedMediaType

from domain.errors import RequestError

# Python's reader has errors of their own for brackets within brackets and for numbers with
# thousands of digits. Both can be sent by anybody, and neither is a fault of the server.
UNREADABLE = (ValueError, RecursionError)
MESSAGE = "the body is not valid JSON"


def require_json(request: Request) -> None:
    """Raise UnsupportedMediaType for a body that does not say it is JSON."""
    if not request.is_json:
        raise UnsupportedMediaType("send application/json")


def read_whole(request: Request) -> bytes:
    """The body as it is, which is kept to be read again.

    Raises RequestError when it breaks off, RequestEntityTooLarge.
    """
    try:
        return request.get_data()
    except HTTPException:
        raise
    except Exception as error:  # each server has its own errors for a broken body
        raise RequestError("the body broke off") from error


def read_json(request: Request) -> Any:
    """The value of the body.

    Raises UnsupportedMediaType for a body that does not say it is JSON, RequestError for one that
    is none, or none that can be read; and as `read_whole`.
    """
    require_json(request)
    try:
        return json.loads(read_whole(request))
    except UNREADABLE as error:
        raise RequestError(MESSAGE) from error
