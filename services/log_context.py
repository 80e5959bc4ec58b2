"""One line per event, with its fields and the request it belongs to."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

# What every LogRecord has; the rest came in by `extra` and is a field of the event.
STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

# Celery and kombu colour and decorate their records with these.
NOISE_FIELDS = frozenset({"data", "color_message"})


def bind_request_id(value: str | None) -> None:
    """Put this request id into every log line of the current request or job."""
    _request_id.set(value)


def current_request_id() -> str | None:
    """The request id that log lines carry now."""
    return _request_id.get()


@contextmanager
def request_context(value: str | None) -> Iterator[None]:
    """Carry a request id for the length of a block."""
    token = _request_id.set(value)
    try:
        yield
    finally:
        _request_id.reset(token)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """The fields that the caller gave by `extra`, and the request id."""
    fields: dict[str, object] = {
        key: value
        for key, value in vars(record).items()
        if key not in STANDARD_FIELDS and key not in NOISE_FIELDS
    }
    request_id = _request_id.get()
    if request_id:
        fields.setdefault("request_id", request_id)
    return fields


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO  job_completed job_id=... attempt=1`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, with the stack below it when there is one."""
        stamp = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = "".join(f" {key}={_plain(value)}" for key, value in fields_of(record).items())
        line = f"{stamp[:-6]}Z {record.levelname:<7} {_one_line(record.getMessage())}{fields}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object per line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """The event, its time, level and fields; `stack` when there is one."""
        event: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            event["stack"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str)


def configure_logging(level: str, log_format: str) -> None:
    """Send every logger of this process to stderr in one shape."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("celery.worker.strategy", "celery.app.trace", "alembic", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _plain(value: object) -> str:
    text = _one_line(str(value))
    return json.dumps(text) if not text or " " in text or '"' in text else text


def _one_line(text: str) -> str:
    # A client's text must not be able to forge a second log line.
    return text.replace("\r", "\\r").replace("\n", "\\n")
