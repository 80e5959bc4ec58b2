"""A request of OpenAI's API becomes a job."""

from api.client_id import current_client
from api.current import current_principal, current_services
from api.doors.openai.blueprint import DOOR
from api.doors.openai.requests import AudioRequest
from api.idempotency import idempotency
from api.uploads import require_bytes
from domain.lifecycle import Priority
from domain.submission import Submission
from services.jobs import Submitted, submit_once
from services.log_context import current_request_id


def submit(asked: AudioRequest) -> Submitted:
    """Make the urgent job of this request, or find the one that its Idempotency-Key made.

    Raises FileMissing, AudioError and as `submit_once`.
    """
    require_bytes(asked.file.upload)
    principal = current_principal()
    submission = Submission(
        tenant=principal.tenant,
        key_id=principal.key_id,
        client=current_client(),
        priority=Priority.HIGH,
        filename=asked.file.filename,
        content_type=asked.file.content_type,
        request_id=current_request_id(),
        door=DOOR,
        door_fields=asked.fields,
        **idempotency(),
    )
    stored = asked.file.upload.commit()
    return submit_once(current_services(), stored, asked.options, submission)
