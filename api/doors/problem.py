"""What went wrong, in words that every door can put into its own API's shape."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Response
from werkzeug.exceptions import HTTPException

from api.blueprint import Blueprint
from api.doors.waiting import answer_nobody
from api.errors import handle_http_error, handle_own_error, handle_unexpected_error
from domain.errors import ScriptoriumError
from services.synchronous import ClientGone

Render = Callable[["Problem"], Response]

# What APIs without finer words call a bad request: whatever is wrong in it, or comes too early.
BAD_REQUESTS = (
    HTTPStatus.CONFLICT,
    HTTPStatus.GONE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


@dataclass(frozen=True)
class Problem:
    """A failure, as the native API would have answered it."""

    status: int
    code: str  # stable, as in docs/api.md
    message: str
    field: str | None  # of the request, where one is at fault
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def retry_after_s(self) -> int | None:
        """Seconds after which another try may succeed."""
        value = self.headers.get("Retry-After", "")
        return int(value) if value.isdigit() else None


class Refused(ScriptoriumError):
    """A door does not know, or does not support, what was asked; `option` names the field."""

    code = "option_invalid"

    def __init__(self, field_name: str, message: str, *, code: str = "option_invalid") -> None:
        super().__init__(message, option=field_name)
        self.code = code


def answer_problems(blp: Blueprint, render: Render) -> None:
    """Let a door answer every failure in its own API's shape."""
    blp.register_error_handler(ClientGone, answer_nobody)
    for kind in (ScriptoriumError, HTTPException, Exception):
        blp.register_error_handler(kind, lambda error: render(problem_of(error)))


def coarse_status(status: int) -> int:
    """The status for clients that expect 400 for whatever is wrong in a request."""
    return HTTPStatus.BAD_REQUEST if status in BAD_REQUESTS else status


def problem_of(error: Exception) -> Problem:
    """The failure that the native API would have answered with; logs what it would have logged."""
    if isinstance(error, ScriptoriumError):
        response = handle_own_error(error)
    elif isinstance(error, HTTPException):
        response = handle_http_error(error)
    else:
        response = handle_unexpected_error(error)
    body: dict[str, Any] = response.get_json()
    details = body.get("details") or {}
    named = details.get("option")
    if named is None and body["code"] == "validation_error":  # its details are by field
        named = next(iter(details), None)
    return Problem(
        status=response.status_code,
        code=body["code"],
        message=body["message"],
        field=str(named) if named else None,
        details=details,
        headers={
            name: value
            for name, value in response.headers.items()
            if name not in ("Content-Type", "Content-Length")
        },
    )
