"""Addresses that webhooks go to: what is allowed, and what a job carries of its own."""

from collections.abc import Iterable, Mapping
from typing import Any

from domain.errors import OptionInvalid, WebhookRefused
from outgoing.errors import AddressRefused, OutgoingFailed
from outgoing.names import find_addresses
from outgoing.request import check_headers
from outgoing.targets import check_url
from services.context import Services
from services.webhooks.events import check_events
from services.webhooks.styles import STANDARD, STYLES

MAX_URL_CHARS = 2048
LOOK_UP_S = 3.0  # for the name; the request waits
RESERVED = ("webhook-", "content-type", "user-agent")  # headers that are ours to say


def check_address(services: Services, url: str, *, option: str) -> str:
    """The address, when a message may go there. Raises WebhookRefused naming the option.

    A name that cannot be looked up now is let pass: every message is checked again.
    """
    try:
        target = check_url(url, services.outgoing.allowed)
        find_addresses(target, services.outgoing, timeout_s=LOOK_UP_S)
    except AddressRefused as error:
        raise WebhookRefused(
            f"{option}: {error.message}", option=option, reason=error.reason
        ) from error
    except OutgoingFailed:
        pass
    if len(url) > MAX_URL_CHARS:
        raise OptionInvalid(
            f"{option} has more than {MAX_URL_CHARS} characters",
            option=option,
            maximum=MAX_URL_CHARS,
        )
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
    Raises WebhookRefused, and OptionInvalid for headers or events that cannot be.
    """
    if style not in STYLES:  # a mistake of ours, not of the client
        raise ValueError(f"there is no style {style!r}")
    return {
        "url": check_address(services, url, option=option),
        "events": None if events is None else check_events(events, option="webhook_events"),
        "style": style,
        "headers": _checked(headers or {}),
        "data": dict(data or {}),
    }


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    try:
        check_headers(headers)
    except AddressRefused as error:
        raise OptionInvalid(error.message, option="webhook_headers") from error
    if any(name.lower().startswith(RESERVED) for name in headers):
        raise OptionInvalid("a header has a name that is not accepted", option="webhook_headers")
    return dict(headers)
