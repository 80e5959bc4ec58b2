"""What a request says about a job beside its recording and its options."""

from collections.abc import Mapping
from typing import Any

from api.client_id import current_client
from api.current import current_principal
from api.job_webhooks import webhook_of
from domain.lifecycle import Priority
from domain.submission import Submission
from services.log_context import current_request_id


def current_submission(
    given: Mapping[str, Any],
    *,
    filename: str | None = None,
    content_type: str | None = None,
    once: Mapping[str, Any] | None = None,
) -> Submission:
    """The submission of this request; `given` is what its schema loaded.

    `once` is what makes it happen once: api/idempotency.py.
    """
    principal = current_principal()
    return Submission(
        tenant=principal.tenant,
        key_id=principal.key_id,
        client=current_client(),
        priority=Priority[given.get("priority", "normal").upper()],
        filename=filename,
        content_type=content_type,
        request_id=current_request_id(),
        name=given.get("name"),
        labels=given.get("labels", {}),
        webhook=webhook_of(given),
        reuse_result=given.get("reuse_result", False),
        **(once or {}),
    )
