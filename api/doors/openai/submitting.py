"""A request of OpenAI's API becomes a job."""

from api.current import current_services
from api.doors.openai.blueprint import DOOR
from api.doors.openai.requests import AudioRequest
from api.doors.submission import door_submission
from api.uploads import require_bytes
from domain.lifecycle import Priority
from services.jobs import Submitted, submit_once


def submit(asked: AudioRequest) -> Submitted:
    """Make the urgent job of this request, or find the one that its Idempotency-Key made.

    Raises FileMissing, AudioError and as `submit_once`.
    """
    require_bytes(asked.file.upload)
    submission = door_submission(
        DOOR,
        filename=asked.file.filename,
        content_type=asked.file.content_type,
        door_fields=asked.fields,
        priority=Priority.HIGH,
    )
    stored = asked.file.upload.commit()
    return submit_once(current_services(), stored, asked.options, submission)
