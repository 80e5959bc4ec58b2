"""What a request at a door says of its job beside the recording's bytes and the options."""

from collections.abc import Mapping
from typing import Any

from api.client_id import current_client
from api.current import current_principal
from api.idempotency import idempotency
from domain.lifecycle import Priority
from domain.submission import Submission
from services.log_context import current_request_id


def door_submission(
    door: str,
    *,
    filename: str | None,
    content_type: str | None,
    door_fields: Mapping[str, Any],
    priority: Priority = Priority.NORMAL,
    labels: Mapping[str, str] | None = None,
    webhook: Mapping[str, Any] | None = None,
) -> Submission:
    """The submission of this request, which came by `door`.

    `door_fields` is what its answer depends on beside the transcript. Raises OptionInvalid for
    headers that are malformed: check these before the recording is kept.
    """
    principal = current_principal()
    return Submission(
        tenant=principal.tenant,
        key_id=principal.key_id,
        client=current_client(),
        priority=priority,
        filename=filename,
        content_type=content_type,
        request_id=current_request_id(),
        door=door,
        door_fields=door_fields,
        labels=labels or {},
        webhook=webhook,
        **idempotency(),
    )
