"""What an HTTP answer means: a value, a refusal, a fault, or a trouble that may pass."""

import errno
import os
from collections.abc import Mapping
from typing import Any

import httpx

from client.errors import ClientError, RequestRefused, ServerBroken
from client.patience import TroubleMayPass

TRY_AGAIN = frozenset({429, 502, 503, 504})
# These two say that nothing was done. A 502 or 504 comes from a proxy, which cannot know.
NOTHING_ACCEPTED = frozenset({429, 503})
STORAGE_FULL = 507  # a server error by its number, yet an answer to this one upload


def check_answer(answer: httpx.Response, *, passing: frozenset[int]) -> httpx.Response:
    """Return a 2xx answer. Raises TroubleMayPass for a status in `passing`, else ClientError."""
    if answer.is_success:
        return answer
    if answer.status_code in passing:
        body = _error_body(answer)
        reason = body.get("message") or answer.reason_phrase
        raise TroubleMayPass(
            f"the server is not ready (HTTP {answer.status_code}: {reason})",
            is_answer=True,
            retry_after_s=_retry_after_s(answer),
        )
    raise error_from_answer(answer)


def error_from_answer(answer: httpx.Response) -> ClientError:
    """The error that an answer outside 2xx stands for."""
    if answer.is_redirect:
        target = answer.headers.get("location", "elsewhere")
        return RequestRefused(
            answer.status_code,
            code="redirected",
            message=f"the server sends requests on to {target}: give that address as --server",
        )
    body = _error_body(answer)
    message = str(body.get("message") or body.get("status") or answer.reason_phrase)
    request_id = body.get("request_id") or answer.headers.get("x-request-id")
    if answer.is_client_error or answer.status_code == STORAGE_FULL:
        code = body.get("code")
        details = body.get("details") or body.get("errors")
        return RequestRefused(
            answer.status_code,
            code=code if isinstance(code, str) else f"http_{answer.status_code}",
            message=message,
            details=details if isinstance(details, Mapping) else None,
            request_id=request_id,
        )
    suffix = f" [request {request_id}]" if request_id else ""
    return ServerBroken(f"the server failed: HTTP {answer.status_code}, {message}{suffix}")


def json_object(answer: httpx.Response) -> Mapping[str, Any]:
    """The JSON object in an answer. Raises ServerBroken when there is none."""
    try:
        data = answer.json()
    except ValueError:
        data = None
    if not isinstance(data, Mapping):
        raise ServerBroken(f"{answer.request.url} does not answer like a Scriptorium server")
    return data


def reason_of(error: httpx.TransportError, address: str) -> str:
    """A transport error as a sentence: which server, and what the network said."""
    if isinstance(error, httpx.TimeoutException):
        return f"no answer from {address} in time"
    if isinstance(error, httpx.ConnectError):
        return f"no server answers at {address} ({_plain(error)})"
    return f"the connection to {address} broke ({_plain(error)})"


def _plain(error: httpx.TransportError) -> str:
    # "All connection attempts failed" hides the system's own words, a few causes further down.
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        if isinstance(cause, OSError) and cause.strerror:
            if cause.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
                return os.strerror(cause.errno).lower()
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return str(error).rstrip(".") or type(error).__name__


def _error_body(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, Mapping) else {}


def _retry_after_s(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdigit() else None
