"""Addresses that webhooks go to: what is allowed, and what a job carries of its own."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from domain.errors import OptionInvalid
from services.context import Services
from services.webhooks.events import check_events
from services.webhooks.styles import STANDARD

MAX_URL_CHARS = 2048


def check_address(services: Services, url: str, *, option: str) -> str:
    """The address, when a message may go there. Raises OptionInvalid naming the option."""
    del services
    if len(url) > MAX_URL_CHARS or not urlsplit(url).hostname:
        raise OptionInvalid(f"{option} is not an address", option=option)
    return url


def job_webhook(
    services: Services,
    url: str,
    *,
    events: Iterable[str] | None = None,
    style: str = STANDARD,
    headers: Mapping[str, str] | None = None,
    data: Mapping[str, Any] | None = None,
    option: str = "webhook_url",
) -> dict[str, Any]:
    """What `Submission.webhook` holds: an address for the messages of one job.

    Without `events` the style's own are told. `headers` are sent along as they are; `data` is
    for the style, to be repeated in the body. `option` is how the request calls the address.
    Raises OptionInvalid.
    """
    return {
        "url": check_address(services, url, option=option),
        "events": None if events is None else check_events(events, option="webhook_events"),
        "style": style,
        "headers": dict(headers or {}),
        "data": dict(data or {}),
    }
