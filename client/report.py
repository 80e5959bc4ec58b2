"""Errors as lines for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from client.errors import ClientError, RequestRefused

SHOWN_VALUES = 40  # of a list of allowed values


def error_lines(error: ClientError) -> list[str]:
    """The message with the server's code, then one line for each fact that helps."""
    if not isinstance(error, RequestRefused):
        return [str(error)]
    lines = [f"{error.message} ({error.code})", *_facts(error.details)]
    if error.status in (401, 403):
        lines.append(
            "the key comes from --key or SCRIPTORIUM_API_KEY, else from the server of this folder"
        )
    if error.request_id:
        lines.append(f"request: {error.request_id}")
    return lines


def _facts(details: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in details.items():
        label = f"{above}.{name}" if above else str(name)
        if isinstance(value, Mapping):
            yield from _facts(value, label)
        elif isinstance(value, list | tuple):
            more = ", ..." if len(value) > SHOWN_VALUES else ""
            yield f"{label}: {', '.join(map(str, value[:SHOWN_VALUES]))}{more}"
        elif value is not None:
            yield f"{label}: {value}"
