"""An address that a submission brings along, to be told what happens to its job."""

from collections.abc import Mapping
from typing import Any

from flask import g

from api.current import current_services
from domain.errors import OptionInvalid
from services.webhooks.addresses import job_webhook


def webhook_of(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a Submission holds of `webhook_url` and `webhook_events`; None without an address.

    Raises WebhookRefused, OptionInvalid.
    """
    url, events = given.get("webhook_url"), given.get("webhook_events")
    if url is None:
        if events is not None:
            raise OptionInvalid("webhook_events needs webhook_url", option="webhook_events")
        return None
    # Looking a name up takes time, and a batch may ask a hundred times.
    known: dict[tuple[str, str | None], dict[str, Any]] = g.setdefault("job_webhooks", {})
    if (url, events) not in known:
        names = None if events is None else events.split(",")
        known[url, events] = job_webhook(current_services(), url, events=names)
    return known[url, events]
