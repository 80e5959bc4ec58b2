"""A request id for every request, one log line for it, and the headers of every answer."""

import logging
import re
import time
from http import HTTPStatus
from uuid import uuid4

from flask import Flask, Response, g, request

from services.log_context import bind_request_id, current_request_id

logger = logging.getLogger(__name__)

HEADER = "X-Request-ID"
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
SAFE_HEADERS = {  # of every answer that says nothing else
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def install_request_log(app: Flask) -> None:
    """Bind the id before a request, answer with it and log after."""
    app.before_request(begin_request)
    app.after_request(finish_request)
    app.teardown_request(forget_request)


def begin_request() -> None:
    """Take the client's request id when it is sane, or make one."""
    g.started_at = time.perf_counter()
    given = request.headers.get(HEADER, "")
    bind_request_id(given if SANE_ID.fullmatch(given) else uuid4().hex)


def finish_request(response: Response) -> Response:
    """Set the headers that every answer has, and log the request."""
    headers = response.headers
    headers[HEADER] = current_request_id() or ""
    for name, value in SAFE_HEADERS.items():
        headers.setdefault(name, value)
    if response.status_code == HTTPStatus.NO_CONTENT:
        headers.pop("Content-Type", None)  # Flask's own: there is nothing that it could be of
    rule = request.url_rule
    is_probe = rule is not None and rule.rule.startswith("/health")
    logger.log(
        logging.DEBUG if is_probe else logging.INFO,  # probes come every few seconds, for ever
        "http_request",
        extra={
            "method": request.method,
            # The rule, not the address: a query string may hold a prompt.
            "route": rule.rule if rule else None,
            "status": response.status_code,
            "ms": round((time.perf_counter() - g.started_at) * 1000, 1),
            "request_id": current_request_id(),
        },
    )
    return response


def forget_request(_error: BaseException | None = None) -> None:
    """Unbind the id: the thread goes on to other work."""
    bind_request_id(None)
